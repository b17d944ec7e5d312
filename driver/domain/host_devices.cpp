#include "driver/domain/host_devices.h"

#include <algorithm>
#include <cerrno>
#include <exception>

#include <fmt/format.h>
#include <sys/resource.h>

#include "driver/config/kernel_text.h"
#include "driver/contract/error.h"
#include "driver/host/pci_bus.h"

namespace warren::driver::domain {

using config::format_pci_address;

namespace {

constexpr const char* kContainerDescriptor = "vfio";

std::string group_descriptor(std::uint32_t group) {
  return fmt::format("vfio{}", group);
}

std::string format_function(const std::optional<link::FunctionSettings>& function) {
  if (!function) return {};
  return fmt::format(",{},{},{}", config::format_mac_address(function->mac), function->vlan,
                     function->priority);
}

// Of "DRIVER" or "DRIVER,MAC,VLAN,PRIORITY".
std::optional<link::FunctionSettings> parse_function(std::string_view text) {
  std::vector<std::string_view> fields;
  for (std::size_t at = text.find(','); at != std::string_view::npos; at = text.find(',')) {
    text.remove_prefix(at + 1);
    fields.push_back(text.substr(0, text.find(',')));
  }
  if (fields.empty()) return std::nullopt;
  const auto mac = config::parse_mac_address(fields.front());
  const auto vlan = fields.size() == 3 ? config::parse_number<std::uint16_t>(fields[1]) : std::nullopt;
  const auto priority = fields.size() == 3 ? config::parse_number<std::uint32_t>(fields[2]) : std::nullopt;
  if (!mac || !vlan || !priority)
    throw internal_error(
        "domstatus: the settings of a virtual function are no MAC address, VLAN and priority");
  return link::FunctionSettings{*mac, *vlan, *priority};
}

bool is_named(std::span<const config::HostDevice> devices, const config::PciAddress& address) {
  return std::ranges::find(devices, address, &config::HostDevice::source) != devices.end();
}

}  // namespace

void HostDeviceTable::claim(const config::PciAddress& address, const Owner& owner) {
  const std::lock_guard lock(mutex_);
  const std::string name = format_pci_address(address);
  for (const auto& [taken, other] : owners_) {
    if (other.domain == owner.domain || (taken != name && other.group != owner.group)) continue;
    if (taken == name)
      throw operation_invalid(
          fmt::format("PCI device {} is in use by driver Warren, domain {}", name, other.name));
    throw operation_invalid(
        fmt::format("PCI device {} is in IOMMU group {} with device {}, which domain {} has", name,
                    owner.group, taken, other.name));
  }
  owners_[name] = owner;
}

void HostDeviceTable::release(const config::PciAddress& address, const Uuid& domain) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(format_pci_address(address));
  if (found != owners_.end() && found->second.domain == domain) owners_.erase(found);
}

HeldHostDevices::HeldHostDevices(host::PciBus& bus, HostDeviceTable& table, const FunctionControl& functions,
                                 Uuid domain, std::string name, std::vector<BoundDevice> before)
    : bus_(bus),
      table_(table),
      functions_(functions),
      domain_(domain),
      name_(std::move(name)),
      bound_(std::move(before)) {}

HeldHostDevices::~HeldHostDevices() {
  if (is_kept_) return;
  try {
    give_back_but({});
  } catch (const std::exception&) {
    // No memory for its complaints.
  }
}

void HeldHostDevices::take(const config::HostDevice& device) {
  bus_.require_assignment();
  const host::PciDevice found = bus_.look(device.source);
  const std::string name = format_pci_address(device.source);
  if (found.is_bridge)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("host PCI device {} is a bridge", name));
  if (!device.managed && found.driver != host::kVfioDriver) {
    throw operation_invalid(fmt::format(
        "unmanaged PCI device {} must be detached from the host first: its driver is '{}', not {}; or "
        "say managed='yes'",
        name, found.driver, host::kVfioDriver));
  }
  table_.claim(device.source, {domain_, name_, found.group});
  held_.push_back({device.source, found.group, false, device.network});
  note(device, found.driver);
}

// What is with vfio-pci already stays there: somebody put it there. What is set of it goes back to what it
// was.
void HeldHostDevices::note(const config::HostDevice& device, const std::string& driver) {
  const bool moves = device.managed && driver != host::kVfioDriver;
  if (!moves && !device.network) return;
  BoundDevice noted{device.source, driver, std::nullopt};
  if (device.network) {
    const host::VirtualFunction function = bus_.virtual_function(device.source);
    noted.function = functions_.read(function.device, function.index);
  }
  const std::lock_guard lock(mutex_);
  const bool is_known = std::ranges::find(bound_, device.source, &BoundDevice::address) != bound_.end();
  if (!is_known) bound_.push_back(std::move(noted));
}

// Before it comes to vfio-pci, which resets it: the guest's driver finds what was set.
void HeldHostDevices::set_function(const Held& held) const {
  if (!held.network || held.is_open) return;
  const host::VirtualFunction function = bus_.virtual_function(held.address);
  functions_.set(function.device, function.index, {.mac = held.network->mac, .vlan = held.network->vlan});
}

