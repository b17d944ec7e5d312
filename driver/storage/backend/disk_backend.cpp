#include "driver/storage/backend/disk_backend.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "driver/storage/backend/block_device.h"
#include "driver/storage/backend/file_system_backend.h"
#include "driver/storage/backend/raw_clone.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::uint64_t kAlignment = 1u << 20;

// parted's names of partition tables, where they differ from libvirt's.
std::string parted_name(const std::string& format) {
  if (format == "dos" || format == "unknown") return "msdos";
  return format;
}

// "1048576B"
std::uint64_t bytes_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

struct DiskBackend::Table {
  struct Partition {
    unsigned number = 0;
    std::uint64_t start = 0;  // bytes
    std::uint64_t end = 0;    // the first one after it
    bool is_extended = false;
  };
  std::string kind;  // parted's name
  std::uint64_t bytes = 0;
  std::vector<Partition> partitions;
  std::vector<FreeExtent> free;
};

DiskBackend::Table DiskBackend::read_table() const {
  const std::string output = require_tool(
      {.name = "parted", .arguments = {"-s", "-m", "--", device(), "unit", "B", "print", "free"}});
  // One line for each: number:start:end:size:file system:name:flags; or 1:start:end:size:free (parted(8),
  // -m).
  Table table;
  for (std::string_view line : split_lines(output)) {
    const auto fields = split_fields(line.substr(0, line.rfind(';')), ':');
    if (fields.size() >= 6 && fields[0].starts_with('/')) {
      table.bytes = bytes_of(fields[1]);
      table.kind = fields[5];
    } else if (fields.size() >= 5 && fields[4] == "free") {
      table.free.push_back({bytes_of(fields[1]), bytes_of(fields[2]) + 1});
    } else if (fields.size() >= 5 && !fields[0].empty() && fields[0].front() >= '1' &&
               fields[0].front() <= '9') {
      Table::Partition& partition = table.partitions.emplace_back();
      std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), partition.number);
      partition.start = bytes_of(fields[1]);
      partition.end = bytes_of(fields[2]) + 1;
    }
  }
  // Of the tables, one alone has extended partitions: what holds others is one.
  for (auto& outer : table.partitions)
    for (const auto& inner : table.partitions)
      if (table.kind == "msdos" && outer.number <= 4 && inner.number > 4 && outer.start <= inner.start &&
          inner.end <= outer.end)
        outer.is_extended = true;
  return table;
}

std::string DiskBackend::partition_path(unsigned number) const {
  std::error_code failed;
  std::string node = std::filesystem::canonical(device(), failed).native();
  if (failed) node = device();
  // As the kernel names them: after a digit comes a "p".
  const bool separated = node.back() >= '0' && node.back() <= '9';
  return fmt::format("{}{}{}", node, pool_.source.devices.at(0).part_separator.value_or(separated) ? "p" : "",
                     number);
}

