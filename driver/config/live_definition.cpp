// What a definition becomes when its domain starts: id, aliases, ptys, taps.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/pci_assignment.h"
#include "driver/config/scsi_devices.h"
#include "driver/config/vcpus.h"
#include "driver/config/xml_values.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

void give_alias(DeviceInfo& info, std::string alias) {
  if (!info.alias.starts_with("ua-")) info.alias = std::move(alias);
}

std::string controller_alias(const Controller& controller) {
  switch (controller.model) {
    case ControllerModel::pcie_root:
      return "pcie.0";
    case ControllerModel::pcie_root_port:
      return fmt::format("pci.{}", controller.index.value_or(0));
    case ControllerModel::usb_none:
      return "usb";
    case ControllerModel::virtio_scsi:
      return fmt::format("scsi{}", controller.index.value_or(0));
    case ControllerModel::unspecified:
      break;
  }
  const std::uint32_t index = controller.index.value_or(0);
  // The one of the chipset has its old name in libvirt.
  if (controller.type == ControllerType::sata) return index == 0 ? "ide" : fmt::format("sata{}", index);
  return fmt::format("virtio-serial{}", index);
}

// Of a disk with a place on a controller.
std::string drive_alias(const Disk& disk) {
  const DriveAddress& drive = disk.drive.value();
  if (disk.bus == DiskBus::scsi)
    return fmt::format("scsi{}-{}-{}-{}", drive.controller, drive.bus, drive.target, drive.unit);
  return fmt::format("sata{}-{}-{}", drive.controller, drive.bus, drive.unit);
}

// As <hostdev> of a running domain shows it.
void name_driver(Interface& interface) {
  HostDevicePlug* network = interface.port ? std::get_if<HostDevicePlug>(&interface.port->plug) : nullptr;
  if (interface.type == InterfaceType::hostdev)
    interface.source_device.driver = NetworkHostDeviceDriver::vfio;
  if (network != nullptr) network->driver = NetworkHostDeviceDriver::vfio;
}

void assign_aliases(Devices& devices) {
  std::set<std::size_t> numbers;
  for (Disk& disk : devices.disks) {
    if (disk.drive) {
      give_alias(disk.info, drive_alias(disk));
      continue;
    }
    std::size_t number = disk_number(disk.target);
    while (!numbers.insert(number).second) ++number;  // "vda" and "sda" are both number 0
    give_alias(disk.info, fmt::format("virtio-disk{}", number));
  }
  for (Controller& controller : devices.controllers)
    give_alias(controller.info, controller_alias(controller));
  const auto number = [](auto& list, std::string_view prefix) {
    for (std::size_t i = 0; i < list.size(); ++i) give_alias(list[i].info, fmt::format("{}{}", prefix, i));
  };
  // Interfaces that are devices of the host are numbered with those.
  std::size_t links = 0, assigned = 0;
  for (Interface& interface : devices.interfaces)
    give_alias(interface.info, device_plug_of(interface) != nullptr ? fmt::format("hostdev{}", assigned++)
                                                                    : fmt::format("net{}", links++));
  number(devices.serials, "serial");
  number(devices.consoles, "console");
  number(devices.channels, "channel");
  number(devices.inputs, "input");
  number(devices.rngs, "rng");
  if (devices.balloon() != nullptr) give_alias(devices.memory_balloon->info, "balloon0");
  number(devices.watchdogs, "watchdog");
  if (devices.panic) give_alias(devices.panic->info, "panic0");
  number(devices.vsocks, "vsock");
  for (HostDevice& device : devices.host_devices)
    give_alias(device.info, fmt::format("hostdev{}", assigned++));
  std::size_t virtio = 0;
  for (MemoryDevice& memory : devices.memories) {
    const bool is_dimm = memory.model == MemoryModel::dimm;
    give_alias(memory.info, is_dimm ? fmt::format("dimm{}", memory.dimm.value_or(DimmAddress{}).slot)
                                    : fmt::format("virtiomem{}", virtio++));
  }
}

// One more than the highest of `prefix`N there is.
template <typename T>
std::string next_alias(const std::vector<T>& list, std::string_view prefix) {
  std::size_t next = 0;
  for (const T& each : list) {
    const std::string& alias = each.info.alias;
    if (!alias.starts_with(prefix)) continue;
    const auto number = parse_unsigned(std::string_view(alias).substr(prefix.size()));
    if (number && *number < 1'000'000) next = std::max(next, static_cast<std::size_t>(*number) + 1);
  }
  return fmt::format("{}{}", prefix, next);
}

