// What is done with pools.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "driver/storage/local_storage.h"

namespace warren::driver::storage {

namespace asio = boost::asio;

namespace {

constexpr auto kLoadLimit = std::chrono::seconds(5);
constexpr const char* kAutostartedFile = "autostarted";

constexpr unsigned int kCreateFlags = VIR_STORAGE_POOL_CREATE_WITH_BUILD |
                                      VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE |
                                      VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE;

void check_exclusive(unsigned int flags, unsigned int one, unsigned int other, std::string_view names) {
  if ((flags & one) != 0 && (flags & other) != 0)
    throw storage_error(VIR_ERR_INVALID_ARG, fmt::format("flags {} are mutually exclusive", names));
}

std::optional<unsigned int> build_flags(unsigned int create_flags) {
  if ((create_flags & VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE) != 0)
    return VIR_STORAGE_POOL_BUILD_OVERWRITE;
  if ((create_flags & VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE) != 0)
    return VIR_STORAGE_POOL_BUILD_NO_OVERWRITE;
  if ((create_flags & VIR_STORAGE_POOL_CREATE_WITH_BUILD) != 0) return VIR_STORAGE_POOL_BUILD_NEW;
  return std::nullopt;
}

void check_create_flags(unsigned int flags, std::string_view function) {
  check_flags(flags, kCreateFlags, function);
  check_exclusive(flags, VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE,
                  VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE,
                  "VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE and "
                  "VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE");
}

// What a refresh found out, into what was defined.
void take_over(const PoolDefinition& found, PoolDefinition& definition) {
  definition.capacity = found.capacity;
  definition.allocation = found.allocation;
  definition.available = found.available;
  if (!found.permissions.empty()) definition.permissions = found.permissions;
  if (definition.type != PoolType::disk) return;
  definition.source.format = found.source.format;
  if (definition.source.devices.size() == found.source.devices.size())
    for (std::size_t i = 0; i < found.source.devices.size(); ++i)
      definition.source.devices[i].free_extents = found.source.devices[i].free_extents;
}

}  // namespace

void LocalStorageDriver::load(Completion<void> completion) {
  // Whichever is first: all is known, or it has been waited for long enough.
  auto once = std::make_shared<Completion<void>>(std::move(completion));
  const auto timer = std::make_shared<asio::steady_timer>(loop_, kLoadLimit);
  const auto tell = [once, timer] {
    timer->cancel();
    if (auto told = std::exchange(*once, nullptr)) told({});
  };
  timer->async_wait([tell](boost::system::error_code error) {
    if (!error) tell();
  });
  run<void>(load_all(), [this, tell](std::expected<void, Error> outcome) {
    if (!outcome) settings_.report(outcome.error().message());
    tell();
  });
}

Task<> LocalStorageDriver::load_all() {
  const std::filesystem::path autostarted = settings_.runtime_directory / kAutostartedFile;
  std::error_code ignored;
  const bool is_first = !std::filesystem::exists(autostarted, ignored);
  if (is_first) std::ofstream(autostarted).put('\n');
  // All at once: one that hangs holds up no other.
  auto left = std::make_shared<std::size_t>(1);
  const auto all_done =
      std::make_shared<asio::steady_timer>(loop_, std::chrono::steady_clock::time_point::max());
  const auto one_done = [left, all_done] {
    if (--*left == 0) all_done->cancel();
  };
  for (const PoolPointer& pool : table_.all()) {
    const bool was_active = active_before_.contains(pool->definition.uuid);
    if (!was_active && !(is_first && pool->autostart)) continue;
    ++*left;
    run<void>(was_active ? adopt(pool) : start_by_itself(pool),
              [this, pool, one_done](std::expected<void, Error> outcome) {
                if (!outcome) {
                  settings_.report(
                      fmt::format("storage pool '{}': {}", pool->definition.name, outcome.error().message()));
                }
                one_done();
              });
  }
  active_before_.clear();
  if (--*left == 0) co_return;
  boost::system::error_code cancelled;
  co_await all_done->async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

// A pool that was active when the last daemon ended.
Task<> LocalStorageDriver::adopt(PoolPointer pool) {
  const loop::Turn::Hold turn = co_await pool->turn.take();
  pool->is_starting = true;
  std::exception_ptr failed;
  bool is_there = false;
  try {
    Request check = request_for(pool->definition, Work::check_pool);
    is_there = co_await have_done(std::move(check), nullptr) != 0;
    if (is_there || !traits_of(pool->definition.type).has_target) {
      co_await refresh_table(pool);
      is_there = true;
    }
  } catch (...) {
    failed = std::current_exception();
    is_there = false;
  }
  pool->is_starting = false;
  pool->is_active = is_there;
  if (!is_there) ended(pool);
  co_await write_status(pool);
  if (failed) std::rethrow_exception(failed);
}

Task<> LocalStorageDriver::start_by_itself(PoolPointer pool) {
  const loop::Turn::Hold turn = co_await pool->turn.take();
  if (!pool->is_active) co_await bring_up(pool, 0);
}

Task<> LocalStorageDriver::on_disk(std::move_only_function<void()> write) {
  std::move_only_function<loop::Done()> work = [write = std::move(write)]() mutable {
    write();
    return loop::Done{};
  };
  co_await loop::run_blocking<loop::Done>(store_thread_, std::move(work));
}

Task<> LocalStorageDriver::write_definition(PoolDefinition definition) {
  // What a refresh found is not part of it.
  definition.capacity = definition.allocation = definition.available = 0;
  for (SourceDevice& device : definition.source.devices) device.free_extents.clear();
  std::move_only_function<void()> write = [this, name = definition.name, text = format_pool(definition)] {
    definitions_.write(name, text);
  };
  co_await on_disk(std::move(write));
}

Task<> LocalStorageDriver::write_status(PoolPointer pool) {
  std::move_only_function<void()> write = [this, active = pool->is_active, name = pool->definition.name,
                                           text = format_pool(pool->definition)] {
    active ? statuses_.write(name, text) : statuses_.remove(name);
  };
  co_await on_disk(std::move(write));
}

Task<PoolHandle> LocalStorageDriver::define(std::string xml, unsigned int flags) {
  check_flags(flags, VIR_STORAGE_POOL_DEFINE_VALIDATE, "virStoragePoolDefineXML");
  const PoolDefinition definition = parse_pool(xml, (flags & VIR_STORAGE_POOL_DEFINE_VALIDATE) != 0);
  PoolPointer pool = table_.check_new(definition, false);
  const bool is_new = pool == nullptr;
  if (is_new) {
    // In the table at once, so that its name is taken while the disk is written.
    pool = std::make_shared<Pool>(loop_);
    pool->definition = definition;
    table_.add(pool);
  }
  const loop::Turn::Hold turn = co_await pool->turn.take();
  std::exception_ptr failed;
  try {
    co_await write_definition(definition);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (is_new) table_.remove(definition.uuid);
    std::rethrow_exception(failed);
  }
  if (pool->is_active) {
    pool->next = definition;
  } else {
    pool->definition = definition;
  }
  // It may have been undefined while this waited.
  table_.add(pool);
  pool->is_persistent = true;
  emit(*pool, VIR_STORAGE_POOL_EVENT_DEFINED);
  co_return definition.handle();
}

Task<PoolHandle> LocalStorageDriver::create(std::string xml, unsigned int flags) {
  check_create_flags(flags, "virStoragePoolCreateXML");
  const PoolDefinition definition = parse_pool(xml);
  PoolPointer pool = table_.check_new(definition, true);
  std::optional<PoolDefinition> before;
  if (pool == nullptr) {
    pool = std::make_shared<Pool>(loop_);
    pool->definition = definition;
    table_.add(pool);
  } else {
    before = std::exchange(pool->definition, definition);
  }
  pool->is_starting = true;
  const loop::Turn::Hold turn = co_await pool->turn.take();
  std::exception_ptr failed;
  try {
    co_await bring_up(pool, flags);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (before) pool->definition = *before;
    if (!pool->is_persistent) table_.remove(definition.uuid);
    std::rethrow_exception(failed);
  }
  // Of a persistent pool what was stored comes back with its stop.
  if (before && pool->is_persistent) pool->next = before;
  co_return definition.handle();
}

Task<> LocalStorageDriver::start(Uuid uuid, unsigned int flags) {
  check_create_flags(flags, "virStoragePoolCreate");
  const PoolPointer pool = table_.by_uuid(uuid);
  if (pool->is_starting) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is starting up", pool->definition.name));
  }
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  if (pool->is_active) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is already active", pool->definition.name));
  }
  co_await bring_up(pool, flags);
}

