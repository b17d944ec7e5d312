#include "driver/config/pci_assignment.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

constexpr std::uint8_t kHostBridgeSlot = 0;
constexpr std::uint8_t kFirstPortSlot = 1;
constexpr std::uint8_t kLastPortSlot = 30;
constexpr std::uint8_t kChipsetSlot = 31;  // the ICH9's own functions

struct Place {
  DeviceInfo* info;
  std::string what;              // for messages: "/domain/devices/disk[2]"
  bool is_conventional = false;  // and so on bus 0: what is behind a root port is PCI Express
};

std::string numbered(std::string_view name, std::size_t index) {
  return fmt::format("/domain/devices/{}[{}]", name, index + 1);
}

bool is_root_port(const Controller& controller) {
  return controller.model == ControllerModel::pcie_root_port;
}

// The devices that sit on PCI, but for root ports, in the order they choose their places in.
std::vector<Place> endpoints(Devices& devices) {
  std::vector<Place> places;
  places.reserve(devices.interfaces.size() + devices.controllers.size() + devices.disks.size() +
                 devices.rngs.size() + 1);
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i)
    places.push_back({&devices.interfaces[i].info, numbered("interface", i)});
  for (std::size_t i = 0; i < devices.controllers.size(); ++i)
    if (devices.controllers[i].type == ControllerType::virtio_serial ||
        devices.controllers[i].type == ControllerType::scsi)
      places.push_back({&devices.controllers[i].info, numbered("controller", i)});
  for (std::size_t i = 0; i < devices.disks.size(); ++i)
    if (devices.disks[i].bus == DiskBus::virtio)
      places.push_back({&devices.disks[i].info, numbered("disk", i)});
  for (std::size_t i = 0; i < devices.controllers.size(); ++i)
    if (devices.controllers[i].type == ControllerType::sata && devices.controllers[i].index != 0u)
      places.push_back({&devices.controllers[i].info, numbered("controller", i), true});
  for (std::size_t i = 0; i < devices.host_devices.size(); ++i)
    places.push_back({&devices.host_devices[i].info, numbered("hostdev", i)});
  if (devices.balloon() != nullptr)
    places.push_back({&devices.memory_balloon->info, "/domain/devices/memballoon"});
  for (std::size_t i = 0; i < devices.rngs.size(); ++i)
    places.push_back({&devices.rngs[i].info, numbered("rng", i)});
  for (std::size_t i = 0; i < devices.inputs.size(); ++i)
    if (devices.inputs[i].bus == InputBus::virtio)
      places.push_back({&devices.inputs[i].info, numbered("input", i)});
  for (std::size_t i = 0; i < devices.vsocks.size(); ++i)
    places.push_back({&devices.vsocks[i].info, numbered("vsock", i)});
  for (std::size_t i = 0; i < devices.memories.size(); ++i)
    if (devices.memories[i].model == MemoryModel::virtio_mem)
      places.push_back({&devices.memories[i].info, numbered("memory", i)});
  for (Watchdog& watchdog : devices.watchdogs)
    if (watchdog.model == WatchdogModel::i6300esb)
      places.push_back({&watchdog.info, "/domain/devices/watchdog", true});
  return places;
}

// What is taken: functions of slots of buses.
class PciMap {
 public:
  void take(const PciAddress& address, const std::string& what) {
    if (address.bus == 0 && (address.slot == kHostBridgeSlot || address.slot == kChipsetSlot)) {
      throw xml_error(what, 0,
                      fmt::format("the PCI address {} is the chipset's", format_pci_address(address)));
    }
    const auto [entry, fresh] = taken_.emplace(key(address.bus, address.slot, address.function), what);
    if (!fresh) {
      throw xml_error(
          what, 0,
          fmt::format("the PCI address {} is that of {}", format_pci_address(address), entry->second));
    }
    if (address.function == 0 && address.multifunction == true) multifunction_[slot_key(address)] = true;
  }
  bool is_free(std::uint8_t bus, std::uint8_t slot, std::uint8_t function) const {
    return !taken_.contains(key(bus, slot, function));
  }
  bool slot_is_free(std::uint8_t bus, std::uint8_t slot) const {
    const auto at = taken_.lower_bound(key(bus, slot, 0));
    return at == taken_.end() || at->first > key(bus, slot, 7);
  }
  bool is_multifunction(std::uint8_t bus, std::uint8_t slot) const {
    return multifunction_.contains(static_cast<std::uint32_t>(bus << 5 | slot));
  }
  // A function other than 0 is only found behind a function 0 that says there are more (PCI 3.0 §6.2.1).
  void check_functions() const {
    for (const auto& [place, what] : taken_) {
      if ((place & 7) == 0) continue;
      const auto bus = static_cast<std::uint8_t>(place >> 8);
      const auto slot = static_cast<std::uint8_t>(place >> 3 & 31);
      if (is_free(bus, slot, 0) || !is_multifunction(bus, slot))
        throw xml_error(what, 0, "its PCI function needs a device in function 0 with multifunction='on'");
    }
  }