void give_socket_mode(Channel& channel) {
  if (channel.backend.type == CharacterBackendType::unix_socket && !channel.backend.socket_mode)
    channel.backend.socket_mode = SocketMode::bind;
  channel.connected = false;
}

// How many ports each virtio-serial controller of a domain that starts has. A lone console is one that small
// guests understand, and takes no others.
void fix_serial_ports(Devices& devices) {
  for (Controller& controller : devices.controllers) {
    if (controller.type != ControllerType::virtio_serial || controller.ports) continue;
    std::uint32_t most = 0;
    std::size_t count = 0;
    const auto look = [&](const std::optional<VirtioSerialAddress>& address) {
      if (!address || address->controller != controller.index) return;
      most = std::max(most, address->port + 1);
      ++count;
    };
    for (const Console& console : devices.consoles) look(console.address);
    const bool is_lone_console = count == 1 && most == 1;
    for (const Channel& channel : devices.channels) look(channel.address);
    controller.ports = is_lone_console && count == 1 ? 1 : std::max(most, kRunningSerialControllerPorts);
  }
}

// A port that no other has: the one that is wanted, or the first that is free from 1 on.
void place_port(const Devices& devices, std::optional<VirtioSerialAddress>& address) {
  const auto is_free = [&](const VirtioSerialAddress& place) {
    const auto is_there = [&](const auto& device) { return device.address == place; };
    return std::ranges::none_of(devices.channels, is_there) &&
           std::ranges::none_of(devices.consoles, is_there);
  };
  for (const Controller& controller : devices.controllers) {
    if (controller.type != ControllerType::virtio_serial) continue;
    const std::uint32_t index = controller.index.value_or(0), ports = controller.ports.value_or(1);
    if (address && address->controller != index) continue;
    const bool is_chosen = address && address->port != 0;
    for (std::uint32_t port = is_chosen ? address->port : 1; port < ports; ++port) {
      const VirtioSerialAddress place{.controller = index, .port = port};
      if (is_free(place)) {
        address = place;
        return;
      }
      if (is_chosen) break;
    }
  }
  throw Error(
      VIR_ERR_OPERATION_FAILED,
      "no virtio-serial controller of the running domain has that port, or a free one: define the domain "
      "with <controller type='virtio-serial' ports='…'/>");
}

struct AssignAlias {
  const Devices& devices;
  void operator()(Controller& controller) const { give_alias(controller.info, controller_alias(controller)); }
  void operator()(Disk& disk) const {
    if (disk.drive) return give_alias(disk.info, drive_alias(disk));
    const auto is_taken = [&](const std::string& alias) {
      return std::any_of(devices.disks.begin(), devices.disks.end(),
                         [&](const Disk& other) { return other.info.alias == alias; });
    };
    std::size_t number = disk_number(disk.target);
    while (is_taken(fmt::format("virtio-disk{}", number))) ++number;
    give_alias(disk.info, fmt::format("virtio-disk{}", number));
  }
  void operator()(Interface& interface) const {
    give_alias(interface.info, device_plug_of(interface) != nullptr
                                   ? next_alias(assigned_devices(devices), "hostdev")
                                   : next_alias(devices.interfaces, "net"));
    name_driver(interface);
  }
  void operator()(Watchdog& watchdog) const {
    give_alias(watchdog.info, next_alias(devices.watchdogs, "watchdog"));
  }
  void operator()(MemoryDevice& memory) const {
    give_alias(memory.info, memory.model == MemoryModel::dimm
                                ? fmt::format("dimm{}", memory.dimm.value_or(DimmAddress{}).slot)
                                : next_alias(devices.memories, "virtiomem"));
    memory.current_kib = 0;
  }
  void operator()(Vsock& vsock) const { give_alias(vsock.info, next_alias(devices.vsocks, "vsock")); }
  void operator()(Input& input) const { give_alias(input.info, next_alias(devices.inputs, "input")); }
  void operator()(HostDevice& device) const {
    give_alias(device.info, next_alias(assigned_devices(devices), "hostdev"));
    device.has_driver = true;
  }
  void operator()(Rng& rng) const { give_alias(rng.info, next_alias(devices.rngs, "rng")); }
  void operator()(Channel& channel) const {
    give_alias(channel.info, next_alias(devices.channels, "channel"));
    give_socket_mode(channel);
  }
  void operator()(Console& console) const {
    give_alias(console.info, next_alias(devices.consoles, "console"));
  }
  template <typename T>
  void operator()(T&) const {
    throw internal_error("a device that cannot be plugged in was to be given an alias");
  }
};