// With its turn held.
Task<> LocalStorageDriver::bring_up(PoolPointer pool, unsigned int flags) {
  pool->is_starting = true;
  std::exception_ptr failed;
  bool is_started = false;
  try {
    if (const auto building = build_flags(flags)) {
      Request build = request_for(pool->definition, Work::build_pool);
      build.flags = *building;
      co_await have_done(std::move(build), nullptr);
    }
    Request start = request_for(pool->definition, Work::start_pool);
    co_await have_done(std::move(start), nullptr);
    is_started = true;
    co_await refresh_table(pool);
    pool->is_active = true;
    co_await write_status(pool);
  } catch (...) {
    failed = std::current_exception();
  }
  pool->is_starting = false;
  if (!failed) {
    emit(*pool, VIR_STORAGE_POOL_EVENT_STARTED);
    co_return;
  }
  pool->is_active = false;
  pool->volumes.clear();
  if (is_started) {
    try {
      Request stop = request_for(pool->definition, Work::stop_pool);
      co_await have_done(std::move(stop), nullptr);
    } catch (const Error& error) {
      settings_.report(fmt::format("storage pool '{}' did not start, and does not stop: {}",
                                   pool->definition.name, error.message()));
    }
  }
  std::rethrow_exception(failed);
}

// What an inactive pool is, from an active one.
void LocalStorageDriver::ended(const PoolPointer& pool) {
  pool->volumes.clear();
  pool->is_active = false;
  if (!pool->is_persistent) {
    table_.remove(pool->definition.uuid);
    return;
  }
  if (pool->next) pool->definition = *std::exchange(pool->next, std::nullopt);
  pool->definition.capacity = pool->definition.allocation = pool->definition.available = 0;
}

