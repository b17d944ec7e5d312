#include "driver/config/domain_defaults.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <sys/random.h>

#include "driver/config/cpu_features.h"
#include "driver/config/device_change.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/pci_assignment.h"
#include "driver/config/scsi_devices.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

void system_random_bytes(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got < 0 && errno != EINTR) throw system_error(errno, "random bytes");
    if (got > 0) done += static_cast<std::size_t>(got);
  }
}

std::string_view disk_format_name(DiskFormat format) {
  return names::kDiskFormat.name(format);
}

std::string_view caged_format_name(CagedFormat format) {
  return names::kCagedFormat.name(format);
}

std::string format_nbd_server(const NbdServer& server) {
  if (!server.socket.empty()) return server.socket;
  // An address of IPv6 has colons of its own.
  const bool has_colons = server.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", has_colons ? "[" : "", server.host, has_colons ? "]" : "",
                     server.port.value_or(kNbdPort));
}

std::uint32_t number_images(Disk& disk, std::uint32_t first) {
  if (!disk.has_source()) return first;
  disk.source_index = first++;
  for (BackingImage& image : disk.backing) image.source_index = first++;
  return first;
}

std::uint32_t next_image_number(const Devices& devices) {
  std::uint32_t last = 0;
  const auto note = [&last](const std::optional<std::uint32_t>& index) {
    last = std::max(last, index.value_or(0));
  };
  for (const Disk& disk : devices.disks) {
    note(disk.source_index);
    for (const BackingImage& image : disk.backing) note(image.source_index);
    if (!disk.mirror) continue;
    note(disk.mirror->image.source_index);
    for (const BackingImage& image : disk.mirror->backing) note(image.source_index);
  }
  return last + 1;
}

std::size_t disk_number(std::string_view target) {
  const std::size_t prefix = target.starts_with("xvd") || target.starts_with("ubd") ? 3 : 2;
  std::size_t number = 0;
  for (const char letter : target.substr(prefix))
    number = number * 26 + static_cast<std::size_t>(letter - 'a') + 1;
  return number - 1;
}

