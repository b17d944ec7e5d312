#include "driver/config/device_change.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

auto& list_of(auto& devices, const Disk&) {
  return devices.disks;
}
auto& list_of(auto& devices, const Interface&) {
  return devices.interfaces;
}
auto& list_of(auto& devices, const Controller&) {
  return devices.controllers;
}
auto& list_of(auto& devices, const SerialPort&) {
  return devices.serials;
}
auto& list_of(auto& devices, const Console&) {
  return devices.consoles;
}
auto& list_of(auto& devices, const Channel&) {
  return devices.channels;
}
auto& list_of(auto& devices, const Input&) {
  return devices.inputs;
}
auto& list_of(auto& devices, const Rng&) {
  return devices.rngs;
}
auto& list_of(auto& devices, const Watchdog&) {
  return devices.watchdogs;
}
auto& list_of(auto& devices, const Vsock&) {
  return devices.vsocks;
}
auto& list_of(auto& devices, const MemoryDevice&) {
  return devices.memories;
}
auto& list_of(auto& devices, const HostDevice&) {
  return devices.host_devices;
}
struct Kind {
  std::string_view operator()(const Disk&) const { return "disk"; }
  std::string_view operator()(const Interface&) const { return "interface"; }
  std::string_view operator()(const Controller&) const { return "controller"; }
  std::string_view operator()(const SerialPort&) const { return "serial"; }
  std::string_view operator()(const Console&) const { return "console"; }
  std::string_view operator()(const Channel&) const { return "channel"; }
  std::string_view operator()(const Input&) const { return "input"; }
  std::string_view operator()(const Rng&) const { return "rng"; }
  std::string_view operator()(const Vsock&) const { return "vsock"; }
  std::string_view operator()(const Watchdog&) const { return "watchdog"; }
  std::string_view operator()(const MemoryDevice&) const { return "memory"; }
  std::string_view operator()(const HostDevice&) const { return "hostdev"; }
};

// Where nothing was said of a place, every place fits. A persistent definition has no aliases but the user's.
bool fits_place(const DeviceInfo& wanted, const DeviceInfo& has) {
  if (wanted.pci && (!has.pci || format_pci_address(*wanted.pci) != format_pci_address(*has.pci)))
    return false;
  const bool is_known = !has.alias.empty() || wanted.alias.starts_with("ua-");
  return wanted.alias.empty() || !is_known || wanted.alias == has.alias;
}

bool fits(const Disk& wanted, const Disk& has) {
  return wanted.target == has.target;
}
bool fits(const Interface& wanted, const Interface& has) {
  return (!wanted.mac || wanted.mac == has.mac) && fits_place(wanted.info, has.info);
}
bool fits(const Controller& wanted, const Controller& has) {
  return wanted.type == has.type && wanted.index == has.index;
}
bool fits_backend(const CharacterBackend& wanted, const CharacterBackend& has) {
  if (wanted.type != has.type) return false;
  return wanted.path.empty() || has.path.empty() || wanted.path == has.path;
}
bool fits(const SerialPort& wanted, const SerialPort& has) {
  return fits_backend(wanted.backend, has.backend) && (!wanted.port || wanted.port == has.port) &&
         fits_place(wanted.info, has.info);
}
bool fits(const Console& wanted, const Console& has) {
  return wanted.target == has.target && fits_backend(wanted.backend, has.backend) &&
         (!wanted.port || wanted.port == has.port) && (!wanted.address || wanted.address == has.address) &&
         fits_place(wanted.info, has.info);
}
bool fits(const Channel& wanted, const Channel& has) {
  return wanted.name == has.name && (!wanted.address || wanted.address == has.address) &&
         fits_place(wanted.info, has.info);
}
bool fits(const Input& wanted, const Input& has) {
  return wanted.type == has.type && wanted.bus == has.bus && wanted.source == has.source &&
         fits_place(wanted.info, has.info);
}
bool fits(const Rng& wanted, const Rng& has) {
  return wanted.backend == has.backend && wanted.path == has.path && wanted.rate_bytes == has.rate_bytes &&
         wanted.rate_period_ms == has.rate_period_ms && fits_place(wanted.info, has.info);
}

