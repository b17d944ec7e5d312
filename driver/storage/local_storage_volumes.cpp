// What is done with volumes.
#include <algorithm>

#include <fmt/format.h>
#include <sys/socket.h>

#include "driver/storage/local_storage.h"
#include "driver/storage/transfer_stream.h"

namespace warren::driver::storage {

namespace {

void check_idle(const Volume& volume) {
  if (volume.in_use > 0) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("volume '{}' is still in use.", volume.definition.name));
  }
  if (volume.is_building) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("volume '{}' is still being allocated.", volume.definition.name));
  }
}

bool keeps_files(PoolType type) {
  return type == PoolType::dir || type == PoolType::fs || type == PoolType::netfs;
}

void account(Pool& pool, std::uint64_t taken) {
  // A disk's refresh counts its own.
  if (pool.definition.type == PoolType::disk) return;
  pool.definition.allocation += taken;
  pool.definition.available -= std::min(taken, pool.definition.available);
}

void give_back(Pool& pool, std::uint64_t freed) {
  if (pool.definition.type == PoolType::disk) return;
  pool.definition.allocation -= std::min(freed, pool.definition.allocation);
  pool.definition.available += freed;
}

VolumeHandle handle_of(const Pool& pool, const Volume& volume) {
  return {pool.definition.name, volume.definition.name, volume.definition.key};
}

std::uint64_t wanted_capacity(const Volume& volume, std::uint64_t capacity, unsigned int flags) {
  const std::uint64_t now = volume.definition.capacity;
  if ((flags & VIR_STORAGE_VOL_RESIZE_DELTA) == 0) return capacity;
  if ((flags & VIR_STORAGE_VOL_RESIZE_SHRINK) != 0) return now - std::min(capacity, now);
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(now, capacity, &sum))
    throw storage_error(VIR_ERR_OVERFLOW, "the new capacity of the volume is too large");
  return sum;
}

}  // namespace

LocalStorageDriver::Place LocalStorageDriver::find_volume(const VolumeHandle& handle) const {
  const PoolPointer pool = table_.by_name(handle.pool);
  require_active(*pool);
  const auto found = pool->volumes.find(handle.name);
  if (found == pool->volumes.end()) {
    throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                        fmt::format("no storage vol with matching name '{}'", handle.name));
  }
  return {pool, found->second};
}

LocalStorageDriver::Place LocalStorageDriver::find_idle_volume(const VolumeHandle& handle) const {
  Place place = find_volume(handle);
  check_idle(*place.volume);
  return place;
}

std::vector<VolumeHandle> LocalStorageDriver::list_volumes(const Caller&, const Uuid& uuid,
                                                           unsigned int flags) const {
  check_flags(flags, 0, "virStoragePoolListAllVolumes");
  const PoolPointer pool = table_.by_uuid(uuid);
  require_active(*pool);
  std::vector<VolumeHandle> handles;
  handles.reserve(pool->volumes.size());
  for (const auto& [name, volume] : pool->volumes) handles.push_back(handle_of(*pool, *volume));
  return handles;
}

VolumeHandle LocalStorageDriver::volume_by_name(const Caller&, const Uuid& uuid,
                                                const std::string& name) const {
  const PoolPointer pool = table_.by_uuid(uuid);
  const Place place = find_volume({.pool = pool->definition.name, .name = name, .key = {}});
  return handle_of(*pool, *place.volume);
}

VolumeHandle LocalStorageDriver::volume_by_key(const Caller&, const std::string& key) const {
  for (const PoolPointer& pool : table_.all())
    for (const auto& [name, volume] : pool->volumes)
      if (pool->is_active && volume->definition.key == key) return handle_of(*pool, *volume);
  throw storage_error(VIR_ERR_NO_STORAGE_VOL, fmt::format("no storage vol with matching key {}", key));
}