namespace {

constexpr std::uint64_t kMaximumMemoryKib = std::uint64_t{1} << 30;  // 1 TiB: what a worker takes

Uuid make_uuid(const RandomBytes& random) {
  Uuid uuid;
  random(uuid.bytes);
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);  // version 4 (RFC 4122 §4.4)
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

void fill_identity(DomainDefinition& definition, const RandomBytes& random) {
  if (!definition.uuid) definition.uuid = make_uuid(random);
  if (definition.generation_id && !definition.generation_id->id)
    definition.generation_id->id = make_uuid(random);
}

void fill_platform(DomainDefinition& definition) {
  // Warren's PC always has ACPI and an APIC: the definition says so.
  definition.features.acpi = true;
  definition.features.apic = true;
  auto& lifecycle = definition.lifecycle;
  if (!lifecycle.on_poweroff) lifecycle.on_poweroff = LifecycleAction::destroy;
  if (!lifecycle.on_reboot) lifecycle.on_reboot = LifecycleAction::restart;
  if (!lifecycle.on_crash) lifecycle.on_crash = LifecycleAction::destroy;
  if (definition.clock.offset == ClockOffset::variable && !definition.clock.basis)
    definition.clock.basis = ClockBasis::utc;
  const auto ordered = [](const auto& device) { return device.info.boot_order.has_value(); };
  const Devices& devices = definition.devices;
  if (definition.os.boot_devices.empty() &&
      std::none_of(devices.disks.begin(), devices.disks.end(), ordered) &&
      std::none_of(devices.interfaces.begin(), devices.interfaces.end(), ordered) &&
      std::none_of(devices.host_devices.begin(), devices.host_devices.end(), ordered))
    definition.os.boot_devices.push_back(BootDevice::hd);
}

void fill_cpu(DomainDefinition& definition) {
  if (!definition.cpu) definition.cpu.emplace();
  Cpu& cpu = *definition.cpu;
  if (!cpu.mode) cpu.mode = CpuMode::host_passthrough;
  switch (*cpu.mode) {
    case CpuMode::custom:
      if (!cpu.match) cpu.match = CpuMatch::exact;
      if (!cpu.check) cpu.check = CpuCheck::partial;
      if (!cpu.fallback) cpu.fallback = CpuFallback::allow;
      break;
    case CpuMode::host_model:
      if (!cpu.check) cpu.check = CpuCheck::partial;
      break;
    case CpuMode::host_passthrough:
    case CpuMode::maximum:
      if (!cpu.check) cpu.check = CpuCheck::none;
      if (!cpu.migratable) cpu.migratable = true;
      break;
  }
}

void fill_serials(Devices& devices) {
  // <console> alone is a serial port by its old name.
  const bool asks_for_serial =
      !devices.consoles.empty() && devices.consoles.front().target == ConsoleTarget::serial;
  if (devices.serials.empty() && asks_for_serial)
    devices.serials.push_back({.backend = devices.consoles.front().backend});
  for (std::size_t i = 0; i < devices.serials.size(); ++i) {
    SerialPort& serial = devices.serials[i];
    if (serial.port) {
      for (std::size_t j = 0; j < devices.serials.size(); ++j)
        if (j != i && devices.serials[j].port == serial.port)
          throw xml_error(fmt::format("/domain/devices/serial[{}]", i + 1), 0,
                          fmt::format("there are two serial ports {}", *serial.port));
    }
  }
  for (SerialPort& serial : devices.serials) {
    serial.target_given = true;
    if (serial.port) continue;
    // The next one, and only when there is none the first that is free: as libvirt counts.
    std::optional<std::uint32_t> highest;
    for (const SerialPort& other : devices.serials) highest = std::max(highest, other.port);
    if (!highest || *highest < 3) serial.port = highest ? *highest + 1 : 0;
    for (std::uint32_t port = 0; port < 4 && !serial.port; ++port)
      if (std::none_of(devices.serials.begin(), devices.serials.end(),
                       [&](const SerialPort& other) { return other.port == port; }))
        serial.port = port;
    if (!serial.port) throw config_unsupported("/domain/devices/serial[5]", 0, "a PC has four serial ports");
  }
}

void fill_consoles(Devices& devices) {
  auto& consoles = devices.consoles;
  if (!devices.serials.empty() && (consoles.empty() || consoles.front().target != ConsoleTarget::serial))
    consoles.insert(consoles.begin(), Console{});
  std::uint32_t virtio = 0;
  for (std::size_t i = 0; i < consoles.size(); ++i) {
    Console& console = consoles[i];
    console.target_given = true;
    if (console.target == ConsoleTarget::virtio) {
      if (!console.port) console.port = virtio;
      if (*console.port > kMaximumConsolePort) {
        throw config_unsupported(
            fmt::format("/domain/devices/console[{}]", i + 1), 0,
            fmt::format("its port would be {}; the highest is {}", *console.port, kMaximumConsolePort));
      }
      virtio = std::max(virtio, *console.port) + 1;
      continue;
    }
    if (i > 0) {
      throw config_unsupported(
          fmt::format("/domain/devices/console[{}]", i + 1), 0,
          "only the first console can be a serial port; the others are of target 'virtio'");
    }
    console.port = devices.serials.front().port;
    console.backend = devices.serials.front().backend;
    console.info = devices.serials.front().info;
  }
}

Controller* find_controller(Devices& devices, ControllerType type, std::uint32_t index) {
  for (Controller& controller : devices.controllers)
    if (controller.type == type && controller.index == index) return &controller;
  return nullptr;
}

// `name` is that of the type.
void index_controllers(Devices& devices, ControllerType type, std::string_view name) {
  for (std::size_t i = 0; i < devices.controllers.size(); ++i) {
    Controller& controller = devices.controllers[i];
    if (controller.type != type) continue;
    for (std::uint32_t index = 0; !controller.index; ++index)
      if (!find_controller(devices, type, index)) controller.index = index;
    for (std::size_t j = 0; j < i; ++j)
      if (devices.controllers[j].type == controller.type && devices.controllers[j].index == controller.index)
        throw xml_error(fmt::format("/domain/devices/controller[{}]", i + 1), 0,
                        fmt::format("there are two {} controllers {}", name, *controller.index));
  }
}

// A SATA drive is where its name says, as libvirt has it: the first of a controller is its first port.
void place_drives(Devices& devices) {
  for (Disk& disk : devices.disks) {
    if (disk.bus != DiskBus::sata) continue;
    const std::size_t number = disk_number(disk.target);
    if (!disk.drive) {
      disk.drive = DriveAddress{.controller = static_cast<std::uint32_t>(number / kSataPorts),
                                .unit = static_cast<std::uint32_t>(number % kSataPorts)};
    }
  }
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    const Disk& disk = devices.disks[i];
    if (disk.bus != DiskBus::sata) continue;
    for (std::size_t j = 0; j < i; ++j)
      if (devices.disks[j].bus == disk.bus && devices.disks[j].drive == disk.drive) {
        throw xml_error(fmt::format("/domain/devices/disk[{}]", i + 1), 0,
                        fmt::format("Found duplicate drive address for disk with target name '{}' "
                                    "controller='{}' bus='0' target='0' unit='{}'",
                                    disk.target, disk.drive->controller, disk.drive->unit));
      }
    if (disk.drive->controller > 255)
      throw config_unsupported(fmt::format("/domain/devices/disk[{}]/target", i + 1), 0,
                               fmt::format("'{}' is beyond the last SATA controller", disk.target));
    if (!find_controller(devices, ControllerType::sata, disk.drive->controller))
      devices.controllers.push_back({.type = ControllerType::sata, .index = disk.drive->controller});
  }
}