// Its driver has it again, whatever becomes of what was set.
void HeldHostDevices::give_back(const BoundDevice& device) {
  std::exception_ptr failed;
  try {
    if (device.function) {
      const host::VirtualFunction function = bus_.virtual_function(device.address);
      functions_.set(function.device, function.index, *device.function);
    }
  } catch (...) {
    failed = std::current_exception();
  }
  if (device.driver != host::kVfioDriver) bus_.give_back(device.address, device.driver);
  if (failed) std::rethrow_exception(failed);
}

void HeldHostDevices::take_over(const config::HostDevice& device) noexcept {
  try {
    const host::PciDevice found = bus_.look(device.source);
    held_.push_back({device.source, found.group, true, device.network});
    table_.claim(device.source, {domain_, name_, found.group});
  } catch (const std::exception&) {
    // It left the host, or is claimed by one that was there first: the machine has it, whoever says so.
  }
}

// DEVNOTE: functions of a group that nobody drives, and bridges, do not make it unusable (vfio.rst); a device
// with a driver of the host's does, and the kernel would say no more than that.
void HeldHostDevices::check_group(std::uint32_t group) const {
  for (const host::PciDevice& member : bus_.members(group)) {
    if (member.is_bridge || member.driver.empty() || member.driver == host::kVfioDriver ||
        member.driver == "pci-stub")
      continue;
    throw operation_invalid(
        fmt::format("IOMMU group {} cannot be given to a guest while its device {} is used by the host's "
                    "driver '{}': assign "
                    "that device, too, or unbind it",
                    group, format_pci_address(member.address), member.driver));
  }
}

void HeldHostDevices::bind() {
  for (const Held& each : held_) set_function(each);
  for (const BoundDevice& each : bound()) bus_.bind_to_vfio(bus_.look(each.address));
  for (const Held& each : held_) check_group(each.group);
}

HostAccess HeldHostDevices::open(std::span<const config::HostDevice> devices, std::vector<std::string>& names,
                                 std::vector<vmm::FileDescriptor>& descriptors) {
  HostAccess access;
  if (devices.empty()) return access;
  const auto add = [&](const std::string& name, vmm::FileDescriptor file) {
    names.push_back(name);
    descriptors.push_back(std::move(file));
  };
  access.specification.container = kContainerDescriptor;
  add(kContainerDescriptor, bus_.open_container());
  for (const config::HostDevice& device : devices) {
    const auto held = std::ranges::find(held_, device.source, &Held::address);
    if (held == held_.end()) throw internal_error("a host device is opened that was not taken");
    access.groups.push_back(held->group);
    const bool is_there = std::ranges::any_of(
        held_, [&](const Held& other) { return other.is_open && other.group == held->group; });
    held->is_open = true;
    if (is_there) continue;
    const std::string name = group_descriptor(held->group);
    add(name, bus_.open_group(held->group));
    access.specification.groups.push_back({held->group, name});
  }
  return access;
}

std::vector<std::string> HeldHostDevices::give_back_but(std::span<const config::HostDevice> rest) {
  std::vector<std::string> complaints;
  for (const BoundDevice& each : bound()) {
    if (is_named(rest, each.address)) continue;
    try {
      give_back(each);
    } catch (const std::exception& error) {
      complaints.emplace_back(error.what());
    }
    const std::lock_guard lock(mutex_);
    std::erase_if(bound_, [&](const BoundDevice& other) { return other.address == each.address; });
  }
  std::erase_if(held_, [&](const Held& each) {
    if (is_named(rest, each.address)) return false;
    table_.release(each.address, domain_);
    return true;
  });
  return complaints;
}

std::vector<BoundDevice> HeldHostDevices::bound() const {
  const std::lock_guard lock(mutex_);
  return bound_;
}

// The guest's memory, and as much again as libvirt leaves for what else is locked.
void allow_locked_memory(pid_t worker, std::uint64_t guest_kib) {
  constexpr std::uint64_t kRest = std::uint64_t{1} << 30;
  rlimit limit{};
  if (::prlimit(worker, RLIMIT_MEMLOCK, nullptr, &limit) == 0 &&
      (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= guest_kib * 1024 + kRest))
    return;
  limit.rlim_cur = guest_kib * 1024 + kRest;
  limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
  // A daemon that may not leaves it at what it is, and the worker says what that is too little for.
  (void)::prlimit(worker, RLIMIT_MEMLOCK, &limit, nullptr);
}

std::string format_bound(std::span<const BoundDevice> devices) {
  std::string text;
  for (const BoundDevice& each : devices)
    text += fmt::format("{}{}={}{}", text.empty() ? "" : " ", format_pci_address(each.address), each.driver,
                        format_function(each.function));
  return text;
}

std::vector<BoundDevice> parse_bound(std::string_view text) {
  std::vector<BoundDevice> devices;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const std::size_t equals = word.find('=');
    const auto address = config::parse_pci_address(word.substr(0, equals));
    if (equals == std::string_view::npos || !address)
      throw internal_error(fmt::format("domstatus: '{}' is no device and its driver", word));
    const std::string_view rest = word.substr(equals + 1);
    devices.push_back({*address, std::string(rest.substr(0, rest.find(','))), parse_function(rest)});
  }
  return devices;
}

}  // namespace warren::driver::domain