VolumeHandle LocalStorageDriver::volume_by_path(const Caller&, const std::string& path) const {
  const std::string clean = sanitized_path(path);
  for (const PoolPointer& pool : table_.all())
    for (const auto& [name, volume] : pool->volumes)
      if (pool->is_active && volume->definition.target.path == clean) return handle_of(*pool, *volume);
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      clean == path
                          ? fmt::format("no storage vol with matching path '{}'", path)
                          : fmt::format("no storage vol with matching path '{}' ({})", path, clean));
}

VolumeInfo LocalStorageDriver::volume_info(const Caller&, const VolumeHandle& handle,
                                           unsigned int flags) const {
  check_flags(flags, VIR_STORAGE_VOL_GET_PHYSICAL, "virStorageVolGetInfoFlags");
  const VolumeDefinition& definition = find_volume(handle).volume->definition;
  const bool physical = (flags & VIR_STORAGE_VOL_GET_PHYSICAL) != 0;
  return {.type = definition.type,
          .capacity = definition.capacity,
          .allocation = physical ? definition.physical : definition.allocation};
}

std::string LocalStorageDriver::volume_xml(const Caller&, const VolumeHandle& handle,
                                           unsigned int flags) const {
  check_flags(flags, 0, "virStorageVolGetXMLDesc");
  return format_volume(find_volume(handle).volume->definition);
}

std::string LocalStorageDriver::volume_path(const Caller&, const VolumeHandle& handle) const {
  return find_volume(handle).volume->definition.target.path;
}

// How it shows while it is made.
VolumeDefinition LocalStorageDriver::planned(const Pool& pool, const VolumeDefinition& wanted) const {
  VolumeDefinition plan = wanted;
  plan.type = wanted.target.format == "dir"         ? VIR_STORAGE_VOL_DIR
              : keeps_files(pool.definition.type)   ? VIR_STORAGE_VOL_FILE
              : pool.definition.target_path.empty() ? VIR_STORAGE_VOL_NETWORK
                                                    : VIR_STORAGE_VOL_BLOCK;
  plan.target.path = pool.definition.target_path.empty() ? pool.definition.source.name + "/" + wanted.name
                                                         : pool.definition.target_path + "/" + wanted.name;
  plan.key = plan.target.path;
  plan.allocation = 0;
  plan.physical = 0;
  return plan;
}

Task<VolumeHandle> LocalStorageDriver::create(std::uint64_t connection, Uuid uuid, std::string xml,
                                              unsigned int flags) {
  check_flags(flags,
              VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA | VIR_STORAGE_VOL_CREATE_REFLINK |
                  VIR_STORAGE_VOL_CREATE_VALIDATE,
              "virStorageVolCreateXML");
  const PoolPointer pool = table_.by_uuid(uuid);
  require_active(*pool);
  VolumeDefinition wanted = parse_volume(xml, pool->definition.type, CapacityRule::optional_with_backing,
                                         (flags & VIR_STORAGE_VOL_CREATE_VALIDATE) != 0);
  if (pool->volumes.contains(wanted.name))
    throw storage_error(VIR_ERR_STORAGE_VOL_EXIST, fmt::format("'{}'", wanted.name));
  Request request = request_for(pool->definition, Work::create_volume);
  request.volume = std::move(wanted);
  request.flags = flags & ~unsigned{VIR_STORAGE_VOL_CREATE_VALIDATE};
  co_return co_await make(connection, pool, std::move(request));
}

