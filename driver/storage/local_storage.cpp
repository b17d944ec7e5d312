#include "driver/storage/local_storage.h"

#include <algorithm>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

namespace warren::driver::storage {

namespace asio = boost::asio;

namespace {

constexpr const char* kFormatsDocument = "image-formats";

// Whether a pair of "is" and "is not" bits lets something through; neither bit and both bits let all.
bool admits(unsigned int flags, unsigned int is, unsigned int is_not, bool value) {
  return (flags & (is | is_not)) == 0 || (flags & (value ? is : is_not)) != 0;
}

unsigned int type_flag(PoolType type) {
  switch (type) {
    case PoolType::dir:
      return VIR_CONNECT_LIST_STORAGE_POOLS_DIR;
    case PoolType::fs:
      return VIR_CONNECT_LIST_STORAGE_POOLS_FS;
    case PoolType::netfs:
      return VIR_CONNECT_LIST_STORAGE_POOLS_NETFS;
    case PoolType::logical:
      return VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL;
    case PoolType::disk:
      return VIR_CONNECT_LIST_STORAGE_POOLS_DISK;
    case PoolType::iscsi:
      return VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI;
    case PoolType::iscsi_direct:
      return VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT;
    case PoolType::scsi:
      return VIR_CONNECT_LIST_STORAGE_POOLS_SCSI;
    case PoolType::rbd:
      return VIR_CONNECT_LIST_STORAGE_POOLS_RBD;
    case PoolType::zfs:
      return VIR_CONNECT_LIST_STORAGE_POOLS_ZFS;
  }
  return 0;
}

constexpr unsigned int kTypeFlags =
    VIR_CONNECT_LIST_STORAGE_POOLS_DIR | VIR_CONNECT_LIST_STORAGE_POOLS_FS |
    VIR_CONNECT_LIST_STORAGE_POOLS_NETFS | VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL |
    VIR_CONNECT_LIST_STORAGE_POOLS_DISK | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI |
    VIR_CONNECT_LIST_STORAGE_POOLS_SCSI | VIR_CONNECT_LIST_STORAGE_POOLS_MPATH |
    VIR_CONNECT_LIST_STORAGE_POOLS_RBD | VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG |
    VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER | VIR_CONNECT_LIST_STORAGE_POOLS_ZFS |
    VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE | VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT;

}  // namespace

Error storage_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_STORAGE};
}

void require_active(const Pool& pool) {
  if (!pool.is_active) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("storage pool '{}' is not active", pool.definition.name));
  }
}

void require_no_jobs(const Pool& pool) {
  if (pool.jobs > 0) {
    throw storage_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("pool '{}' has asynchronous jobs running.", pool.definition.name));
  }
}

std::unique_ptr<LocalStorage> make_storage_driver(asio::io_context& loop, StorageSettings settings) {
  HelperLauncher launcher = launch_program(settings.helper_program);
  return std::make_unique<LocalStorageDriver>(loop, std::move(settings), std::move(launcher));
}

LocalStorageDriver::LocalStorageDriver(asio::io_context& loop, StorageSettings settings,
                                       HelperLauncher launcher)
    : loop_(loop),
      settings_(std::move(settings)),
      launcher_(std::move(launcher)),
      subscriptions_(loop),
      definitions_(settings_.configuration_directory),
      statuses_(settings_.runtime_directory),
      records_(settings_.state_directory) {
  read_documents();
}

LocalStorageDriver::~LocalStorageDriver() {
  launching_.join();
  for (const auto& weak : all_calls_)
    if (const auto call = weak.lock()) call->forget();
  store_thread_.join();
}

void LocalStorageDriver::read_documents() {
  const auto name_of = [](std::string_view text) { return parse_pool(text).name; };
  const auto report = [this](const store::LoadReport& loaded) {
    for (const store::BrokenDocument& broken : loaded.broken)
      settings_.report(fmt::format("{} is set aside: {}", broken.file, broken.reason));
  };
  const auto add = [this](const store::StoredDocument& document, bool is_persistent) {
    auto pool = std::make_shared<Pool>(loop_);
    pool->definition = parse_pool(document.text);
    pool->is_persistent = is_persistent;
    pool->autostart = document.autostart;
    if (table_.find(pool->definition.uuid) != nullptr) {
      settings_.report(
          fmt::format("storage pool '{}' is not used: another one has its UUID", pool->definition.name));
      return;
    }
    table_.add(pool);
  };
  const store::LoadReport definitions = definitions_.load_all(name_of);
  for (const store::StoredDocument& document : definitions.documents) {
    add(document, true);
    // One that was put there by hand or by a package gets its UUID for good.
    const PoolPointer pool = table_.find_name(document.name);
    if (pool && document.text.find("<uuid>") == std::string::npos)
      definitions_.write(document.name, format_pool(pool->definition));
  }
  report(definitions);
  const store::LoadReport statuses = statuses_.load_all(name_of);
  for (const store::StoredDocument& document : statuses.documents) {
    PoolDefinition live = parse_pool(document.text);
    active_before_.insert(live.uuid);
    const PoolPointer known = table_.find(live.uuid);
    if (known == nullptr) {
      add(document, false);
    } else if (known->definition.name == live.name) {
      // What it was started with stands until it is stopped.
      const PoolDefinition stored = std::exchange(known->definition, std::move(live));
      if (!(stored == known->definition)) known->next = stored;
    }
  }
  report(statuses);
  const store::LoadReport records = records_.load_all([](std::string_view) { return kFormatsDocument; });
  for (const store::StoredDocument& document : records.documents) {
    try {
      formats_.parse(document.text);
    } catch (const Error& error) {
      settings_.report(fmt::format("declared formats of images are lost: {}", error.message()));
    }
  }
}

