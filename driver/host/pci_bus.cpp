#include "driver/host/pci_bus.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/config/kernel_text.h"
#include "driver/contract/error.h"

namespace warren::driver::host {

namespace fs = std::filesystem;
using config::format_pci_address;

namespace {

constexpr const char* kUnsupported = "host doesn't support passthrough of host PCI devices";

// The last part of what a symbolic link leads to; empty when it is none.
std::string link_name(const fs::path& link) {
  std::error_code failed;
  const fs::path target = fs::read_symlink(link, failed);
  return failed ? std::string() : target.filename().string();
}

}  // namespace

PciBus::PciBus(fs::path root) : root_(std::move(root)) {}
PciBus::~PciBus() = default;

fs::path PciBus::device(const config::PciAddress& address) const {
  return root_ / "sys/bus/pci/devices" / format_pci_address(address);
}

std::string PciBus::driver_of(const fs::path& device) const {
  return link_name(device / "driver");
}

void PciBus::require_assignment() const {
  std::error_code none;
  if (fs::directory_iterator(root_ / "sys/kernel/iommu_groups", none) == fs::directory_iterator()) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("{}: it has no IOMMU groups; enable its IOMMU (VT-d, AMD-Vi) in the firmware, and on "
                    "Intel boot its kernel with intel_iommu=on",
                    kUnsupported));
  }
  const fs::path container = root_ / "dev/vfio/vfio", driver = root_ / "sys/bus/pci/drivers" / kVfioDriver;
  if (!fs::exists(container, none) || !fs::exists(driver, none)) load_module(kVfioDriver);
  for (const fs::path& needed : {container, driver}) {
    if (fs::exists(needed, none)) continue;
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("{}: there is no {}; its kernel's module vfio-pci cannot be loaded", kUnsupported,
                            needed.string()));
  }
}

PciDevice PciBus::look(const config::PciAddress& address) const {
  const fs::path path = device(address);
  const std::string name = format_pci_address(address);
  std::error_code none;
  if (!fs::exists(path, none))
    throw system_error(ENOENT, fmt::format("Device {} not found: could not access {}", name, path.string()));
  const auto group = config::parse_number<std::uint32_t>(link_name(path / "iommu_group"));
  if (!group) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("host PCI device {} is in no IOMMU group and cannot be given to a guest", name));
  }
  const auto code = config::parse_number<std::uint32_t>(config::read_text(path / "class"), 16);
  return {address, *group, driver_of(path), code.value_or(0) >> 16 == 0x06};
}

// sysfs: DEVICE/physfn leads to the physical function, which has virtfnN and net/NAME.
VirtualFunction PciBus::virtual_function(const config::PciAddress& address) const {
  const std::string name = format_pci_address(address);
  const fs::path physical = device(address) / "physfn";
  const auto refuse = [&name](std::string_view why) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("host PCI device {} cannot be an interface of type hostdev: {}", name, why));
  };
  std::error_code none;
  if (!fs::exists(physical, none))
    refuse("that is for SR-IOV virtual functions; assign the whole device by <hostdev>");
  std::vector<std::string> links;
  for (const auto& entry : fs::directory_iterator(physical / "net", none))
    links.push_back(entry.path().filename().string());
  if (links.empty()) refuse("its physical function has no network link; have its driver bound");
  std::ranges::sort(links);
  for (std::uint32_t index = 0;; ++index) {
    const std::string function = link_name(physical / fmt::format("virtfn{}", index));
    if (function.empty()) refuse("its physical function does not know it");
    if (function == name) return {links.front(), index};
  }
}

std::vector<PciDevice> PciBus::members(std::uint32_t group) const {
  std::vector<PciDevice> all;
  std::error_code none;
  const fs::path directory = root_ / "sys/kernel/iommu_groups" / fmt::format("{}", group) / "devices";
  for (const auto& entry : fs::directory_iterator(directory, none)) {
    if (const auto address = config::parse_pci_address(entry.path().filename().string()))
      all.push_back(look(*address));
  }
  std::ranges::sort(all, {}, [](const PciDevice& each) { return format_pci_address(each.address); });
  return all;
}

void PciBus::bind_to_vfio(const PciDevice& wanted) {
  const fs::path path = device(wanted.address);
  const std::string name = format_pci_address(wanted.address);
  if (wanted.driver == kVfioDriver) return;
  write(path / "driver_override", kVfioDriver);
  try {
    if (!wanted.driver.empty()) write(path / "driver/unbind", name);
    write(root_ / "sys/bus/pci/drivers_probe", name);
    if (driver_of(path) == kVfioDriver) return;
    throw operation_failed(fmt::format("host PCI device {} cannot be bound to {}: its kernel's log says why",
                                       name, kVfioDriver));
  } catch (...) {
    give_back(wanted.address, wanted.driver);
    throw;
  }
}

void PciBus::give_back(const config::PciAddress& address, const std::string& driver) {
  const fs::path path = device(address);
  const std::string name = format_pci_address(address);
  std::error_code none;
  if (!fs::exists(path, none)) return;  // it has left the host
  write(path / "driver_override", "\n");
  if (driver_of(path) == kVfioDriver && driver != kVfioDriver) write(path / "driver/unbind", name);
  if (driver.empty() || !driver_of(path).empty()) return;
  write(root_ / "sys/bus/pci/drivers_probe", name);
  if (driver_of(path) != driver)
    throw operation_failed(
        fmt::format("host PCI device {} did not go back to its driver '{}'", name, driver));
}

void PciBus::write(const fs::path& attribute, const std::string& text) {
  const vmm::FileDescriptor file(::open(attribute.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw system_error(errno, fmt::format("write '{}' to {}", config::trim(text), attribute.string()));
}

// What it says is seen by what is there afterwards. -b: not what the host's administrator has forbidden.
void PciBus::load_module(const std::string& name) const {
  std::string program = "/sbin/modprobe", quiet = "-bq", module = name;
  char* arguments[] = {program.data(), quiet.data(), module.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t child = -1;
  if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environment) != 0) return;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
}

vmm::FileDescriptor PciBus::open(const std::string& name) const {
  const fs::path path = root_ / "dev/vfio" / name;
  vmm::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) {
    const bool busy = errno == EBUSY;
    throw system_error(
        errno, fmt::format("open {}{}", path.string(), busy ? ", which another program has open" : ""));
  }
  return file;
}

vmm::FileDescriptor PciBus::open_group(std::uint32_t group) const {
  return open(fmt::format("{}", group));
}

vmm::FileDescriptor PciBus::open_container() const {
  return open("vfio");
}

}  // namespace warren::driver::host