std::vector<VolumeDefinition> DiskBackend::list(const Table& table) const {
  std::vector<VolumeDefinition> volumes;
  for (const auto& partition : table.partitions) {
    const std::string node = partition_path(partition.number);
    VolumeDefinition volume;
    volume.name = node.substr(node.rfind('/') + 1);
    volume.type = VIR_STORAGE_VOL_BLOCK;
    volume.target.path = stable_path(pool_.target_path, node);
    if (volume.target.path.empty()) continue;
    volume.key = volume.target.path;
    volume.target.format = partition.is_extended ? "extended" : "none";
    volume.capacity = volume.allocation = partition.end - partition.start;
    if (!partition.is_extended && ::access(volume.target.path.c_str(), R_OK) == 0) fill_from_device(volume);
    volume.capacity = volume.allocation = partition.end - partition.start;
    volume.extents.push_back({device(), partition.start, partition.end});
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

bool DiskBackend::is_there() {
  return ::access(device().c_str(), F_OK) == 0;
}

void DiskBackend::start() {
  settle_devices();
  if (!is_there())
    throw storage_error(VIR_ERR_OPERATION_INVALID, fmt::format("device path '{}' doesn't exist", device()));
}

void DiskBackend::build() {
  const std::string kind = parted_name(pool_.source.format);
  if (kind == "lvm2") {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        "a disk of volume manager 'lvm2' is for a pool of type 'logical'");
  }
  // Without a word about it, what is there is not overwritten either.
  std::uint32_t flags = request_.flags;
  if ((flags & VIR_STORAGE_POOL_BUILD_OVERWRITE) == 0) flags |= VIR_STORAGE_POOL_BUILD_NO_OVERWRITE;
  check_overwrite(device(), kind == "msdos" ? "dos" : kind, flags);
  if ((flags & VIR_STORAGE_POOL_BUILD_OVERWRITE) != 0)
    require_tool({.name = "wipefs", .arguments = {"--all", "--quiet", "--", device()}});
  require_tool({.name = "parted", .arguments = {"--script", "--", device(), "mklabel", kind}});
}

void DiskBackend::remove() {
  require_tool({.name = "wipefs", .arguments = {"--all", "--quiet", "--", device()}});
}

void DiskBackend::refresh(Reporter& reporter) {
  settle_devices();
  const Table table = read_table();
  for (const VolumeDefinition& volume : list(table)) reporter.volume(volume);
  PoolDefinition pool = pool_;
  pool.source.format = table.kind == "msdos" ? "dos" : table.kind;
  pool.capacity = table.bytes;
  pool.available = 0;
  auto& extents = pool.source.devices.at(0).free_extents;
  extents = table.free;
  for (const FreeExtent& extent : extents) pool.available += extent.end - extent.start;
  pool.allocation = 0;
  for (const auto& partition : table.partitions)
    if (!partition.is_extended) pool.allocation += partition.end - partition.start;
  reporter.pool(pool);
}

std::string DiskBackend::make(const VolumeDefinition& wanted) {
  if (!wanted.target.encryption.empty())
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        "storage pool only supports encrypted volumes made elsewhere");
  const Table before = read_table();
  const std::uint64_t length = (wanted.capacity + kAlignment - 1) / kAlignment * kAlignment;
  // The smallest extent that is large enough.
  std::optional<FreeExtent> chosen;
  for (const FreeExtent& extent : before.free) {
    const std::uint64_t start = (extent.start + kAlignment - 1) / kAlignment * kAlignment;
    if (start + length < start || start + length > extent.end) continue;
    if (!chosen || extent.end - extent.start < chosen->end - chosen->start) chosen = extent;
  }
  if (!chosen) throw storage_error(VIR_ERR_INTERNAL_ERROR, "no large enough free extent");
  const std::uint64_t start = (chosen->start + kAlignment - 1) / kAlignment * kAlignment;
  std::vector<std::string> arguments{"--script", "--align", "optimal", "--", device(), "mkpart"};
  if (before.kind == "msdos") {
    const bool inside = std::ranges::any_of(before.partitions, [&](const auto& partition) {
      return partition.is_extended && partition.start <= start && start + length <= partition.end;
    });
    arguments.emplace_back(wanted.target.format == "extended" ? "extended" : inside ? "logical" : "primary");
  } else {
    if (wanted.target.format == "extended")
      throw storage_error(VIR_ERR_INTERNAL_ERROR, "this partition table has no extended partitions");
    arguments.emplace_back("primary");  // of a GPT: its name
  }
  if (wanted.target.format == "linux-swap" || wanted.target.format.starts_with("fat"))
    arguments.push_back(wanted.target.format);
  arguments.insert(arguments.end(), {fmt::format("{}B", start), fmt::format("{}B", start + length - 1)});
  require_tool({.name = "parted", .arguments = std::move(arguments)});
  settle_devices();
  for (const auto& partition : read_table().partitions) {
    if (std::ranges::none_of(before.partitions,
                             [&](const auto& old) { return old.number == partition.number; }))
      return partition_path(partition.number);
  }
  throw storage_error(VIR_ERR_INTERNAL_ERROR, "the partition that was made is not there");
}

// A partition's name is the kernel's, whatever was asked for.
void DiskBackend::create(const VolumeDefinition& wanted, Reporter& reporter) {
  const std::string node = make(wanted);
  VolumeDefinition made{.name = node.substr(node.rfind('/') + 1)};
  made = inspect(made);
  set_permissions(node, wanted.target.permissions);
  reporter.volume(made);
}

void DiskBackend::clone(const VolumeDefinition& wanted, Reporter& reporter) {
  const std::string node = make(wanted);
  VolumeDefinition made{.name = node.substr(node.rfind('/') + 1)};
  made = inspect(made);
  reporter.volume(made);
  set_permissions(node, wanted.target.permissions);
  clone_to_device(request_, node, reporter);
}

void DiskBackend::remove_volume(const VolumeDefinition& volume) {
  for (const auto& partition : read_table().partitions) {
    const std::string node = partition_path(partition.number);
    if (node.substr(node.rfind('/') + 1) != volume.name) continue;
    require_tool({.name = "parted",
                  .arguments = {"--script", "--", device(), "rm", std::to_string(partition.number)}});
    settle_devices();
    return;
  }
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

VolumeDefinition DiskBackend::inspect(const VolumeDefinition& volume) {
  settle_devices();
  for (VolumeDefinition& found : list(read_table()))
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

vmm::FileDescriptor DiskBackend::open_data(const VolumeDefinition& volume, int access) {
  return open_device(inspect(volume).target.path, access);
}

}  // namespace warren::driver::storage::backend