// Those of one type stand in the order of their indexes, from where the first of them stood.
void order_controllers(Devices& devices) {
  std::vector<Controller> ordered;
  ordered.reserve(devices.controllers.size());
  for (Controller& controller : devices.controllers) {
    auto place = ordered.end();
    for (auto at = ordered.end(); at != ordered.begin();) {
      --at;
      if (at->type != controller.type) continue;
      if (at->index < controller.index) {
        place = std::next(at);
        break;
      }
      place = at;
    }
    ordered.insert(place, std::move(controller));
  }
  devices.controllers = std::move(ordered);
}

// Ports of virtio-serial controllers, as libvirt gives them: those that are named first, then to each device
// the first that is free; port 0 goes to consoles only.
class SerialPlaces {
 public:
  explicit SerialPlaces(Devices& devices) : devices_(devices) {}

  void run() {
    for_each([this](const std::optional<VirtioSerialAddress>& address, bool, const std::string& what) {
      // An address of port 0 names the controller only.
      if (address && address->port != 0) take(*address, what);
    });
    for_each([this](std::optional<VirtioSerialAddress>& address, bool is_console, const std::string& what) {
      if (address && address->port != 0) return;
      choose(address, is_console, what);
    });
  }

 private:
  template <typename Visit>
  void for_each(Visit visit) {
    for (std::size_t i = 0; i < devices_.consoles.size(); ++i)
      if (devices_.consoles[i].target == ConsoleTarget::virtio)
        visit(devices_.consoles[i].address, true, fmt::format("/domain/devices/console[{}]", i + 1));
    for (std::size_t i = 0; i < devices_.channels.size(); ++i)
      visit(devices_.channels[i].address, false, fmt::format("/domain/devices/channel[{}]", i + 1));
  }

  Controller& controller(std::uint32_t index) {
    if (Controller* found = find_controller(devices_, ControllerType::virtio_serial, index)) return *found;
    devices_.controllers.push_back({.type = ControllerType::virtio_serial, .index = index});
    return devices_.controllers.back();
  }

  void take(const VirtioSerialAddress& address, const std::string& what) {
    const std::uint32_t ports = controller(address.controller).ports.value_or(kSerialControllerPorts);
    if (address.port >= ports) {
      throw xml_error(what + "/address", 0,
                      fmt::format("virtio-serial controller {} has no port {}, only {} of them",
                                  address.controller, address.port, ports));
    }
    if (!taken_.emplace(address.controller, address.port).second) {
      throw xml_error(what + "/address", 0,
                      fmt::format("port {} of virtio-serial controller {} is used twice", address.port,
                                  address.controller));
    }
  }

  void choose(std::optional<VirtioSerialAddress>& address, bool is_console, const std::string& what) {
    const bool is_bound = address.has_value();
    for (std::uint32_t index = is_bound ? address->controller : 0; index < 256; ++index) {
      const std::uint32_t ports = controller(index).ports.value_or(kSerialControllerPorts);
      for (std::uint32_t port = is_console ? 0 : 1; port < ports; ++port) {
        if (taken_.contains({index, port})) continue;
        address = VirtioSerialAddress{.controller = index, .port = port};
        return take(*address, what);
      }
      if (is_bound) break;
    }
    throw xml_error(what, 0, "there is no port left on its virtio-serial controller");
  }

  Devices& devices_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> taken_;
};

void fill_fixed_controllers(Devices& devices) {
  const auto add_once = [&](ControllerType type, ControllerModel model) {
    std::size_t count = 0;
    for (Controller& controller : devices.controllers) {
      if (controller.model != model) continue;
      controller.index = 0;
      if (++count > 1)
        throw xml_error("/domain/devices", 0, "two controllers have the same type, model and index");
    }
    if (count == 0) devices.controllers.push_back({.type = type, .model = model, .index = 0});
  };
  add_once(ControllerType::usb, ControllerModel::usb_none);
  // The ICH9 has its SATA controller, asked for or not.
  if (!find_controller(devices, ControllerType::sata, 0))
    devices.controllers.push_back({.type = ControllerType::sata, .index = 0});
  add_once(ControllerType::pci, ControllerModel::pcie_root);
}