Task<VolumeHandle> LocalStorageDriver::clone(std::uint64_t connection, Uuid uuid, std::string xml,
                                             VolumeHandle original, unsigned int flags) {
  check_flags(flags,
              VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA | VIR_STORAGE_VOL_CREATE_REFLINK |
                  VIR_STORAGE_VOL_CREATE_VALIDATE,
              "virStorageVolCreateXMLFrom");
  const PoolPointer pool = table_.by_uuid(uuid);
  require_active(*pool);
  const Place from = find_volume(original);
  VolumeDefinition wanted = parse_volume(xml, pool->definition.type, CapacityRule::optional,
                                         (flags & VIR_STORAGE_VOL_CREATE_VALIDATE) != 0);
  if (from.volume->is_building) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("volume '{}' is still being allocated.", original.name));
  }
  const JobMark mark(from.pool, from.volume);
  // It may have grown since it was looked at.
  co_await look_again(from.pool, from.volume);
  require_active(*pool);
  if (pool->volumes.contains(wanted.name)) {
    throw storage_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("storage volume name '{}' already in use.", wanted.name));
  }
  // What is smaller, or not said, is as large as the original.
  const VolumeDefinition& source = from.volume->definition;
  wanted.capacity = std::max(wanted.capacity, source.capacity);
  if (!wanted.allocation_given) wanted.allocation = wanted.capacity;
  Request request = request_for(pool->definition, Work::clone_volume);
  request.volume = std::move(wanted);
  request.original_pool = from.pool->definition;
  request.original = source;
  request.flags = flags & ~unsigned{VIR_STORAGE_VOL_CREATE_VALIDATE};
  co_return co_await make(connection, pool, std::move(request));
}

// A volume that is new, by itself or from another.
Task<VolumeHandle> LocalStorageDriver::make(std::uint64_t connection, PoolPointer pool, Request request) {
  auto volume = std::make_shared<Volume>();
  volume->definition = planned(*pool, request.volume);
  volume->is_building = true;
  std::string name = request.volume.name;
  pool->volumes[name] = volume;
  const JobMark mark(pool);
  {
    // What has the pool's turn now, a refresh or a stop, ends first: it has not counted this job.
    loop::Turn::Hold turn = co_await pool->turn.take();
  }
  std::exception_ptr failed;
  const auto call = make_call();
  try {
    require_active(*pool);
    pool->volumes[name] = volume;  // a refresh has not seen it
    Record record = [&](Reply& reply) {
      if (reply.kind == Reply::Kind::progress) volume->definition.allocation = reply.number;
      if (reply.kind == Reply::Kind::format) declare_format(reply.path, reply.text);
      if (reply.kind == Reply::Kind::volume && reply.volume && reply.volume->name != name) {
        // It got another name than it was asked for.
        pool->volumes.erase(name);
        name = reply.volume->name;
        volume->definition = std::move(*reply.volume);
        pool->volumes[name] = volume;
      }
    };
    co_await have_done(request, std::move(record), connection, call);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    const auto there = pool->volumes.find(name);
    if (there != pool->volumes.end() && there->second == volume) pool->volumes.erase(there);
    // A file in the making has gone with its maker; a device stays behind.
    if (call->has_reported() && !keeps_files(pool->definition.type)) {
      try {
        Request removal = request_for(pool->definition, Work::delete_volume);
        removal.volume = volume->definition;
        co_await have_done(std::move(removal), nullptr);
      } catch (const Error& error) {
        settings_.report(fmt::format("half-made volume '{}' of storage pool '{}' is not removed: {}", name,
                                     pool->definition.name, error.message()));
      }
    }
    std::rethrow_exception(failed);
  }
  co_await look_again(pool, volume);
  volume->is_building = false;
  account(*pool, volume->definition.allocation);
  co_return handle_of(*pool, *volume);
}

// What a volume is after it was changed. One that cannot be looked at stays what it was thought to be.
Task<> LocalStorageDriver::look_again(PoolPointer pool, VolumePointer volume) {
  Request request = request_for(pool->definition, Work::refresh_volume);
  request.volume = volume->definition;
  std::optional<VolumeDefinition> found;
  Record record = [&found](Reply& reply) {
    if (reply.kind == Reply::Kind::volume && reply.volume) found = std::move(reply.volume);
  };
  try {
    co_await have_done(std::move(request), std::move(record));
  } catch (const Error& error) {
    settings_.report(fmt::format("volume '{}': {}", volume->definition.name, error.message()));
  }
  if (found && found->name == volume->definition.name) volume->definition = std::move(*found);
}

