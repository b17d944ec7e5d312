#include "vmm-core/machine/q35.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

struct SerialPlace {
  std::uint16_t port;
  std::uint32_t gsi;
};
constexpr std::array<SerialPlace, 4> kSerialPlaces = {{{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}}};
constexpr std::uint64_t kSerialPorts = 8;
constexpr std::uint16_t kKeyboardPort = 0x60;
constexpr std::uint64_t kKeyboardPorts = 5;
constexpr std::uint32_t kKeyboardGsi = 1;
constexpr std::uint16_t kClockPort = 0x70;
constexpr std::uint64_t kClockPorts = 2;
constexpr std::uint32_t kClockGsi = 8;
constexpr std::uint8_t kLpcSlot = 31;

RealTimeClock::Nanoseconds host_utc() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Q35::Q35(MachineConfiguration& configuration, const MemoryMap& map, KvmInterruptLines& lines,
         const DeviceEnvironment& environment, const Actions& actions)
    : map_(map),
      reset_control_(actions.reset),
      power_management_(lines.make_line(kSciGsi), actions.guest_nanoseconds, configuration.sleep_states,
                        {.sleep = actions.sleep,
                         .wake =
                             [told = actions.may_wake] {
                               if (told) told();
                             }}),
      keyboard_(lines.make_line(kKeyboardGsi), actions.reset),
      clock_(lines.make_line(kClockGsi), host_utc, configuration.clock_offset_nanoseconds,
             actions.clock_changed, configuration.missed_clock_ticks),
      host_bridge_({memory_, ports_, nullptr}, kEcamBase),
      lpc_bridge_(
          {memory_, ports_, nullptr}, kPowerManagementBase,
          configuration.tco_watchdog ? std::optional(std::uint32_t{kRootComplexBase}) : std::nullopt) {
  clock_.set_alarm_observer([this] { power_management_.note_alarm(); });
  if (configuration.tco_watchdog) add_tco_watchdog(*configuration.tco_watchdog);
  map_chipset();
  add_serials(configuration, lines);
  if (configuration.panic_port) {
    panic_port_.emplace(actions.panicked);
    mappings_.push_back(ports_.map(PanicPort::kPort, 1, *panic_port_, "panic port"));
  }
  if (!configuration.cpu.hot_pluggable.empty()) add_vcpu_hot_plug(configuration.cpu, actions);
  if (configuration.memory_slots != 0) add_memory_hot_plug(configuration.memory_slots, actions);
  add_ports(configuration, lines, actions);
  add_pci_hot_plug(actions);
  add_devices(configuration, lines, environment);
  place_bars();
}

Q35::~Q35() = default;

void Q35::map_chipset() {
  mappings_.push_back(
      ports_.map(kPciConfigAddressPort, pci::RootComplex::kConfigPorts, root_.ports(), "PCI configuration"));
  root_.set_byte_handler(&reset_control_);
  mappings_.push_back(memory_.map(kEcamBase, kEcamSize, root_.ecam(), "PCI configuration"));
  mappings_.push_back(ports_.map(kPowerManagementBase, tco_watchdog_ ? kTcoOffset : kPowerManagementSize,
                                 power_management_, "power management"));
  mappings_.push_back(ports_.map(kKeyboardPort, kKeyboardPorts, keyboard_, "keyboard controller"));
  mappings_.push_back(ports_.map(kClockPort, kClockPorts, clock_, "real-time clock"));
  root_.attach(0, 0, host_bridge_);
  root_.attach(kLpcSlot, 0, lpc_bridge_);
}

void Q35::add_tco_watchdog(const TcoConfiguration& configuration) {
  tco_watchdog_.emplace(configuration.id, *configuration.thread, configuration.expired);
  mappings_.push_back(ports_.map(kPowerManagementBase + kTcoOffset, TcoWatchdog::kPorts, *tco_watchdog_,
                                 tco_watchdog_->name()));
  mappings_.push_back(memory_.map(kRootComplexBase + TcoWatchdog::kGeneralControlOffset,
                                  TcoWatchdog::kGeneralControlSize, tco_watchdog_->general_control(),
                                  tco_watchdog_->name() + " control"));
}

