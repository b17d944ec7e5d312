#include "driver/storage/backend/file_system_backend.h"

#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mntent.h>

#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

// What is mounted at a path, the last one first seen; empty: nothing.
std::string mounted_at(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> table(::setmntent("/proc/self/mounts", "re"), &::endmntent);
  if (!table) throw host_error(errno, "cannot read mount list");
  std::string found;
  mntent entry{};
  char buffer[8192];
  while (::getmntent_r(table.get(), &entry, buffer, sizeof buffer) != nullptr)
    if (path == entry.mnt_dir) found = entry.mnt_fsname;
  return found;
}

}  // namespace

std::string probe_device(const std::string& device) {
  const ToolResult result = run_tool({.name = "blkid", .arguments = {"-p", "-o", "export", device}});
  if (result.status == 2) return {};  // blkid(8): nothing, or it could not be opened
  if (result.status != 0) {
    throw storage_error(
        VIR_ERR_OPERATION_INVALID,
        fmt::format("Unable to probe '{}' for what is on it (blkid ended with {})", device, result.status));
  }
  std::string type, table;
  for (std::string_view line : split_lines(result.output)) {
    if (line.starts_with("TYPE=")) type = line.substr(5);
    if (line.starts_with("PTTYPE=")) table = line.substr(7);
  }
  return type.empty() ? table : type;
}

void check_overwrite(const std::string& device, const std::string& wanted, std::uint32_t flags) {
  if ((flags & VIR_STORAGE_POOL_BUILD_NO_OVERWRITE) == 0) return;
  const std::string there = probe_device(device);
  if (there.empty()) return;
  if (there == wanted) {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("Device '{}' already formatted using '{}'", device, wanted));
  }
  throw storage_error(VIR_ERR_OPERATION_INVALID,
                      fmt::format("Format of device '{}' is '{}', not the expected '{}', forced overwrite is "
                                  "necessary",
                                  device, there, wanted));
}

std::string FileSystemBackend::source() const {
  const PoolSource& from = pool_.source;
  if (pool_.type == PoolType::fs) return from.devices.at(0).path;
  const std::string& host = from.hosts.at(0).name;
  if (from.format == "cifs")
    return fmt::format("//{}{}{}", host, from.directory.starts_with('/') ? "" : "/", from.directory);
  // An IPv6 address has colons of its own.
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, from.directory)
                                             : fmt::format("[{}]:{}", host, from.directory);
}

bool FileSystemBackend::is_there() {
  return !mounted_at(pool_.target_path).empty();
}

void FileSystemBackend::start() {
  if (is_there()) return;
  std::vector<std::string> options{"nodev", "nosuid", "noexec"};
  if (pool_.source.format == "cifs") options.emplace_back("guest");
  if (pool_.source.format == "glusterfs") options.emplace_back("direct-io-mode=1");
  if (!pool_.source.protocol_version.empty()) options.push_back("nfsvers=" + pool_.source.protocol_version);
  options.insert(options.end(), pool_.mount_options.begin(), pool_.mount_options.end());
  std::vector<std::string> arguments;
  if (pool_.source.format != "auto") arguments = {"-t", pool_.source.format};
  arguments.insert(arguments.end(),
                   {"-o", fmt::format("{}", fmt::join(options, ",")), source(), pool_.target_path});
  require_tool({.name = "mount", .arguments = std::move(arguments)});
}

void FileSystemBackend::stop() {
  if (!is_there()) return;
  require_tool({.name = "umount", .arguments = {pool_.target_path}});
}

void FileSystemBackend::build() {
  make_directory();
  constexpr unsigned kFormat = VIR_STORAGE_POOL_BUILD_OVERWRITE | VIR_STORAGE_POOL_BUILD_NO_OVERWRITE;
  if (pool_.type != PoolType::fs || (request_.flags & kFormat) == 0) return;
  const std::string device = source();
  const std::string& format = pool_.source.format;
  if (format == "auto") {
    throw storage_error(VIR_ERR_OPERATION_INVALID,
                        "the pool's source has no <format>: say which file system is to be made");
  }
  check_overwrite(device, format, request_.flags);
  // mkfs of each kind has its own word for "whatever is there".
  std::vector<std::string> arguments{"-t", format};
  if (format == "xfs") arguments.emplace_back("-f");
  if (format.starts_with("ext")) arguments.emplace_back("-F");
  if (format == "vfat") arguments.emplace_back("-I");
  arguments.push_back(device);
  require_tool({.name = "mkfs", .arguments = std::move(arguments), .deadline = std::chrono::seconds(600)});
}

std::vector<PoolSource> FileSystemBackend::find_sources() {
  if (pool_.type != PoolType::netfs) return Backend::find_sources();
  if (request_.specification.empty())
    throw storage_error(VIR_ERR_INVALID_ARG, "hostname must be specified for netfs sources");
  const std::string host = pool_.source.hosts.at(0).name;
  const std::string output =
      require_tool({.name = "showmount", .arguments = {"--no-headers", "--exports", host}});
  std::vector<PoolSource> sources;
  for (std::string_view line : split_lines(output)) {
    const std::size_t end = line.find_last_not_of(" \t");
    const std::size_t blank = line.find_first_of(" \t");
    if (end == std::string_view::npos || !line.starts_with('/')) continue;
    PoolSource& found = sources.emplace_back();
    found.hosts.push_back({.name = host});
    found.directory = line.substr(0, blank);
    found.format = "nfs";
  }
  return sources;
}

}  // namespace warren::driver::storage::backend