Task<> LocalStorageDriver::remove(VolumeHandle handle, unsigned int flags) {
  check_flags(flags, VIR_STORAGE_VOL_DELETE_ZEROED | VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS,
              "virStorageVolDelete");
  const PoolPointer pool = find_idle_volume(handle).pool;
  const loop::Turn::Hold turn = co_await pool->turn.take();
  const Place place = find_idle_volume(handle);
  if (place.pool->definition.type != PoolType::rbd && flags != 0)
    throw unsupported_flags(flags, 0, "virStorageVolDelete of this type of pool");
  Request request = request_for(pool->definition, Work::delete_volume);
  request.volume = place.volume->definition;
  request.flags = flags;
  {
    const JobMark mark(pool, place.volume);
    co_await have_done(std::move(request), nullptr);
  }
  give_back(*pool, place.volume->definition.allocation);
  const auto there = pool->volumes.find(handle.name);
  if (there != pool->volumes.end() && there->second == place.volume) pool->volumes.erase(there);
  if (formats_.forget(place.volume->definition.target.path)) {
    std::move_only_function<void()> write = [this, text = formats_.format()] {
      records_.write("image-formats", text);
    };
    co_await on_disk(std::move(write));
  }
}

Task<> LocalStorageDriver::resize(VolumeHandle handle, std::uint64_t capacity, unsigned int flags) {
  check_flags(flags,
              VIR_STORAGE_VOL_RESIZE_ALLOCATE | VIR_STORAGE_VOL_RESIZE_DELTA | VIR_STORAGE_VOL_RESIZE_SHRINK,
              "virStorageVolResize");
  const PoolPointer pool = find_idle_volume(handle).pool;
  const loop::Turn::Hold turn = co_await pool->turn.take();
  const Place place = find_idle_volume(handle);
  const VolumeDefinition& now = place.volume->definition;
  const std::uint64_t wanted = wanted_capacity(*place.volume, capacity, flags);
  if (wanted > static_cast<std::uint64_t>(INT64_MAX))
    throw storage_error(VIR_ERR_OVERFLOW, "the new capacity of the volume is too large");
  if (wanted < now.allocation) {
    throw storage_error(VIR_ERR_INVALID_ARG, "can't shrink capacity below existing allocation");
  }
  if (wanted < now.capacity && (flags & VIR_STORAGE_VOL_RESIZE_SHRINK) == 0) {
    throw storage_error(
        VIR_ERR_INVALID_ARG,
        "Can't shrink capacity below current capacity unless shrink flag explicitly specified");
  }
  if ((flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE) != 0 &&
      wanted - now.allocation > pool->definition.available) {
    throw storage_error(VIR_ERR_OPERATION_FAILED, "Not enough space left in storage pool");
  }
  Request request = request_for(pool->definition, Work::resize_volume);
  request.volume = now;
  request.capacity = wanted;
  request.flags = flags & ~unsigned{VIR_STORAGE_VOL_RESIZE_DELTA};
  const JobMark mark(pool, place.volume);
  co_await have_done(std::move(request), nullptr);
  const std::uint64_t before = place.volume->definition.allocation;
  co_await look_again(pool, place.volume);
  const std::uint64_t after = place.volume->definition.allocation;
  if (after > before) account(*pool, after - before);
  if (before > after) give_back(*pool, before - after);
}

Task<> LocalStorageDriver::wipe(std::uint64_t connection, VolumeHandle handle, unsigned int algorithm) {
  if (algorithm > VIR_STORAGE_VOL_WIPE_ALG_TRIM) {
    throw storage_error(VIR_ERR_INVALID_ARG, fmt::format("wiping algorithm {} not supported", algorithm));
  }
  const Place place = find_idle_volume(handle);
  const JobMark mark(place.pool, place.volume);
  Request request = request_for(place.pool->definition, Work::wipe_volume);
  request.volume = place.volume->definition;
  request.algorithm = algorithm;
  co_await have_done(std::move(request), nullptr, connection);
  co_await look_again(place.pool, place.volume);
}

