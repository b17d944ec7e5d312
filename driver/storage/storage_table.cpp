#include "driver/storage/storage_table.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::driver::storage {

namespace {

bool have_same_host(const PoolSource& one, const PoolSource& other) {
  return one.hosts.size() == 1 && other.hosts.size() == 1 && one.hosts[0].name == other.hosts[0].name &&
         one.hosts[0].port == other.hosts[0].port;
}

bool share_a_device(const PoolSource& one, const PoolSource& other) {
  return std::ranges::any_of(one.devices, [&](const SourceDevice& device) {
    return std::ranges::find(other.devices, device.path, &SourceDevice::path) != other.devices.end();
  });
}

bool is_on_devices(PoolType type) {
  return type == PoolType::fs || type == PoolType::logical || type == PoolType::disk || type == PoolType::zfs;
}

}  // namespace

bool have_same_source(const PoolDefinition& one, const PoolDefinition& other) {
  if (is_on_devices(one.type) && is_on_devices(other.type)) return share_a_device(one.source, other.source);
  if (one.type != other.type) return false;
  switch (one.type) {
    case PoolType::dir:
      return one.target_path == other.target_path;
    case PoolType::netfs:
      return one.source.directory == other.source.directory && have_same_host(one.source, other.source);
    case PoolType::iscsi:
      return share_a_device(one.source, other.source) && have_same_host(one.source, other.source) &&
             one.source.initiator == other.source.initiator;
    case PoolType::scsi:
      return one.source.adapter.type == other.source.adapter.type &&
             one.source.adapter.name == other.source.adapter.name &&
             one.source.adapter.wwpn == other.source.adapter.wwpn;
    default:
      return false;
  }
}

PoolPointer PoolTable::find(const Uuid& uuid) const noexcept {
  const auto found = pools_.find(uuid);
  return found == pools_.end() ? nullptr : found->second;
}

PoolPointer PoolTable::find_name(const std::string& name) const noexcept {
  for (const auto& [uuid, pool] : pools_)
    if (pool->definition.name == name) return pool;
  return nullptr;
}

PoolPointer PoolTable::by_uuid(const Uuid& uuid) const {
  if (PoolPointer pool = find(uuid)) return pool;
  throw Error(VIR_ERR_NO_STORAGE_POOL,
              fmt::format("no storage pool with matching uuid '{}'", uuid.to_string()), VIR_FROM_STORAGE);
}

PoolPointer PoolTable::by_name(const std::string& name) const {
  if (PoolPointer pool = find_name(name)) return pool;
  throw Error(VIR_ERR_NO_STORAGE_POOL, fmt::format("no storage pool with matching name '{}'", name),
              VIR_FROM_STORAGE);
}

std::vector<PoolPointer> PoolTable::all() const {
  std::vector<PoolPointer> pools;
  for (const auto& [uuid, pool] : pools_) pools.push_back(pool);
  std::ranges::sort(pools, {}, [](const PoolPointer& pool) { return pool->definition.name; });
  return pools;
}

PoolPointer PoolTable::check_new(const PoolDefinition& definition, bool is_to_start) const {
  PoolPointer known = find(definition.uuid);
  if (known) {
    if (known->definition.name != definition.name) {
      throw Error(VIR_ERR_OPERATION_FAILED,
                  fmt::format("pool '{}' is already defined with uuid {}", known->definition.name,
                              definition.uuid.to_string()),
                  VIR_FROM_STORAGE);
    }
    if (is_to_start && known->is_active) {
      throw Error(VIR_ERR_OPERATION_INVALID, fmt::format("pool is already active as '{}'", definition.name),
                  VIR_FROM_STORAGE);
    }
    if (is_to_start && known->is_starting) {
      throw Error(VIR_ERR_OPERATION_INVALID, fmt::format("pool '{}' is starting up", definition.name),
                  VIR_FROM_STORAGE);
    }
  } else if (const PoolPointer other = find_name(definition.name)) {
    throw Error(VIR_ERR_OPERATION_FAILED,
                fmt::format("pool '{}' already exists with uuid {}", definition.name,
                            other->definition.uuid.to_string()),
                VIR_FROM_STORAGE);
  }
  for (const auto& [uuid, pool] : pools_) {
    if (pool != known && have_same_source(pool->definition, definition)) {
      throw Error(VIR_ERR_OPERATION_FAILED,
                  fmt::format("Storage source conflict with pool: '{}'", pool->definition.name),
                  VIR_FROM_STORAGE);
    }
  }
  return known;
}

}  // namespace warren::driver::storage