template <typename T>
void LocalStorageDriver::run(Task<T> task, Completion<T> completion) {
  loop::run_task(loop_, std::move(task), std::move(completion));
}
template void LocalStorageDriver::run(Task<void>, Completion<void>);
template void LocalStorageDriver::run(Task<PoolHandle>, Completion<PoolHandle>);
template void LocalStorageDriver::run(Task<VolumeHandle>, Completion<VolumeHandle>);
template void LocalStorageDriver::run(Task<std::string>, Completion<std::string>);

Request LocalStorageDriver::request_for(const PoolDefinition& pool, Work work) {
  Request request{.work = work, .pool = pool};
  request.pool.source.devices = pool.source.devices;
  for (SourceDevice& device : request.pool.source.devices) device.free_extents.clear();
  if (!pool.target_path.empty()) request.formats = formats_.below(pool.target_path);
  add_secret(request);
  return request;
}

void LocalStorageDriver::add_secret(Request& request) const {
  const SourceAuthentication& authentication = request.pool.source.authentication;
  if (authentication.type.empty()) return;
  if (!settings_.secret)
    throw storage_error(VIR_ERR_NO_SUPPORT, "this daemon keeps no secrets to authenticate a pool with");
  request.secret = settings_.secret(
      authentication.secret_uuid, authentication.secret_usage,
      authentication.type == "chap" ? VIR_SECRET_USAGE_TYPE_ISCSI : VIR_SECRET_USAGE_TYPE_CEPH);
}

std::chrono::milliseconds LocalStorageDriver::deadline_of(Work work) const {
  switch (work) {
    case Work::check_pool:
    case Work::refresh_pool:
    case Work::refresh_volume:
    case Work::find_sources:
      return settings_.look_deadline;
    default:
      return settings_.work_deadline;
  }
}

std::shared_ptr<HelperCall> LocalStorageDriver::make_call() {
  std::erase_if(all_calls_, [](const auto& call) { return call.expired(); });
  auto call = std::make_shared<HelperCall>(loop_, launching_, launcher_);
  all_calls_.push_back(call);
  return call;
}

Task<std::uint64_t> LocalStorageDriver::have_done(Request request, Record record, std::uint64_t connection,
                                                  std::shared_ptr<HelperCall> call) {
  if (!call) call = make_call();
  auto entry = calls_.end();
  if (connection != 0) entry = calls_.emplace(connection, call);
  HelperOrder order{.deadline = deadline_of(request.work), .record = std::move(record)};
  order.request = std::move(request);
  loop::Beginning<std::uint64_t> begin =
      [call, order = std::move(order)](Completion<std::uint64_t> completion) mutable {
        call->begin(std::move(order), std::move(completion));
      };
  std::exception_ptr failed;
  std::uint64_t number = 0;
  try {
    number = co_await loop::await_completion<std::uint64_t>(std::move(begin));
  } catch (...) {
    failed = std::current_exception();
  }
  if (entry != calls_.end()) calls_.erase(entry);
  if (failed) std::rethrow_exception(failed);
  co_return number;
}

void LocalStorageDriver::connection_closed(std::uint64_t connection_id) {
  std::vector<std::shared_ptr<HelperCall>> calls;
  const auto [first, last] = calls_.equal_range(connection_id);
  for (auto at = first; at != last; ++at)
    if (auto call = at->second.lock()) calls.push_back(std::move(call));
  for (const auto& call : calls)
    call->abort(storage_error(VIR_ERR_OPERATION_ABORTED, "the client that asked for it has gone away"));
}

void LocalStorageDriver::emit(const Pool& pool, int lifecycle_event) {
  subscriptions_.emit(VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, pool.definition.uuid,
                      {.pool = pool.definition.handle(), .event = lifecycle_event});
}

void LocalStorageDriver::emit_refresh(const Pool& pool) {
  subscriptions_.emit(VIR_STORAGE_POOL_EVENT_ID_REFRESH, pool.definition.uuid,
                      {.pool = pool.definition.handle(), .id = VIR_STORAGE_POOL_EVENT_ID_REFRESH});
}

