#include "driver/storage/backend/zfs_backend.h"

#include <charconv>

#include <fmt/format.h>
#include <unistd.h>

#include "driver/storage/backend/block_device.h"
#include "driver/storage/backend/raw_clone.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

bool ZfsBackend::is_there() {
  return !find_tool("zpool").empty() &&
         run_tool({.name = "zpool", .arguments = {"list", "-H", "-o", "name", pool_.source.name}}).status ==
             0;
}

void ZfsBackend::build() {
  if (pool_.source.devices.empty()) throw storage_error(VIR_ERR_INVALID_ARG, "missing source devices");
  std::vector<std::string> arguments{"create", pool_.source.name};
  for (const SourceDevice& device : pool_.source.devices) arguments.push_back(device.path);
  require_tool({.name = "zpool", .arguments = std::move(arguments), .deadline = std::chrono::seconds(120)});
}

void ZfsBackend::remove() {
  require_tool(
      {.name = "zpool", .arguments = {"destroy", pool_.source.name}, .deadline = std::chrono::seconds(120)});
}

std::string ZfsBackend::dataset(const std::string& name) const {
  // zfs(8): components of letters, digits and these.
  if (name.empty() || name.front() == '-' ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") !=
          std::string::npos)
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("'{}' cannot be the name of a ZFS volume", name));
  return pool_.source.name + "/" + name;
}

std::vector<VolumeDefinition> ZfsBackend::list() const {
  std::vector<VolumeDefinition> volumes;
  const std::string output = require_tool({.name = "zfs",
                                           .arguments = {"list", "-Hp", "-t", "volume", "-r", "-o",
                                                         "name,volsize,refreservation", pool_.source.name}});
  for (std::string_view line : split_lines(output)) {
    const auto fields = split_fields(line, '\t');
    const std::size_t slash = fields[0].rfind('/');
    if (fields.size() != 3 || slash == std::string_view::npos) continue;
    VolumeDefinition& volume = volumes.emplace_back();
    volume.type = VIR_STORAGE_VOL_BLOCK;
    volume.name = fields[0].substr(slash + 1);
    volume.target.path = volume.key = pool_.target_path + "/" + volume.name;
    volume.capacity = volume.allocation = number(fields[1]);
    const std::uint64_t reserved = number(fields[2]);
    if (::access(volume.target.path.c_str(), R_OK) == 0) fill_from_device(volume);
    if (reserved < volume.capacity) volume.allocation = reserved;
  }
  return volumes;
}

void ZfsBackend::refresh(Reporter& reporter) {
  settle_devices();
  for (const VolumeDefinition& volume : list()) reporter.volume(volume);
  PoolDefinition pool = pool_;
  const std::string output = require_tool(
      {.name = "zpool", .arguments = {"list", "-Hp", "-o", "size,free,allocated", pool_.source.name}});
  const auto lines = split_lines(output);
  const auto fields = lines.empty() ? std::vector<std::string_view>{} : split_fields(lines[0], '\t');
  if (fields.size() != 3) throw storage_error(VIR_ERR_INTERNAL_ERROR, "malformed answer of zpool");
  pool.capacity = number(fields[0]);
  pool.available = number(fields[1]);
  pool.allocation = number(fields[2]);
  reporter.pool(pool);
}

void ZfsBackend::make(const VolumeDefinition& wanted) {
  std::vector<std::string> arguments{"create"};
  if (wanted.allocation < wanted.capacity) arguments.emplace_back("-s");
  // In units of 8 KiB, ZFS's own.
  arguments.insert(arguments.end(),
                   {"-V", std::to_string((wanted.capacity + 8191) / 8192 * 8192), dataset(wanted.name)});
  require_tool({.name = "zfs", .arguments = std::move(arguments)});
  settle_devices();
}

void ZfsBackend::create(const VolumeDefinition& wanted, Reporter& reporter) {
  make(wanted);
  reporter.progress(wanted.capacity);
}

void ZfsBackend::clone(const VolumeDefinition& wanted, Reporter& reporter) {
  make(wanted);
  reporter.progress(0);
  clone_to_device(request_, stable_path("/dev", pool_.target_path + "/" + wanted.name), reporter);
}

void ZfsBackend::remove_volume(const VolumeDefinition& volume) {
  require_tool({.name = "zfs", .arguments = {"destroy", dataset(volume.name)}});
}

void ZfsBackend::resize(const VolumeDefinition& volume, std::uint64_t capacity) {
  require_tool({.name = "zfs",
                .arguments = {"set", fmt::format("volsize={}", (capacity + 8191) / 8192 * 8192),
                              dataset(volume.name)}});
}

VolumeDefinition ZfsBackend::inspect(const VolumeDefinition& volume) {
  for (VolumeDefinition& found : list())
    if (found.name == volume.name) return found;
  throw storage_error(VIR_ERR_NO_STORAGE_VOL,
                      fmt::format("no storage vol with matching name '{}'", volume.name));
}

vmm::FileDescriptor ZfsBackend::open_data(const VolumeDefinition& volume, int access) {
  dataset(volume.name);
  return open_device(pool_.target_path + "/" + volume.name, access);
}

}  // namespace warren::driver::storage::backend