Task<> LocalStorageDriver::stop(Uuid uuid) {
  const PoolPointer pool = table_.by_uuid(uuid);
  if (pool->is_starting) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is starting up", pool->definition.name));
  }
  // A refresh of storage that hangs is not waited for.
  if (const auto refreshing = pool->refresh.lock()) {
    refreshing->abort(
        storage_error(VIR_ERR_OPERATION_ABORTED,
                      fmt::format("storage pool '{}' is being destroyed", pool->definition.name)));
  }
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  require_active(*pool);
  require_no_jobs(*pool);
  co_await take_down(pool);
}

Task<> LocalStorageDriver::take_down(PoolPointer pool) {
  Request stop = request_for(pool->definition, Work::stop_pool);
  co_await have_done(std::move(stop), nullptr);
  const std::string name = pool->definition.name;
  ended(pool);
  co_await write_status(pool);
  emit(*pool, VIR_STORAGE_POOL_EVENT_STOPPED);
}

Task<> LocalStorageDriver::undefine(Uuid uuid) {
  const PoolPointer pool = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  if (pool->is_active) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is still active", pool->definition.name));
  }
  require_no_jobs(*pool);
  std::move_only_function<void()> write = [this, name = pool->definition.name] { definitions_.remove(name); };
  co_await on_disk(std::move(write));
  pool->is_persistent = pool->autostart = false;
  table_.remove(uuid);
  emit(*pool, VIR_STORAGE_POOL_EVENT_UNDEFINED);
}