Task<> LocalStorageDriver::look_after_upload(PoolPointer pool, VolumePointer volume) {
  const loop::Turn::Hold turn = co_await pool->turn.take();
  if (!pool->is_active) co_return;
  co_await look_again(pool, volume);
  emit_refresh(*pool);
}

std::unique_ptr<Stream> LocalStorageDriver::transfer(const VolumeHandle& handle, Request request,
                                                     bool sparse) {
  const bool upload = request.work == Work::upload_volume;
  const Place place = upload ? find_idle_volume(handle) : find_volume(handle);
  if (place.volume->is_building) check_idle(*place.volume);
  Request whole = request_for(place.pool->definition, request.work);
  whole.volume = place.volume->definition;
  whole.offset = request.offset;
  whole.length = request.length;
  whole.flags = sparse ? 1 : 0;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    throw system_error(errno, "make a socket for a volume's data");
  vmm::FileDescriptor ours(ends[0]), theirs(ends[1]);
  set_blocking(theirs.get());
  auto transfer =
      std::make_shared<Transfer>(loop_, make_call(), std::move(ours),
                                 upload ? Transfer::Direction::upload : Transfer::Direction::download);
  HelperOrder order{.data = std::move(theirs), .deadline = std::chrono::hours(24 * 365)};
  order.request = std::move(whole);
  transfer->begin(std::move(order), [this, alive = std::weak_ptr<bool>(is_alive_), place, upload,
                                     mark = JobMark(place.pool, place.volume)]() mutable {
    {
      const JobMark over = std::move(mark);
    }
    if (!upload || alive.expired()) return;
    run<void>(look_after_upload(place.pool, place.volume), [](std::expected<void, Error>) {});
  });
  return make_transfer_stream(std::move(transfer), sparse);
}

void LocalStorageDriver::create_volume(const Caller& caller, const Uuid& pool, std::string xml,
                                       unsigned int flags, Completion<VolumeHandle> completion) {
  run<VolumeHandle>(create(caller.connection_id, pool, std::move(xml), flags), std::move(completion));
}
void LocalStorageDriver::clone_volume(const Caller& caller, const Uuid& pool, std::string xml,
                                      const VolumeHandle& original, unsigned int flags,
                                      Completion<VolumeHandle> completion) {
  run<VolumeHandle>(clone(caller.connection_id, pool, std::move(xml), original, flags),
                    std::move(completion));
}
void LocalStorageDriver::delete_volume(const Caller&, const VolumeHandle& volume, unsigned int flags,
                                       Completion<void> completion) {
  run<void>(remove(volume, flags), std::move(completion));
}
void LocalStorageDriver::resize_volume(const Caller&, const VolumeHandle& volume, std::uint64_t capacity,
                                       unsigned int flags, Completion<void> completion) {
  run<void>(resize(volume, capacity, flags), std::move(completion));
}
void LocalStorageDriver::wipe_volume(const Caller& caller, const VolumeHandle& volume, unsigned int algorithm,
                                     unsigned int flags, Completion<void> completion) {
  if (flags != 0) return completion(std::unexpected(unsupported_flags(flags, 0, "virStorageVolWipePattern")));
  run<void>(wipe(caller.connection_id, volume, algorithm), std::move(completion));
}
std::unique_ptr<Stream> LocalStorageDriver::upload_volume(const Caller&, const VolumeHandle& volume,
                                                          std::uint64_t offset, std::uint64_t length,
                                                          unsigned int flags) {
  check_flags(flags, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, "virStorageVolUpload");
  return transfer(volume, {.work = Work::upload_volume, .offset = offset, .length = length}, flags != 0);
}
std::unique_ptr<Stream> LocalStorageDriver::download_volume(const Caller&, const VolumeHandle& volume,
                                                            std::uint64_t offset, std::uint64_t length,
                                                            unsigned int flags) {
  check_flags(flags, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM, "virStorageVolDownload");
  return transfer(volume, {.work = Work::download_volume, .offset = offset, .length = length}, flags != 0);
}

}  // namespace warren::driver::storage
