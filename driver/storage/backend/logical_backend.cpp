#include "driver/storage/backend/logical_backend.h"

#include <algorithm>
#include <charconv>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/block_device.h"
#include "driver/storage/backend/file_system_backend.h"
#include "driver/storage/backend/raw_clone.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

namespace json = boost::json;

Tool lvm(std::string name, std::vector<std::string> arguments) {
  return {.name = std::move(name), .arguments = std::move(arguments), .deadline = std::chrono::seconds(120)};
}

// The rows of a report (lvmreport(7), --reportformat json).
json::array rows(const std::string& output, const char* kind) {
  json::error_code failed;
  const json::value document = json::parse(output, failed);
  if (!failed) {
    const auto found = document.find_pointer("/report/0/" + std::string(kind), failed);
    if (found != nullptr && found->is_array()) return found->get_array();
  }
  throw storage_error(VIR_ERR_INTERNAL_ERROR, "malformed report of LVM");
}

std::string field(const json::value& row, const char* name) {
  const auto* object = row.if_object();
  const auto* value = object == nullptr ? nullptr : object->if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t number(const json::value& row, const char* name) {
  const std::string text = field(row, name);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "/dev/sdb1(0),/dev/sdc1(10)": where a segment begins on each of its devices.
void add_extents(const json::value& row, VolumeDefinition& volume) {
  const std::uint64_t extent_bytes = number(row, "vg_extent_size");
  const std::uint64_t stripes = std::max<std::uint64_t>(number(row, "stripes"), 1);
  const std::uint64_t length = number(row, "seg_size") / stripes;
  const std::string devices = field(row, "devices");
  for (std::string_view part : split_fields(devices, ',')) {
    const std::size_t open = part.rfind('(');
    if (open == std::string_view::npos || !part.starts_with('/')) continue;
    std::uint64_t first = 0;
    std::from_chars(part.data() + open + 1, part.data() + part.size(), first);
    std::uint64_t start = 0;
    if (__builtin_mul_overflow(first, extent_bytes, &start)) continue;
    volume.extents.push_back({std::string(part.substr(0, open)), start, start + length});
  }
}

void check_volume_name(const std::string& name) {
  // lvm(8), "Valid names".
  const bool valid =
      !name.empty() && name.size() <= 127 && name.front() != '-' && name != "." && name != ".." &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-") ==
          std::string::npos;
  if (!valid)
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("'{}' cannot be the name of a logical volume", name));
}

}  // namespace

bool LogicalBackend::is_there() {
  // Its directory is there while a volume of it is active.
  return ::access(pool_.target_path.c_str(), F_OK) == 0;
}

void LogicalBackend::start() {
  require_tool(lvm("vgchange", {"-aly", "--", pool_.source.name}));
}

void LogicalBackend::stop() {
  require_tool(lvm("vgchange", {"-aln", "--", pool_.source.name}));
}

void LogicalBackend::build() {
  if (pool_.source.devices.empty())
    throw storage_error(VIR_ERR_INVALID_ARG,
                        "missing source devices: a volume group is made of at least one");
  std::vector<std::string> arguments{"--", pool_.source.name};
  for (const SourceDevice& device : pool_.source.devices)
    check_overwrite(device.path, "LVM2_member", request_.flags);
  for (const SourceDevice& device : pool_.source.devices) {
    if ((request_.flags & VIR_STORAGE_POOL_BUILD_OVERWRITE) != 0)
      require_tool({.name = "wipefs", .arguments = {"--all", "--quiet", "--", device.path}});
    require_tool(lvm("pvcreate", {"--yes", "--", device.path}));
    arguments.push_back(device.path);
  }
  require_tool(lvm("vgcreate", std::move(arguments)));
}

void LogicalBackend::remove() {
  require_tool(lvm("vgremove", {"-f", "--", pool_.source.name}));
  for (const SourceDevice& device : pool_.source.devices) require_tool(lvm("pvremove", {"--", device.path}));
}

std::vector<VolumeDefinition> LogicalBackend::list() const {
  const std::string output = require_tool(
      lvm("lvs", {"--reportformat", "json", "--units", "b", "--nosuffix", "--segments", "-o",
                  "lv_name,origin,lv_uuid,devices,stripes,seg_size,vg_extent_size,lv_size,lv_attr", "--",
                  pool_.source.name}));
  std::vector<VolumeDefinition> volumes;
  for (const json::value& row : rows(output, "seg")) {
    const std::string name = field(row, "lv_name");
    const std::string attributes = field(row, "lv_attr");
    // Pools and metadata of thin volumes hold no data of their own; what is not active cannot be reached
    // (lvs(8)).
    if (attributes.size() < 5 || attributes[4] != 'a' ||
        std::string_view("tTDe").find(attributes[0]) != std::string_view::npos)
      continue;
    if (volumes.empty() || volumes.back().name != name) {
      VolumeDefinition& volume = volumes.emplace_back();
      volume.type = VIR_STORAGE_VOL_BLOCK;
      volume.name = name;
      volume.key = field(row, "lv_uuid");
      volume.target.path = path_of(name);
      volume.capacity = volume.allocation = number(row, "lv_size");
      const std::string origin = field(row, "origin");
      if (!origin.empty()) volume.backing = Image{.path = path_of(origin)};
    }
    add_extents(row, volumes.back());
  }
  return volumes;
}