bool fits(const Watchdog& wanted, const Watchdog& has) {
  return wanted.model == has.model && wanted.action == has.action && fits_place(wanted.info, has.info);
}
bool fits(const Vsock& wanted, const Vsock& has) {
  return (!wanted.cid || !has.cid || wanted.cid == has.cid) &&
         (!wanted.driver || !has.driver || wanted.driver == has.driver) && fits_place(wanted.info, has.info);
}

// A persistent definition may say nothing of the slot.
bool fits_place(const MemoryDevice& wanted, const MemoryDevice& has) {
  if (wanted.dimm && has.dimm && wanted.dimm->slot != has.dimm->slot) return false;
  return wanted.model == has.model && fits_place(wanted.info, has.info);
}
bool fits(const MemoryDevice& wanted, const MemoryDevice& has) {
  return fits_place(wanted, has) && wanted.node == has.node && wanted.size_kib == has.size_kib &&
         wanted.block_kib == has.block_kib && wanted.requested_kib == has.requested_kib &&
         wanted.page_kib == has.page_kib && wanted.source_nodes == has.source_nodes;
}

bool fits(const HostDevice& wanted, const HostDevice& has) {
  return wanted.source == has.source;
}

std::string describe(const Disk& disk) {
  return fmt::format("target '{}'", disk.target);
}
std::string describe(const Interface& interface) {
  std::string text;
  if (interface.mac) text = fmt::format("MAC address {}", format_mac_address(*interface.mac));
  if (interface.info.pci)
    text +=
        fmt::format("{}PCI address {}", text.empty() ? "" : " and ", format_pci_address(*interface.info.pci));
  if (!interface.info.alias.empty())
    text += fmt::format("{}alias {}", text.empty() ? "" : " and ", interface.info.alias);
  return text.empty() ? "nothing that tells it from another" : text;
}
std::string describe(const Controller& controller) {
  return controller.index ? fmt::format("index {}", *controller.index) : "no index";
}
std::string describe(const Channel& channel) {
  return fmt::format("name '{}'", channel.name);
}
std::string describe(const HostDevice& device) {
  return fmt::format("host PCI address {}", format_pci_address(device.source));
}
template <typename T>
std::string describe(const T&) {
  return "these properties";
}

template <typename T>
std::size_t index_of(const std::vector<T>& list, const T& wanted) {
  const auto fits_wanted = [&](const T& each) { return fits(wanted, each); };
  const auto found = std::find_if(list.begin(), list.end(), fits_wanted);
  if (found == list.end()) {
    throw Error(VIR_ERR_DEVICE_MISSING,
                fmt::format("the domain has no {} of {}", Kind{}(wanted), describe(wanted)));
  }
  if (std::find_if(std::next(found), list.end(), fits_wanted) != list.end()) {
    throw operation_failed(
        fmt::format("the domain has several {}s of {}; say more of which is meant, as its <address>",
                    Kind{}(wanted), describe(wanted)));
  }
  return static_cast<std::size_t>(found - list.begin());
}

template <typename Visit>
void for_each_info(const Devices& devices, Visit visit) {
  for (const auto& each : devices.disks) visit(each.info);
  for (const auto& each : devices.interfaces) visit(each.info);
  for (const auto& each : devices.controllers) visit(each.info);
  for (const auto& each : devices.serials) visit(each.info);
  for (const auto& each : devices.consoles) visit(each.info);
  for (const auto& each : devices.channels) visit(each.info);
  for (const auto& each : devices.inputs) visit(each.info);
  for (const auto& each : devices.rngs) visit(each.info);
  for (const auto& each : devices.vsocks) visit(each.info);
  for (const auto& each : devices.watchdogs) visit(each.info);
  for (const auto& each : devices.memories) visit(each.info);
  for (const auto& each : devices.host_devices) visit(each.info);
}