 private:
  static std::uint32_t key(std::uint8_t bus, std::uint8_t slot, std::uint8_t function) {
    return static_cast<std::uint32_t>(bus << 8 | slot << 3 | function);
  }
  static std::uint32_t slot_key(const PciAddress& address) {
    return static_cast<std::uint32_t>(address.bus << 5 | address.slot);
  }
  std::map<std::uint32_t, std::string> taken_;
  std::map<std::uint32_t, bool> multifunction_;
};

class Assignment {
 public:
  explicit Assignment(Devices& devices) : devices_(devices) {}

  void run() {
    place_chipset();
    index_ports();
    add_ports();
    take_given_places();
    place_ports();
    place_endpoints();
    map_.check_functions();
  }

 private:
  Controller* port_of_bus(std::uint32_t bus) {
    for (Controller& controller : devices_.controllers)
      if (is_root_port(controller) && controller.index == bus) return &controller;
    return nullptr;
  }

  std::uint32_t free_bus() {
    for (std::uint32_t bus = 1; bus <= 255; ++bus)
      if (!port_of_bus(bus)) return bus;
    throw config_unsupported("/domain/devices", 0, "there are more PCI devices than 255 buses have room for");
  }

  // The first SATA controller is a function of the ICH9.
  void place_chipset() {
    constexpr PciAddress kSata{.slot = kChipsetSlot, .function = 2};
    for (std::size_t i = 0; i < devices_.controllers.size(); ++i) {
      Controller& controller = devices_.controllers[i];
      if (controller.type != ControllerType::sata || controller.index != 0u) continue;
      if (controller.info.pci && format_pci_address(*controller.info.pci) != format_pci_address(kSata))
        throw xml_error(numbered("controller", i), 0,
                        "Primary SATA controller must have PCI address 0:0:1f.2");
      if (!controller.info.pci) controller.info.pci = kSata;
    }
  }

  void index_ports() {
    for (std::size_t i = 0; i < devices_.controllers.size(); ++i) {
      Controller& port = devices_.controllers[i];
      if (!is_root_port(port)) continue;
      if (!port.index) port.index = free_bus();
      for (std::size_t j = 0; j < i; ++j)
        if (is_root_port(devices_.controllers[j]) && devices_.controllers[j].index == port.index)
          throw xml_error(numbered("controller", i), 0,
                          fmt::format("there are two of index {}", *port.index));
    }
  }

  void add_port(std::uint32_t bus) {
    devices_.controllers.push_back(
        {.type = ControllerType::pci, .model = ControllerModel::pcie_root_port, .index = bus});
  }

  // A port for every bus that is named, for every device without a place, and one more; none for no device.
  void add_ports() {
    const std::vector<Place> places = endpoints(devices_);
    std::uint32_t highest = 0;
    std::size_t ports = 0;
    for (const Controller& controller : devices_.controllers)
      if (is_root_port(controller)) {
        ++ports;
        highest = std::max(highest, *controller.index);
      }
    std::size_t wanted = std::ranges::all_of(places, &Place::is_conventional) ? 0 : 1;
    std::array<bool, 256> used{};
    for (const Place& place : places) {
      if (place.is_conventional) continue;
      if (!place.info->pci) {
        ++wanted;
        continue;
      }
      const std::uint8_t bus = place.info->pci->bus;
      highest = std::max<std::uint32_t>(highest, bus);
      if (bus != 0 && !std::exchange(used[bus], true)) ++wanted;
    }
    for (std::uint32_t bus = 1; bus <= highest; ++bus)
      if (!port_of_bus(bus)) {
        add_port(bus);
        ++ports;
      }
    for (; ports < wanted; ++ports) add_port(free_bus());
  }

  void take_given_places() {
    for (std::size_t i = 0; i < devices_.controllers.size(); ++i) {
      const Controller& port = devices_.controllers[i];
      if (!is_root_port(port) || !port.info.pci) continue;
      if (port.info.pci->bus != 0)
        throw config_unsupported(numbered("controller", i), 0, "a root port can only be on bus 0");
      map_.take(*port.info.pci, numbered("controller", i));
    }
    for (const Place& place : endpoints(devices_)) {
      if (!place.info->pci) continue;
      if (place.info->pci->bus != 0 && place.is_conventional)
        throw xml_error(place.what, 0, "it is a conventional PCI device, which can only be on bus 0");
      if (place.info->pci->bus != 0 && place.info->pci->slot != 0)
        throw xml_error(place.what, 0, "behind a root port there is slot 0 only");
      map_.take(*place.info->pci, place.what);
    }
  }