void require(bool fits, std::string_view what) {
  if (!fits)
    throw internal_error(fmt::format("the resources of a start do not fit its definition: {}", what));
}

}  // namespace

void assign_hot_plugged(const DomainDefinition& live, Device& device) {
  const Devices& devices = live.devices;
  if (auto* channel = std::get_if<Channel>(&device)) {
    place_port(devices, channel->address);
  } else if (auto* console = std::get_if<Console>(&device)) {
    place_port(devices, console->address);
  } else if (auto* disk = std::get_if<Disk>(&device); disk != nullptr && disk->bus == DiskBus::scsi) {
    place_hot_plugged_scsi(devices, *disk);
  } else if (auto* memory = std::get_if<MemoryDevice>(&device);
             memory != nullptr && memory->model == MemoryModel::dimm) {
    check_memory_devices(live, memory);
    assign_dimm_slot(live, *memory);
  } else {
    if (memory != nullptr) check_memory_devices(live, memory);
    if (auto* controller = std::get_if<Controller>(&device))
      while (!controller->index || has_scsi_controller(devices, *controller->index))
        controller->index = controller->index ? *controller->index + 1 : 0;
    place_hot_plugged(devices, info_of(device));
  }
  std::visit(AssignAlias{devices}, device);
}

void assign_live(DomainDefinition& definition, const LiveResources& resources) {
  Devices& devices = definition.devices;
  require(resources.id > 0, "id");
  require(resources.serial_ptys.size() == devices.serials.size(), "serial ports");
  require(resources.console_ptys.size() == devices.consoles.size(), "consoles");
  require(resources.interface_targets.size() == devices.interfaces.size(), "interfaces");
  definition.id = resources.id;
  for (MemoryDevice& memory : devices.memories) {
    assign_dimm_slot(definition, memory);
    memory.current_kib = 0;
  }
  // Where vCPUs may come or go it is said of each what it does.
  VcpuCount& vcpus = definition.vcpu;
  if (vcpus.current != vcpus.maximum || !vcpus.each.empty()) assign_order(vcpus);
  assign_aliases(devices);
  fix_serial_ports(devices);
  std::uint32_t next_image = 1;
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    if (i < resources.backing.size()) devices.disks[i].backing = resources.backing[i];
    if (!devices.disks[i].is_own()) continue;  // its images are another program's
    devices.disks[i].backing_store_end = true;
    next_image = number_images(devices.disks[i], next_image);
  }
  for (HostDevice& device : devices.host_devices) device.has_driver = true;
  for (Interface& interface : devices.interfaces) name_driver(interface);
  for (std::size_t i = 0; i < devices.serials.size(); ++i)
    if (devices.serials[i].backend.type == CharacterBackendType::pty)
      devices.serials[i].backend.path = resources.serial_ptys[i];
  for (std::size_t i = 0; i < devices.consoles.size(); ++i) {
    Console& console = devices.consoles[i];
    if (console.target == ConsoleTarget::serial) {
      require(!devices.serials.empty(), "a console without a serial port");
      console.backend = devices.serials.front().backend;
      console.info.alias = devices.serials.front().info.alias;
    } else if (console.backend.type == CharacterBackendType::pty) {
      console.backend.path = resources.console_ptys[i];
    }
    if (console.backend.type == CharacterBackendType::pty) console.tty = console.backend.path;
  }
  require(resources.channel_paths.size() == devices.channels.size(), "channels");
  for (std::size_t i = 0; i < devices.channels.size(); ++i) {
    Channel& channel = devices.channels[i];
    if (!resources.channel_paths[i].empty()) channel.backend.path = resources.channel_paths[i];
    give_socket_mode(channel);
  }
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i)
    devices.interfaces[i].target = resources.interface_targets[i];
}

}  // namespace warren::driver::config