void check_new(const Devices& devices, const Disk& disk) {
  for (const Disk& other : devices.disks)
    if (other.target == disk.target)
      throw operation_invalid(fmt::format("target {} already exists", disk.target));
  if (disk.bus != DiskBus::scsi || !disk.drive) return;
  for (const Disk& other : devices.disks)
    if (other.bus == disk.bus && other.drive == disk.drive)
      throw operation_failed("Domain already contains a disk with that address");
}
void check_new(const Devices& devices, const Controller& controller) {
  if (controller.model == ControllerModel::usb_none || controller.model == ControllerModel::pcie_root)
    throw operation_invalid("the domain has this controller already");
  for (const Controller& other : devices.controllers)
    if (controller.index && other.type == controller.type && other.index == controller.index)
      throw operation_invalid(fmt::format("a controller of index {} already exists", *controller.index));
}
void check_new(const Devices& devices, const SerialPort& serial) {
  for (const SerialPort& other : devices.serials)
    if (serial.port && other.port == serial.port)
      throw operation_invalid(fmt::format("serial port {} already exists", *serial.port));
}
void check_new(const Devices& devices, const Console& console) {
  if (console.target == ConsoleTarget::serial)
    throw operation_invalid("the console of the first serial port exists with it: attach a <serial>");
  for (const Console& other : devices.consoles)
    if (console.port && other.target == console.target && other.port == console.port)
      throw operation_invalid(fmt::format("console port {} already exists", *console.port));
}
void check_new(const Devices& devices, const Channel& channel) {
  for (const Channel& other : devices.channels)
    if (!channel.name.empty() && other.name == channel.name)
      throw operation_invalid(fmt::format("a channel of the name '{}' already exists", channel.name));
}
void check_new(const Devices& devices, const Input& input) {
  if (input.bus == InputBus::ps2) throw operation_invalid("the machine has its one PS/2 keyboard already");
  for (const Input& other : devices.inputs)
    if (!input.source.empty() && other.source == input.source)
      throw operation_invalid(fmt::format("the input device {} is the domain's already", input.source));
}
void check_new(const Devices& devices, const Watchdog& watchdog) {
  for (const Watchdog& other : devices.watchdogs)
    if (other.model == watchdog.model) throw operation_invalid("domain already has a watchdog");
}
void check_new(const Devices& devices, const Vsock&) {
  if (!devices.vsocks.empty()) throw operation_invalid("the domain already has a vsock device");
}
void check_new(const Devices& devices, const HostDevice& device) {
  for (const HostDevice& other : assigned_devices(devices))
    if (other.source == device.source)
      throw operation_invalid(
          fmt::format("host PCI device {} is in the domain already", format_pci_address(device.source)));
}
void check_new(const Devices& devices, const Interface& interface) {
  if (const std::optional<HostDevice> device = assigned_device(interface)) check_new(devices, *device);
}
template <typename T>
void check_new(const Devices&, const T&) {}

// What is plugged into a controller goes first.
void check_removable(const Devices& devices, const Controller& controller) {
  const bool is_chipset = controller.model == ControllerModel::usb_none ||
                          controller.model == ControllerModel::pcie_root ||
                          (controller.type == ControllerType::sata && controller.index == 0u);
  if (is_chipset) throw operation_unsupported("this controller is part of the machine");
  bool is_used = false;
  if (controller.type == ControllerType::pci) {
    for_each_info(devices, [&](const DeviceInfo& info) {
      if (info.pci && info.pci->bus == controller.index) is_used = true;
    });
  }
  for (const Console& console : devices.consoles)
    if (controller.type == ControllerType::virtio_serial && console.address &&
        console.address->controller == controller.index)
      is_used = true;
  for (const Channel& channel : devices.channels)
    if (controller.type == ControllerType::virtio_serial && channel.address &&
        channel.address->controller == controller.index)
      is_used = true;
  for (const Disk& disk : devices.disks) {
    const bool is_of_type = (controller.type == ControllerType::sata && disk.bus == DiskBus::sata) ||
                            (controller.type == ControllerType::scsi && disk.bus == DiskBus::scsi);
    if (is_of_type && disk.drive && disk.drive->controller == controller.index) is_used = true;
  }
  if (is_used) throw operation_failed("device cannot be detached: device is busy");
}
void check_removable(const Devices&, const Input& input) {
  if (input.bus == InputBus::ps2) throw operation_unsupported("the PS/2 keyboard is part of the machine");
}
void check_removable(const Devices& devices, const Console& console) {
  if (console.target == ConsoleTarget::serial && !devices.serials.empty())
    throw operation_invalid("this console is the first serial port by its other name: detach the <serial>");
}
template <typename T>
void check_removable(const Devices&, const T&) {}