void Q35::add_vcpu_hot_plug(const CpuConfiguration& cpu, const Actions& actions) {
  vcpu_hot_plug_.emplace(
      cpu.vcpus, cpu.hot_pluggable, cpu.absent,
      VcpuHotPlug::Actions{.notify = [this] { power_management_.raise_event(PowerManagement::kVcpuEvent); },
                           .ejected =
                               [told = actions.vcpu_released](std::uint32_t vcpu) {
                                 if (told) told(vcpu);
                               },
                           .refused =
                               [told = actions.vcpu_kept](std::uint32_t vcpu) {
                                 if (told) told(vcpu);
                               }});
  mappings_.push_back(memory_.map(kVcpuHotPlugBase, VcpuHotPlug::kSize, *vcpu_hot_plug_, "vCPU hot plug"));
}

void Q35::add_memory_hot_plug(std::uint32_t slots, const Actions& actions) {
  memory_hot_plug_.emplace(
      slots, MemoryHotPlug::Actions{
                 .notify = [this] { power_management_.raise_event(PowerManagement::kMemoryEvent); },
                 .ejected =
                     [told = actions.dimm_released](std::uint32_t slot) {
                       if (told) told(slot);
                     },
                 .refused =
                     [told = actions.dimm_kept](std::uint32_t slot) {
                       if (told) told(slot);
                     }});
  mappings_.push_back(
      memory_.map(kMemoryHotPlugBase, MemoryHotPlug::kSize, *memory_hot_plug_, "memory hot plug"));
}

void Q35::add_pci_hot_plug(const Actions& actions) {
  std::vector<std::uint8_t> buses;
  for (const auto& port : root_ports_)
    if (port.hot_plug) buses.push_back(port.named_bus);
  if (buses.empty()) return;
  pci_hot_plug_.emplace(
      buses,
      PciHotPlug::Actions{.notify = [this] { power_management_.raise_event(PowerManagement::kPciEvent); },
                          .ejected =
                              [this, told = actions.device_released](std::uint8_t bus) {
                                port_of(bus)->port->set_power(false);
                                if (told) told(bus);
                              },
                          .refused =
                              [told = actions.device_kept](std::uint8_t bus) {
                                if (told) told(bus);
                              }});
  mappings_.push_back(memory_.map(kPciHotPlugBase, PciHotPlug::kSize, *pci_hot_plug_, "PCI hot plug"));
}

// The guest has not asked for the slots by _OSC, nor taken them without a word, as one without ACPI does.
bool Q35::drives_slots_by_acpi(const Port& port) const noexcept {
  return !pci_hot_plug_->is_native() && !port.port->is_driven();
}

std::vector<HotPlugPort> Q35::hot_plug_ports() const {
  std::vector<HotPlugPort> ports;
  for (const auto& port : root_ports_)
    if (port.hot_plug)
      ports.push_back({port.named_bus, port.address.slot, port.address.function, port.port->slot_number()});
  return ports;
}

void Q35::add_serials(const MachineConfiguration& configuration, KvmInterruptLines& lines) {
  for (const auto& serial : configuration.serials) {
    if (serial.port >= kSerialPlaces.size() || serial.backend == nullptr) {
      throw Error(std::errc::invalid_argument,
                  serial.id + ": serial port " + std::to_string(serial.port) + " does not exist");
    }
    const SerialPlace place = kSerialPlaces[serial.port];
    serials_.push_back(std::make_unique<Serial>(serial.id, lines.make_line(place.gsi), *serial.backend));
    serial.backend->set_listener(serials_.back().get());
    mappings_.push_back(ports_.map(place.port, kSerialPorts, *serials_.back(), serial.id));
  }
}

pci::Place Q35::root_place(const pci::Address& address, KvmInterruptLines& lines) {
  const std::uint32_t gsi = pci_interrupt_gsi(address.slot, 0);
  return {memory_, ports_, lines.make_line(gsi), false, lines.make_external_line(gsi)};
}