  // The next free function among slots that hold root ports, or of a slot that is quite free.
  PciAddress next_port_place() {
    for (std::uint8_t slot = kFirstPortSlot; slot <= kLastPortSlot; ++slot) {
      if (map_.slot_is_free(0, slot)) return {.slot = slot, .multifunction = true};
      if (!ports_in_[slot] || !map_.is_multifunction(0, slot)) continue;
      for (std::uint8_t function = 1; function < 8; ++function)
        if (map_.is_free(0, slot, function)) return {.slot = slot, .function = function};
    }
    throw config_unsupported("/domain/devices", 0, "there is no slot left on bus 0 for another root port");
  }

  void place_ports() {
    std::vector<Controller*> chosen;
    for (const Controller& port : devices_.controllers)
      if (is_root_port(port) && port.info.pci) ports_in_[port.info.pci->slot] = true;
    for (std::size_t i = 0; i < devices_.controllers.size(); ++i) {
      Controller& port = devices_.controllers[i];
      if (!is_root_port(port)) continue;
      if (!port.info.pci) {
        port.info.pci = next_port_place();
        map_.take(*port.info.pci, numbered("controller", i));
        ports_in_[port.info.pci->slot] = true;
        chosen.push_back(&port);
      }
      if (port.model_name.empty()) port.model_name = "pcie-root-port";
      if (!port.chassis) port.chassis = port.index;
      if (!port.port)
        port.port = static_cast<std::uint32_t>(port.info.pci->slot << 3 | port.info.pci->function);
    }
    // A port that is alone in its slot has no use for the flag.
    for (Controller* port : chosen)
      if (port->info.pci->function == 0 && map_.is_free(0, port->info.pci->slot, 1))
        port->info.pci->multifunction.reset();
  }

  std::optional<PciAddress> free_slot() const {
    for (std::uint8_t slot = kFirstPortSlot; slot <= kLastPortSlot; ++slot)
      if (map_.slot_is_free(0, slot)) return PciAddress{.slot = slot};
    return std::nullopt;
  }

  std::optional<PciAddress> free_port() {
    for (std::uint32_t bus = 1; bus <= 255; ++bus)
      if (port_of_bus(bus) && map_.slot_is_free(static_cast<std::uint8_t>(bus), 0))
        return PciAddress{.bus = static_cast<std::uint8_t>(bus)};
    return std::nullopt;
  }

  void place_endpoints() {
    for (const Place& place : endpoints(devices_)) {
      if (place.info->pci) continue;
      place.info->pci = place.is_conventional ? free_slot() : free_port();
      if (!place.info->pci) throw config_unsupported(place.what, 0, "there is no place left for it");
      map_.take(*place.info->pci, place.what);
    }
  }

  Devices& devices_;
  PciMap map_;
  std::array<bool, 32> ports_in_{};
};

}  // namespace

bool takes_hot_plug(const Devices& devices, const PciAddress& address) {
  if (address.slot != 0 || address.function != 0) return false;
  Devices copy = devices;
  for (const Place& place : endpoints(copy))
    if (place.info->pci && place.info->pci->bus == address.bus && place.info->pci->function != 0)
      return false;
  for (const Controller& port : devices.controllers)
    if (is_root_port(port) && port.index == address.bus) return port.hotplug.value_or(true);
  return false;
}

void place_hot_plugged(const Devices& devices, DeviceInfo& info) {
  Devices copy = devices;
  const auto is_free = [&](const PciAddress& address) {
    for (const Place& place : endpoints(copy))
      if (place.info->pci && place.info->pci->bus == address.bus) return false;
    return takes_hot_plug(devices, address);
  };
  if (info.pci) {
    if (is_free(*info.pci)) return;
    throw xml_error("/*/address", 0,
                    fmt::format("a device cannot be plugged in at {}: it is no free slot behind a root port "
                                "that takes devices at run time",
                                format_pci_address(*info.pci)));
  }
  for (std::uint32_t bus = 1; bus <= 255; ++bus) {
    const PciAddress address{.bus = static_cast<std::uint8_t>(bus)};
    if (!is_free(address)) continue;
    info.pci = address;
    return;
  }
  throw internal_error(
      "No more available PCI slots: define the domain with more <controller type='pci' "
      "model='pcie-root-port'/>");
}

void assign_pci_addresses(Devices& devices) {
  Assignment(devices).run();
}

}  // namespace warren::driver::config