LocalStorageDriver::SubscriptionId LocalStorageDriver::subscribe(int event_id, std::optional<Uuid> pool,
                                                                 Handler handler) {
  if (event_id != VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE && event_id != VIR_STORAGE_POOL_EVENT_ID_REFRESH) {
    throw storage_error(VIR_ERR_INVALID_ARG,
                        fmt::format("there is no storage pool event with the id {}", event_id));
  }
  return subscriptions_.add(event_id, pool, std::move(handler));
}

void LocalStorageDriver::unsubscribe(SubscriptionId id) noexcept {
  subscriptions_.remove(id);
}

std::vector<PoolHandle> LocalStorageDriver::list_pools(const Caller&, unsigned int flags) const {
  check_flags(flags,
              VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE |
                  VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT | VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT |
                  VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART | VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART |
                  kTypeFlags,
              "virConnectListAllStoragePools");
  std::vector<PoolHandle> handles;
  for (const PoolPointer& pool : table_.all()) {
    if (admits(flags, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE, VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE,
               pool->is_active) &&
        admits(flags, VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT, VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT,
               pool->is_persistent) &&
        admits(flags, VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART, VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART,
               pool->autostart) &&
        ((flags & kTypeFlags) == 0 || (flags & type_flag(pool->definition.type)) != 0))
      handles.push_back(pool->definition.handle());
  }
  return handles;
}

PoolHandle LocalStorageDriver::pool_by_name(const Caller&, const std::string& name) const {
  return table_.by_name(name)->definition.handle();
}

PoolHandle LocalStorageDriver::pool_by_uuid(const Caller&, const Uuid& uuid) const {
  return table_.by_uuid(uuid)->definition.handle();
}

PoolHandle LocalStorageDriver::pool_by_target_path(const Caller&, const std::string& path) const {
  const std::string clean = sanitized_path(path);
  for (const PoolPointer& pool : table_.all())
    if (pool->is_active && pool->definition.target_path == clean) return pool->definition.handle();
  throw storage_error(VIR_ERR_NO_STORAGE_POOL,
                      fmt::format("no storage pool with matching target path '{}'", clean));
}

PoolInfo LocalStorageDriver::pool_info(const Caller&, const Uuid& uuid) const {
  const PoolPointer pool = table_.by_uuid(uuid);
  return {.state = pool->is_active ? VIR_STORAGE_POOL_RUNNING : VIR_STORAGE_POOL_INACTIVE,
          .capacity = pool->definition.capacity,
          .allocation = pool->definition.allocation,
          .available = pool->definition.available};
}

std::string LocalStorageDriver::pool_xml(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, VIR_STORAGE_XML_INACTIVE, "virStoragePoolGetXMLDesc");
  const PoolPointer pool = table_.by_uuid(uuid);
  const bool of_next_start = (flags & VIR_STORAGE_XML_INACTIVE) != 0 && pool->next;
  return format_pool(of_next_start ? *pool->next : pool->definition);
}

bool LocalStorageDriver::pool_is_active(const Caller&, const Uuid& pool) const {
  return table_.by_uuid(pool)->is_active;
}

bool LocalStorageDriver::pool_is_persistent(const Caller&, const Uuid& pool) const {
  return table_.by_uuid(pool)->is_persistent;
}

bool LocalStorageDriver::pool_autostart(const Caller&, const Uuid& pool) const {
  return table_.by_uuid(pool)->autostart;
}

std::string LocalStorageDriver::pool_capabilities(const Caller&, unsigned int flags) const {
  check_flags(flags, 0, "virConnectGetStoragePoolCapabilities");
  return format_pool_capabilities();
}

void LocalStorageDriver::declare_format(const std::string& path, const std::string& format) {
  if (!formats_.set(path, format)) return;
  std::move_only_function<void()> write = [this, text = formats_.format()] {
    records_.write(kFormatsDocument, text);
  };
  run<void>(on_disk(std::move(write)), [this](std::expected<void, Error> outcome) {
    if (!outcome) settings_.report(fmt::format("declared format is not kept: {}", outcome.error().message()));
  });
}

VolumeSource LocalStorageDriver::volume_source(const std::string& pool_name,
                                               const std::string& volume) const {
  const PoolPointer pool = table_.by_name(pool_name);
  if (!pool->is_active) {
    throw storage_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("storage pool '{}' containing volume '{}' is not active", pool_name, volume));
  }
  const auto found = pool->volumes.find(volume);
  if (found == pool->volumes.end())
    throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                        fmt::format("no storage vol with matching name '{}'", volume));
  const VolumeDefinition& definition = found->second->definition;
  if (found->second->is_building)
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("volume '{}' is still being allocated.", volume));
  if (definition.type != VIR_STORAGE_VOL_FILE && definition.type != VIR_STORAGE_VOL_BLOCK)
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        fmt::format("volume '{}' is neither a file nor a block device of this host", volume));
  return {.path = definition.target.path, .is_block = definition.type == VIR_STORAGE_VOL_BLOCK};
}

}  // namespace warren::driver::storage