Task<> LocalStorageDriver::build(Uuid uuid, unsigned int flags) {
  // New is 0; repair and resize are known to the API and done by no kind of pool.
  check_flags(flags, VIR_STORAGE_POOL_BUILD_OVERWRITE | VIR_STORAGE_POOL_BUILD_NO_OVERWRITE,
              "virStoragePoolBuild");
  check_exclusive(flags, VIR_STORAGE_POOL_BUILD_OVERWRITE, VIR_STORAGE_POOL_BUILD_NO_OVERWRITE,
                  "VIR_STORAGE_POOL_BUILD_OVERWRITE and VIR_STORAGE_POOL_BUILD_NO_OVERWRITE");
  const PoolPointer pool = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  if (pool->is_active) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is already active", pool->definition.name));
  }
  Request request = request_for(pool->definition, Work::build_pool);
  request.flags = flags;
  co_await have_done(std::move(request), nullptr);
  emit(*pool, VIR_STORAGE_POOL_EVENT_CREATED);
}

Task<> LocalStorageDriver::remove(Uuid uuid, unsigned int flags) {
  check_flags(flags, VIR_STORAGE_POOL_DELETE_NORMAL, "virStoragePoolDelete");
  const PoolPointer pool = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  if (pool->is_active) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is still active", pool->definition.name));
  }
  require_no_jobs(*pool);
  Request request = request_for(pool->definition, Work::delete_pool);
  co_await have_done(std::move(request), nullptr);
  emit(*pool, VIR_STORAGE_POOL_EVENT_DELETED);
}

Task<> LocalStorageDriver::refresh(Uuid uuid) {
  const PoolPointer pool = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  require_active(*pool);
  require_no_jobs(*pool);
  std::optional<Error> failed;
  try {
    co_await refresh_table(pool);
  } catch (const Error& error) {
    failed = error;
  }
  if (failed) {
    // Storage that does not answer, or a helper that was stopped, says nothing about the pool.
    const bool says_nothing =
        failed->code() == VIR_ERR_OPERATION_TIMEOUT || failed->code() == VIR_ERR_OPERATION_ABORTED;
    if (!says_nothing) {
      try {
        co_await take_down(pool);
      } catch (const Error& error) {
        settings_.report(fmt::format("storage pool '{}' cannot be refreshed and does not stop: {}",
                                     pool->definition.name, error.message()));
      }
    }
    throw Error(*failed);
  }
  emit_refresh(*pool);
}

// With the turn held and no jobs under way, so that nothing is in the table that the helper cannot see.
Task<> LocalStorageDriver::refresh_table(PoolPointer pool) {
  std::map<std::string, VolumePointer> volumes;
  std::optional<PoolDefinition> found;
  const bool counts_capacity = pool->definition.refresh_allocation == "capacity";
  Record record = [&volumes, &found, counts_capacity](Reply& reply) {
    if (reply.kind == Reply::Kind::pool && reply.pool) found = std::move(reply.pool);
    if (reply.kind != Reply::Kind::volume || !reply.volume) return;
    auto volume = std::make_shared<Volume>();
    volume->definition = std::move(*reply.volume);
    if (counts_capacity) volume->definition.allocation = volume->definition.capacity;
    volumes[volume->definition.name] = std::move(volume);
  };
  const auto call = make_call();
  pool->refresh = call;
  Request request = request_for(pool->definition, Work::refresh_pool);
  co_await have_done(std::move(request), std::move(record), 0, call);
  pool->volumes = std::move(volumes);
  if (found) take_over(*found, pool->definition);
}