// INTA# behind a port comes out as INTA# of the port's slot: slot 0, pin 0.
pci::Place Q35::place_behind(const Port& port, KvmInterruptLines& lines) {
  pci::Place place = root_place({.slot = port.address.slot}, lines);
  place.express = true;
  return place;
}

Q35::Port* Q35::port_of(std::uint8_t bus) noexcept {
  const auto found = std::ranges::find(root_ports_, bus, &Port::named_bus);
  return found == root_ports_.end() ? nullptr : &*found;
}

void Q35::add_ports(const MachineConfiguration& configuration, KvmInterruptLines& lines,
                    const Actions& actions) {
  for (const auto& port : configuration.root_ports) {
    auto release = [released = actions.device_released, bus = port.secondary_bus] {
      if (released) released(bus);
    };
    auto made = port.hot_plug ? std::make_unique<pci::RootPort>(port.id, root_place(port.address, lines),
                                                                port.port_number, std::move(release))
                              : std::make_unique<pci::RootPort>(port.id, pci::Place{memory_, ports_, nullptr},
                                                                port.port_number);
    root_ports_.push_back({std::move(made), port.secondary_bus, port.address, port.hot_plug});
    root_.attach_port(port.address.slot, port.address.function, *root_ports_.back().port);
  }
}

void Q35::add_devices(MachineConfiguration& configuration, KvmInterruptLines& lines,
                      const DeviceEnvironment& environment) {
  for (const auto& device : configuration.devices) {
    if (device.address.bus == 0) {
      devices_.push_back({device.build(environment, root_place(device.address, lines)), 0});
      root_.attach(device.address.slot, device.address.function, *devices_.back().device.function);
      continue;
    }
    const Port* port = port_of(device.address.bus);
    if (port == nullptr || device.address.slot != 0) {
      throw Error(std::errc::invalid_argument, device.id + ": there is no slot " +
                                                   std::to_string(device.address.slot) + " on PCI bus " +
                                                   std::to_string(device.address.bus));
    }
    devices_.push_back({device.build(environment, place_behind(*port, lines)), device.address.bus});
    port->port->attach(device.address.function, *devices_.back().device.function);
    if (port->hot_plug) pci_hot_plug_->insert(device.address.bus, false);
  }
  // What is there from the beginning has power.
  for (const auto& port : root_ports_) port.port->reset();
}

void Q35::plug(const PciDeviceConfiguration& device, KvmInterruptLines& lines,
               const DeviceEnvironment& environment, bool running) {
  const Port* port = port_of(device.address.bus);
  if (port == nullptr || !port->hot_plug || device.address.slot != 0 || device.address.function != 0) {
    throw Error(std::errc::invalid_argument,
                device.id + ": no root port that takes a device at run time leads to PCI bus " +
                    std::to_string(device.address.bus));
  }
  if (std::ranges::find(devices_, device.address.bus, &Seated::bus) != devices_.end()) {
    throw Error(std::errc::address_in_use,
                device.id + ": PCI bus " + std::to_string(device.address.bus) + " has its device");
  }
  devices_.reserve(devices_.size() + 1);
  Seated seated{device.build(environment, place_behind(*port, lines)), device.address.bus};
  if (!running && seated.device.worker != nullptr) seated.device.worker->pause();
  port->port->plug(*seated.device.function);
  const bool by_acpi = drives_slots_by_acpi(*port);
  if (by_acpi) port->port->set_power(true);
  devices_.push_back(std::move(seated));
  pci_hot_plug_->insert(device.address.bus, by_acpi);
}

pci::RemovalRequest Q35::request_removal(const std::string& id) {
  const auto found = std::ranges::find_if(
      devices_, [&](const Seated& seated) { return seated.device.function->name() == id; });
  if (found == devices_.end()) throw Error(std::errc::no_such_device, "device '" + id + "'");
  const Port* port = port_of(found->bus);
  if (port == nullptr || !port->hot_plug) {
    throw Error(std::errc::operation_not_supported,
                "device " + id + " sits where devices cannot be removed at run time");
  }
  if (!drives_slots_by_acpi(*port)) return port->port->request_removal();
  return pci_hot_plug_->request_removal(found->bus) ? pci::RemovalRequest::asked : pci::RemovalRequest::empty;
}