// <memory> is all there is, and so is <currentMemory> of a definition; a running guest says what it has.
void count_in(DomainDefinition& definition, const MemoryDevice& device) {
  if (definition.memory.slots != 0 && definition.devices.memories.size() >= definition.memory.slots)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "no free memory device slot available");
  definition.memory.maximum_kib += device.size_kib;
  definition.memory.current_kib +=
      definition.id && device.model == MemoryModel::virtio_mem ? device.current_kib : device.size_kib;
}
template <typename T>
void count_in(DomainDefinition&, const T&) {}
void count_out(DomainDefinition& definition, const MemoryDevice& device) {
  Memory& memory = definition.memory;
  const std::uint64_t had =
      definition.id && device.model == MemoryModel::virtio_mem ? device.current_kib : device.size_kib;
  memory.maximum_kib -= std::min(memory.maximum_kib, device.size_kib);
  memory.current_kib = std::min(memory.current_kib - std::min(memory.current_kib, had), memory.maximum_kib);
}
template <typename T>
void count_out(DomainDefinition&, const T&) {}

// The console of the first serial port goes with the last one.
void tidy_after(Devices& devices, const SerialPort&) {
  auto& consoles = devices.consoles;
  if (devices.serials.empty() && !consoles.empty() && consoles.front().target == ConsoleTarget::serial)
    consoles.erase(consoles.begin());
}
template <typename T>
void tidy_after(Devices&, const T&) {}

void keep_identity(Disk& changed, const Disk& old) {
  if (changed.bus == old.bus && !changed.drive) changed.drive = old.drive;
}
void keep_identity(Interface& changed, const Interface& old) {
  if (!changed.mac) changed.mac = old.mac;
  if (changed.virtual_port && old.virtual_port && !changed.virtual_port->interface_id)
    changed.virtual_port->interface_id = old.virtual_port->interface_id;
}

template <typename T>
void replace_in(std::vector<T>& list, T changed) {
  T& old = list[index_of(list, changed)];
  keep_identity(changed, old);
  if (!changed.info.pci) changed.info.pci = old.info.pci;
  if (changed.info.alias.empty()) changed.info.alias = old.info.alias;
  Device whole = std::move(changed);
  complete_device(whole);
  old = std::get<T>(std::move(whole));
}

// The place alone tells which one is meant: what else is said of it may be new.
template <typename List>
auto& memory_to_update(List& list, const MemoryDevice& wanted) {
  const auto fits_wanted = [&](const MemoryDevice& each) { return fits_place(wanted, each); };
  const auto found = std::find_if(list.begin(), list.end(), fits_wanted);
  if (found == list.end()) throw invalid_argument("memory not found");
  if (std::find_if(std::next(found), list.end(), fits_wanted) != list.end())
    throw operation_failed(
        "the domain has several memory devices; say which is meant by its <address> or <alias>");
  return *found;
}