Task<> LocalStorageDriver::set_autostart(Uuid uuid, bool autostart) {
  const PoolPointer pool = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await pool->turn.take();
  table_.by_uuid(uuid);
  if (!pool->is_persistent) throw storage_error(VIR_ERR_INTERNAL_ERROR, "pool has no config file");
  if (pool->autostart == autostart) co_return;
  std::move_only_function<void()> write = [this, name = pool->definition.name, autostart] {
    definitions_.set_autostart(name, autostart);
  };
  co_await on_disk(std::move(write));
  pool->autostart = autostart;
}

Task<std::string> LocalStorageDriver::find_sources(std::string type, std::string specification) {
  const PoolTraits* traits = find_traits(type);
  if (traits == nullptr) {
    const auto known = all_pool_types();
    if (std::ranges::find(known, type) == known.end())
      throw storage_error(VIR_ERR_INTERNAL_ERROR, fmt::format("unknown storage pool type {}", type));
    throw storage_error(VIR_ERR_NO_SUPPORT,
                        fmt::format("pool type '{}' does not support source discovery", type));
  }
  PoolDefinition pool{.type = traits->type};
  if (!specification.empty()) pool.source = parse_pool_source(specification, traits->type);
  if (traits->has_host && (specification.empty() || pool.source.hosts.empty()))
    throw storage_error(VIR_ERR_INVALID_ARG, "hostname must be specified for this type of source");
  Request request = request_for(pool, Work::find_sources);
  request.specification = std::move(specification);
  std::vector<PoolSource> sources;
  Record record = [&sources](Reply& reply) {
    if (reply.kind == Reply::Kind::source && reply.source) sources.push_back(std::move(*reply.source));
  };
  co_await have_done(std::move(request), std::move(record));
  co_return format_pool_sources(traits->type, sources);
}

void LocalStorageDriver::create_pool(const Caller&, std::string xml, unsigned int flags,
                                     Completion<PoolHandle> completion) {
  run<PoolHandle>(create(std::move(xml), flags), std::move(completion));
}
void LocalStorageDriver::define_pool(const Caller&, std::string xml, unsigned int flags,
                                     Completion<PoolHandle> completion) {
  run<PoolHandle>(define(std::move(xml), flags), std::move(completion));
}
void LocalStorageDriver::undefine_pool(const Caller&, const Uuid& pool, Completion<void> completion) {
  run<void>(undefine(pool), std::move(completion));
}
void LocalStorageDriver::start_pool(const Caller&, const Uuid& pool, unsigned int flags,
                                    Completion<void> completion) {
  run<void>(start(pool, flags), std::move(completion));
}
void LocalStorageDriver::stop_pool(const Caller&, const Uuid& pool, Completion<void> completion) {
  run<void>(stop(pool), std::move(completion));
}
void LocalStorageDriver::build_pool(const Caller&, const Uuid& pool, unsigned int flags,
                                    Completion<void> completion) {
  run<void>(build(pool, flags), std::move(completion));
}
void LocalStorageDriver::delete_pool(const Caller&, const Uuid& pool, unsigned int flags,
                                     Completion<void> completion) {
  run<void>(remove(pool, flags), std::move(completion));
}
void LocalStorageDriver::refresh_pool(const Caller&, const Uuid& pool, unsigned int flags,
                                      Completion<void> completion) {
  if (flags != 0) return completion(std::unexpected(unsupported_flags(flags, 0, "virStoragePoolRefresh")));
  run<void>(refresh(pool), std::move(completion));
}
void LocalStorageDriver::set_pool_autostart(const Caller&, const Uuid& pool, bool autostart,
                                            Completion<void> completion) {
  run<void>(set_autostart(pool, autostart), std::move(completion));
}
void LocalStorageDriver::find_pool_sources(const Caller&, std::string type,
                                           std::optional<std::string> specification, unsigned int flags,
                                           Completion<std::string> completion) {
  if (flags != 0)
    return completion(std::unexpected(unsupported_flags(flags, 0, "virConnectFindStoragePoolSources")));
  run<std::string>(find_sources(std::move(type), specification.value_or("")), std::move(completion));
}

}  // namespace warren::driver::storage