void complete(Disk& disk, const RandomBytes&) {
  if (disk.caged) return;
  disk.driver.name_qemu = true;
  if (!disk.driver.format) disk.driver.format = DiskFormat::raw;
}
void complete(Interface& interface, const RandomBytes& random) {
  if (interface.type != InterfaceType::hostdev) interface.model_virtio = true;
  if (interface.type == InterfaceType::bridge && is_on_open_vswitch(interface) &&
      !interface.virtual_port->interface_id)
    interface.virtual_port->interface_id = make_uuid(random);
  if (interface.mac) return;
  MacAddress mac{0x52, 0x54, 0x00};  // the prefix KVM guests are known by
  random(std::span(mac).subspan(3));
  interface.mac = mac;
}
void complete(Rng& rng, const RandomBytes&) {
  if (rng.backend == RngBackend::random && rng.path.empty()) rng.path = "/dev/random";
}
void complete(Controller& controller, const RandomBytes&) {
  if (controller.type == ControllerType::scsi) controller.model = ControllerModel::virtio_scsi;
}
void complete(Vsock& vsock, const RandomBytes&) {
  vsock.has_model = true;
  if (!vsock.auto_cid) vsock.auto_cid = !vsock.cid;
}
template <typename T>
void complete(T&, const RandomBytes&) {}

void fill_models(Devices& devices, const RandomBytes& random) {
  // Disks are numbered in the order of their targets, whatever the order they were written in.
  std::sort(devices.disks.begin(), devices.disks.end(),
            [](const Disk& a, const Disk& b) { return a.target < b.target; });
  for (Disk& disk : devices.disks) complete(disk, random);
  for (Interface& interface : devices.interfaces) complete(interface, random);
  for (Rng& rng : devices.rngs) complete(rng, random);
  for (Vsock& vsock : devices.vsocks) complete(vsock, random);
  if (!devices.memory_balloon) devices.memory_balloon.emplace();
  if (devices.panic) devices.panic->has_model = true;
  // The i8042 has its keyboard, asked for or not.
  if (std::ranges::find(devices.inputs, InputBus::ps2, &Input::bus) == devices.inputs.end())
    devices.inputs.emplace_back();
}

// A domain that was written for QEMU runs on Warren's worker, as one of machine 'pc' runs as 'q35'; what is
// printed shows it. Anything else may be a wrapper that does what nobody here knows.
bool is_stock_qemu(std::string_view emulator) {
  constexpr std::string_view kNames[] = {"qemu-system-x86_64", "qemu-kvm", "kvm", "kvm-spice"};
  const std::string_view name = emulator.substr(emulator.rfind('/') + 1);
  return std::ranges::find(kNames, name) != std::end(kNames);
}

void check_host(DomainDefinition& definition, const HostFacts& facts) {
  std::string& emulator = definition.devices.emulator;
  if (emulator.empty() || (!facts.emulator.empty() && is_stock_qemu(emulator))) emulator = facts.emulator;
  if (!facts.emulator.empty() && emulator != facts.emulator) {
    throw config_unsupported("/domain/devices/emulator", 0,
                             fmt::format("'{}' is not Warren's worker; leave <emulator> out, or name '{}'",
                                         emulator, facts.emulator));
  }
  if (facts.kvm_maximum_vcpus != 0 && definition.vcpu.maximum > facts.kvm_maximum_vcpus) {
    throw config_unsupported("/domain/vcpu", 0,
                             fmt::format("{} vCPUs are more than the {} of this host's KVM",
                                         definition.vcpu.maximum, facts.kvm_maximum_vcpus));
  }
  check_hyperv(definition, facts);
  check_memory_devices(definition);
  check_host_devices(definition.devices);
  if (definition.memory.limit_kib > kMaximumMemoryKib) {
    throw config_unsupported("/domain/maxMemory", 0,
                             fmt::format("{} KiB is more than the {} Warren gives a guest",
                                         definition.memory.limit_kib, kMaximumMemoryKib));
  }
  if (definition.memory.maximum_kib > kMaximumMemoryKib) {
    throw config_unsupported("/domain/memory", 0,
                             fmt::format("{} KiB is more than the {} Warren gives a guest",
                                         definition.memory.maximum_kib, kMaximumMemoryKib));
  }
}

}  // namespace

void complete_device(Device& device, const RandomBytes& random) {
  std::visit([&](auto& each) { complete(each, random); }, device);
}

void fill_defaults(DomainDefinition& definition, const HostFacts& facts, const RandomBytes& random) {
  DomainDefinition filled = definition;
  check_host(filled, facts);
  fill_identity(filled, random);
  fill_platform(filled);
  fill_cpu(filled);
  Devices& devices = filled.devices;
  fill_models(devices, random);
  fill_serials(devices);
  fill_consoles(devices);
  index_controllers(devices, ControllerType::sata, "SATA");
  fill_fixed_controllers(devices);
  index_controllers(devices, ControllerType::virtio_serial, "virtio-serial");
  index_controllers(devices, ControllerType::scsi, "SCSI");
  place_drives(devices);
  place_scsi_disks(devices);
  SerialPlaces(devices).run();
  assign_pci_addresses(devices);
  order_controllers(devices);
  definition = std::move(filled);
}

}  // namespace warren::driver::config