std::string Q35::unplug(std::uint8_t bus) {
  const auto found = std::ranges::find(devices_, bus, &Seated::bus);
  Port* port = port_of(bus);
  if (found == devices_.end() || port == nullptr || !port->hot_plug) return {};
  port->port->unplug();
  pci_hot_plug_->remove(bus);
  if (found->device.worker != nullptr) found->device.worker->pause();
  std::string id = found->device.function->name();
  devices_.erase(found);
  return id;
}

std::string Q35::device_behind(std::uint8_t bus) const {
  const auto found = std::ranges::find(devices_, bus, &Seated::bus);
  return found == devices_.end() ? std::string() : found->device.function->name();
}

std::vector<std::string> Q35::device_names() const {
  std::vector<std::string> names;
  for (const auto& seated : devices_) names.push_back(seated.device.function->name());
  return names;
}

void Q35::place_bars() {
  root_.place_bars({.io = {kPciPortWindowStart, kPciPortWindowEnd - 1},
                    .memory32 = {kPciWindow32Start, kPciWindow32End - 1},
                    .memory64 = {map_.pci_window64_start, map_.pci_window64_end - 1}});
}

void Q35::reset() {
  reset_control_.reset();
  power_management_.reset();
  keyboard_.reset();
  clock_.reset();
  if (vcpu_hot_plug_) vcpu_hot_plug_->reset();
  if (memory_hot_plug_) memory_hot_plug_->reset();
  if (pci_hot_plug_) pci_hot_plug_->reset();
  if (tco_watchdog_) tco_watchdog_->reset();
  for (const auto& serial : serials_) serial->reset();
  root_.reset();
  host_bridge_.reset();
  lpc_bridge_.reset();
  for (const auto& port : root_ports_) port.port->reset();
  for (const auto& seated : devices_) seated.device.function->reset();
  place_bars();
}

void Q35::wake() {
  const PowerManagement::WakeEvents events = power_management_.wake_events();
  // What the guest chose by _OSC stands over S3, after which it does not ask again.
  const auto hot_plug = pci_hot_plug_ ? std::optional(pci_hot_plug_->save()) : std::nullopt;
  reset();
  if (hot_plug) pci_hot_plug_->restore(*hot_plug);
  power_management_.wake(events);
}

void Q35::pause() noexcept {
  if (tco_watchdog_) tco_watchdog_->pause();
  for (const auto& seated : devices_) {
    if (seated.device.worker != nullptr) seated.device.worker->pause();
  }
}

void Q35::resume() noexcept {
  if (tco_watchdog_) tco_watchdog_->resume();
  for (const auto& seated : devices_) {
    if (seated.device.worker != nullptr) seated.device.worker->resume();
  }
}

void Q35::inspect(InspectNode& node) const {
  ports_.inspect(node.child("ports"));
  memory_.inspect(node.child("mmio"));
  root_.inspect(node.child("pci"));
  reset_control_.inspect(node.child("reset-control"));
  power_management_.inspect(node.child("power-management"));
  keyboard_.inspect(node.child("keyboard-controller"));
  clock_.inspect(node.child("real-time-clock"));
  for (const auto& serial : serials_) serial->inspect(node.child(serial->name()));
  if (panic_port_) panic_port_->inspect(node.child("panic-port"));
  if (vcpu_hot_plug_) vcpu_hot_plug_->inspect(node.child("vcpu-hot-plug"));
  if (memory_hot_plug_) memory_hot_plug_->inspect(node.child("memory-hot-plug"));
  if (pci_hot_plug_) pci_hot_plug_->inspect(node.child("pci-hot-plug"));
  if (tco_watchdog_) tco_watchdog_->inspect(node.child(tco_watchdog_->name()));
  host_bridge_.inspect(node.child(host_bridge_.name()));
  lpc_bridge_.inspect(node.child(lpc_bridge_.name()));
  for (const auto& port : root_ports_) port.port->inspect(node.child(port.port->name()));
  for (const auto& seated : devices_)
    seated.device.function->inspect(node.child(seated.device.function->name()));
}

}  // namespace warren::vmm::machine