void LogicalBackend::refresh(Reporter& reporter) {
  settle_devices();
  for (VolumeDefinition& volume : list()) {
    const std::uint64_t size = volume.capacity;
    if (::access(volume.target.path.c_str(), F_OK) == 0) fill_from_device(volume);
    volume.allocation = size;
    reporter.volume(volume);
  }
  const std::string output = require_tool(lvm("vgs", {"--reportformat", "json", "--units", "b", "--nosuffix",
                                                      "-o", "vg_size,vg_free", "--", pool_.source.name}));
  const json::array found = rows(output, "vg");
  if (found.empty())
    throw storage_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("there is no volume group '{}'", pool_.source.name));
  pool_.capacity = number(found[0], "vg_size");
  pool_.available = number(found[0], "vg_free");
  pool_.allocation = pool_.capacity - std::min(pool_.available, pool_.capacity);
  reporter.pool(pool_);
}

std::vector<PoolSource> LogicalBackend::find_sources() {
  const std::string output = require_tool(lvm("pvs", {"--reportformat", "json", "-o", "pv_name,vg_name"}));
  std::vector<PoolSource> sources;
  for (const json::value& row : rows(output, "pv")) {
    const std::string group = field(row, "vg_name");
    if (group.empty()) continue;
    auto found = std::ranges::find(sources, group, &PoolSource::name);
    if (found == sources.end()) {
      sources.push_back({.name = group, .format = "lvm2"});
      found = sources.end() - 1;
    }
    found->devices.push_back({.path = field(row, "pv_name")});
  }
  return sources;
}

void LogicalBackend::make(const VolumeDefinition& wanted) {
  check_volume_name(wanted.name);
  if (!wanted.target.encryption.empty())
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED, "storage pool does not support encrypted volumes");
  std::vector<std::string> arguments{"--yes", "--name", wanted.name};
  if (wanted.backing) {
    arguments.insert(arguments.end(), {"-L", fmt::format("{}b", std::max(wanted.allocation, wanted.capacity)),
                                       "--snapshot", wanted.backing->path});
  } else if (wanted.allocation_given && wanted.allocation < wanted.capacity && wanted.allocation > 0) {
    arguments.insert(arguments.end(),
                     {"-L", fmt::format("{}b", wanted.allocation), "--type", "snapshot", "--virtualsize",
                      fmt::format("{}b", wanted.capacity), pool_.source.name});
  } else {
    arguments.insert(arguments.end(), {"-L", fmt::format("{}b", wanted.capacity), pool_.source.name});
  }
  // Rounded up to whole extents by LVM.
  require_tool(lvm("lvcreate", std::move(arguments)));
  settle_devices();
}

void LogicalBackend::create(const VolumeDefinition& wanted, Reporter& reporter) {
  make(wanted);
  reporter.progress(wanted.capacity);
  set_permissions(path_of(wanted.name), wanted.target.permissions);
}

void LogicalBackend::clone(const VolumeDefinition& wanted, Reporter& reporter) {
  VolumeDefinition full = wanted;
  full.allocation_given = false;
  full.backing.reset();
  make(full);
  reporter.progress(0);
  set_permissions(path_of(wanted.name), wanted.target.permissions);
  clone_to_device(request_, path_of(wanted.name), reporter);
}

void LogicalBackend::remove_volume(const VolumeDefinition& volume) {
  check_volume_name(volume.name);
  settle_devices();
  require_tool(lvm("lvremove", {"-f", "--", pool_.source.name + "/" + volume.name}));
}

void LogicalBackend::resize(const VolumeDefinition& volume, std::uint64_t capacity) {
  check_volume_name(volume.name);
  const bool shrink = capacity < volume.capacity;
  require_tool(lvm(shrink ? "lvreduce" : "lvextend",
                   {"-f", "-L", fmt::format("{}b", capacity), "--", pool_.source.name + "/" + volume.name}));
}

VolumeDefinition LogicalBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : list()) {
    if (found.name != volume.name) continue;
    const std::uint64_t size = found.capacity;
    fill_from_device(found);
    found.allocation = size;
    return found;
  }
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

vmm::FileDescriptor LogicalBackend::open_data(const VolumeDefinition& volume, int access) {
  check_volume_name(volume.name);
  return open_device(path_of(volume.name), access);
}

}  // namespace warren::driver::storage::backend
