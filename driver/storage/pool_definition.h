// <pool>: where volumes come from and where they appear.
//
// Format: libvirt's formatstorage. Pure functions; the document is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver/contract/storage.h"

namespace warren::driver::storage {

enum class PoolType { dir, fs, netfs, logical, disk, iscsi, iscsi_direct, scsi, rbd, zfs };

// Of a pool's target or a volume. Absent: whatever they are, or the default of what is made.
struct Permissions {
  std::optional<std::uint32_t> mode;  // below 01000
  std::optional<std::uint32_t> owner;
  std::optional<std::uint32_t> group;
  std::string label;
  bool empty() const { return !mode && !owner && !group && label.empty(); }
  bool operator==(const Permissions&) const = default;
};

struct SourceHost {
  std::string name;
  std::uint16_t port = 0;  // 0: the protocol's own
  bool operator==(const SourceHost&) const = default;
};

// In bytes from the start of the device.
struct FreeExtent {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool operator==(const FreeExtent&) const = default;
};

struct SourceDevice {
  std::string path;
  std::optional<bool> part_separator;
  std::vector<FreeExtent> free_extents;  // found, never read
  bool operator==(const SourceDevice&) const = default;
};

// A SCSI or fibre channel host.
struct SourceAdapter {
  std::string type;  // "scsi_host", "fc_host"; empty: none
  std::string name;  // "host5"
  std::string parent;
  std::optional<bool> managed;
  std::string wwnn, wwpn;
  bool operator==(const SourceAdapter&) const = default;
};

struct SourceAuthentication {
  std::string type;  // "chap", "ceph"; empty: none
  std::string username;
  std::string secret_uuid;  // one of the two
  std::string secret_usage;
  bool operator==(const SourceAuthentication&) const = default;
};

struct PoolSource {
  std::vector<SourceHost> hosts;
  std::vector<SourceDevice> devices;
  std::string directory;
  SourceAdapter adapter;
  std::string name;
  std::string initiator;
  std::string format;  // empty: this type of pool has none
  SourceAuthentication authentication;
  std::string protocol_version;
  std::string vendor;
  std::string product;
  bool operator==(const PoolSource&) const = default;
};

struct NamedValue {
  std::string name;
  std::string value;
  bool operator==(const NamedValue&) const = default;
};

struct PoolDefinition {
  PoolType type = PoolType::dir;
  std::string name;
  Uuid uuid;
  std::uint64_t capacity = 0;  // bytes, as the others; found, never read
  std::uint64_t allocation = 0;
  std::uint64_t available = 0;
  std::optional<bool> cow;
  PoolSource source;
  std::string target_path;  // absolute; empty: volumes are reached by other means
  Permissions permissions;
  std::string refresh_allocation;          // "default", "capacity"; empty: not given
  std::vector<std::string> mount_options;  // fs:mount_opts
  std::vector<NamedValue> config_options;  // rbd:config_opts

  PoolHandle handle() const { return {name, uuid}; }
  bool operator==(const PoolDefinition&) const = default;
};

// What a type of pool has.
struct PoolTraits {
  PoolType type;
  std::string_view name;
  bool has_host, has_device, has_directory, has_adapter, has_name, has_initiator, has_target;
  std::span<const std::string_view> source_formats;
  std::string_view default_source_format;
  std::span<const std::string_view> volume_formats;
  std::string_view default_volume_format;
};
const PoolTraits& traits_of(PoolType type);
// Null for a name that is no served type of pool.
const PoolTraits* find_traits(std::string_view name);
// In libvirt's order, those that are known and refused among them; for pool-capabilities.
std::span<const std::string_view> all_pool_types();

// A pool without <uuid> gets one. Throws driver::Error (domain STORAGE): XML_ERROR for what is malformed,
// CONFIG_UNSUPPORTED for what Warren does not know, XML_INVALID_SCHEMA if it was to be validated.
PoolDefinition parse_pool(std::string_view xml, bool validate = false);
// <source> alone, as virConnectFindStoragePoolSources takes it.
PoolSource parse_pool_source(std::string_view xml, PoolType type);
std::string format_pool(const PoolDefinition& definition);
// <sources> with one <source> each.
std::string format_pool_sources(PoolType type, std::span<const PoolSource> sources);
std::string format_pool_capabilities();

// `path` without "//" and a slash at its end.
std::string sanitized_path(std::string_view path);

}  // namespace warren::driver::storage
