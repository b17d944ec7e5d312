#include "driver/storage/backend/block_device.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/storage/backend/volume_facts.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

std::string link_to(const std::string& target, const std::string& device) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(device, failed);
  if (failed) return {};
  for (const auto& entry : std::filesystem::directory_iterator(target, failed)) {
    std::error_code broken;
    if (std::filesystem::canonical(entry.path(), broken) == real && !broken) return entry.path().native();
  }
  return {};
}

}  // namespace

std::string stable_path(const std::string& target, const std::string& device) {
  if (target == "/dev" || target == "/dev/" || !target.starts_with("/dev")) return device;
  for (int tries = 0; tries < 20; ++tries) {
    if (std::string found = link_to(target, device); !found.empty()) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return {};
}

vmm::FileDescriptor open_device(const std::string& path, int access) {
  vmm::FileDescriptor device(::open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!device) throw host_error(errno, fmt::format("cannot open volume '{}'", path));
  struct stat status{};
  if (::fstat(device.get(), &status) != 0 || !S_ISBLK(status.st_mode))
    throw storage_error(VIR_ERR_INTERNAL_ERROR, fmt::format("'{}' is no block device", path));
  return device;
}

void fill_from_device(VolumeDefinition& volume) {
  volume.type = VIR_STORAGE_VOL_BLOCK;
  const vmm::FileDescriptor device = open_device(volume.target.path, O_RDONLY);
  read_device_facts(device.get(), volume);
}

void set_permissions(const std::string& path, const Permissions& permissions) {
  if ((permissions.owner || permissions.group) &&
      ::chown(path.c_str(), permissions.owner.value_or(static_cast<uid_t>(-1)),
              permissions.group.value_or(static_cast<gid_t>(-1))) != 0)
    throw host_error(errno, fmt::format("cannot set file owner '{}'", path));
  if (permissions.mode && ::chmod(path.c_str(), *permissions.mode) != 0)
    throw host_error(errno, fmt::format("cannot set file mode '{}'", path));
}

std::string serial_of(const std::string& device) {
  if (find_tool("udevadm").empty()) return {};
  const ToolResult result = run_tool({.name = "udevadm",
                                      .arguments = {"info", "--query=property", "--name", device},
                                      .deadline = std::chrono::seconds(5)});
  for (std::string_view line : split_lines(result.output))
    if (line.starts_with("ID_SERIAL=")) return std::string(line.substr(10));
  return {};
}

void settle_devices() {
  if (find_tool("udevadm").empty()) return;
  run_tool(
      {.name = "udevadm", .arguments = {"settle", "--timeout=10"}, .deadline = std::chrono::seconds(15)});
}

}  // namespace warren::driver::storage::backend