struct Replace {
  Devices& devices;
  void operator()(const Disk& changed) const { replace_in(devices.disks, changed); }
  void operator()(const Interface& changed) const { replace_in(devices.interfaces, changed); }
  void operator()(const MemoryDevice& changed) const {
    MemoryDevice& old = memory_to_update(devices.memories, changed);
    MemoryDevice whole = changed;
    if (!whole.info.pci) whole.info.pci = old.info.pci;
    if (whole.info.alias.empty()) whole.info.alias = old.info.alias;
    if (!whole.dimm) whole.dimm = old.dimm;
    old = std::move(whole);
  }
  template <typename T>
  void operator()(const T& changed) const {
    throw operation_unsupported(fmt::format("update of device '{}' is not supported", Kind{}(changed)));
  }
};

}  // namespace

std::optional<HostDevice> assigned_device(const Device& device) {
  if (const auto* host = std::get_if<HostDevice>(&device)) return *host;
  const auto* interface = std::get_if<Interface>(&device);
  return interface != nullptr ? assigned_device(*interface) : std::nullopt;
}

std::string_view device_kind(const Device& device) {
  return std::visit(Kind{}, device);
}

DeviceInfo& info_of(Device& device) {
  return std::visit([](auto& each) -> DeviceInfo& { return each.info; }, device);
}

const DeviceInfo& info_of(const Device& device) {
  return std::visit([](const auto& each) -> const DeviceInfo& { return each.info; }, device);
}

Device find_device(const DomainDefinition& definition, const Device& wanted) {
  return std::visit(
      [&](const auto& each) -> Device {
        const auto& list = list_of(definition.devices, each);
        return list[index_of(list, each)];
      },
      wanted);
}

Device device_with_alias(const DomainDefinition& definition, std::string_view alias) {
  const Devices& devices = definition.devices;
  std::optional<Device> found;
  const auto look = [&](const auto& list) {
    for (const auto& each : list)
      if (!found && !alias.empty() && each.info.alias == alias) found = each;
  };
  look(devices.disks);
  look(devices.interfaces);
  look(devices.rngs);
  look(devices.vsocks);
  look(devices.watchdogs);
  look(devices.memories);
  look(devices.host_devices);
  look(devices.serials);
  look(devices.consoles);
  look(devices.channels);
  look(devices.controllers);
  look(devices.inputs);
  if (!found) throw Error(VIR_ERR_DEVICE_MISSING, fmt::format("no device found with alias {}", alias));
  return *found;
}

bool has_device(const DomainDefinition& definition, std::string_view alias) {
  bool found = false;
  for_each_info(definition.devices, [&](const DeviceInfo& info) { found = found || info.alias == alias; });
  return found && !alias.empty();
}

void require_new(const Devices& devices, const Device& device) {
  std::visit([&](const auto& each) { check_new(devices, each); }, device);
}

void add_device(DomainDefinition& definition, Device device) {
  Devices& devices = definition.devices;
  const DeviceInfo& info = info_of(device);
  for_each_info(devices, [&](const DeviceInfo& other) {
    if (!info.alias.empty() && other.alias == info.alias)
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("another device has the alias {}", info.alias));
  });
  std::visit(
      [&](auto& each) {
        check_new(devices, each);
        count_in(definition, each);
        list_of(devices, each).push_back(std::move(each));
      },
      device);
}

MemoryDevice find_memory_to_update(const DomainDefinition& definition, const MemoryDevice& wanted) {
  return memory_to_update(definition.devices.memories, wanted);
}

Device remove_device(DomainDefinition& definition, const Device& wanted) {
  return std::visit(
      [&](const auto& each) -> Device {
        auto& list = list_of(definition.devices, each);
        const std::size_t index = index_of(list, each);
        Device removed = list[index];
        check_removable(definition.devices, list[index]);
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(index));
        count_out(definition, std::get<std::decay_t<decltype(each)>>(removed));
        tidy_after(definition.devices, each);
        return removed;
      },
      wanted);
}

void replace_device(DomainDefinition& definition, const Device& changed) {
  std::visit(Replace{definition.devices}, changed);
}

}  // namespace warren::driver::config
