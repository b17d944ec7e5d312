#include "driver/domain/machine_translation.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "driver/config/cpu_features.h"
#include "driver/config/vcpus.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

control::PciAddress address_of(const config::DeviceInfo& info) {
  // fill_defaults() gave every device on a PCI bus an address.
  if (!info.pci) throw internal_error(fmt::format("device {} has no PCI address", info.alias));
  if (info.pci->segment != 0) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("device {}: PCI domain {} does not exist, there is only 0", info.alias,
                            info.pci->segment));
  }
  return {info.pci->bus, info.pci->slot, info.pci->function};
}

// As the definition says, or all that the host has.
std::optional<control::HypervSpecification> hyperv_of(const config::DomainDefinition& live,
                                                      const config::HostFacts& facts) {
  const bool time = std::ranges::any_of(live.clock.timers, [](const config::Timer& timer) {
    return timer.name == config::TimerName::hypervclock && timer.present.value_or(true);
  });
  const config::Hyperv given = live.features.hyperv.value_or(config::Hyperv{});
  const bool all = given.mode == config::HypervMode::passthrough;
  const bool some = std::ranges::find(given.states, std::optional<bool>(true)) != given.states.end();
  if (!all && !some && !time) return std::nullopt;
  const auto on = [&](config::HypervFeature feature) {
    return all ? config::host_has(facts, feature) : given.has(feature);
  };
  using enum config::HypervFeature;
  control::HypervSpecification hyperv{
      .relaxed = on(relaxed),
      .vapic = on(vapic),
      .time = time || (all && config::host_has_hyperv_time(facts)),
      .vpindex = on(vpindex),
      .runtime = on(runtime),
      .synic = on(synic),
      .stimer = on(stimer),
      .direct_stimer = all ? config::host_has_direct_timers(facts) : given.direct_timers == true,
      .reset = on(reset),
      .frequencies = on(frequencies),
      .reenlightenment = on(reenlightenment),
      .tlbflush = on(tlbflush),
      .ipi = on(ipi),
      .evmcs = on(evmcs),
      .avic = on(avic)};
  if (given.has(vendor_id)) hyperv.vendor_id = given.vendor_id;
  if (given.has(spinlocks)) hyperv.spinlock_retries = given.spinlock_retries;
  return hyperv;
}

control::CpuSpecification cpu_of(const config::DomainDefinition& live, const config::HostFacts& facts) {
  control::CpuSpecification cpu;
  cpu.vcpus = live.vcpu.maximum;
  for (std::uint32_t i = 0; i < live.vcpu.maximum; ++i) {
    if (config::is_hot_pluggable(live.vcpu, i)) cpu.hot_pluggable.push_back(i);
    if (!config::is_online(live.vcpu, i)) cpu.absent.push_back(i);
  }
  const config::Cpu definition = live.cpu.value_or(config::Cpu{});
  auto topology = definition.topology.value_or(config::CpuTopology{.sockets = live.vcpu.maximum});
  cpu.sockets = topology.sockets;
  cpu.dies = topology.dies;
  cpu.cores = topology.cores;
  cpu.threads = topology.threads;
  bool kvmclock =
      std::none_of(live.clock.timers.begin(), live.clock.timers.end(), [](const config::Timer& timer) {
        return timer.name == config::TimerName::kvmclock && timer.present == false;
      });
  config::GuestCpu guest = config::resolve_guest_cpu(definition, facts, kvmclock);
  cpu.hyperv = hyperv_of(live, facts);
  cpu.identity = {guest.vendor_id, guest.signature, guest.model_brand};
  for (const auto& m : guest.masks) {
    cpu.masks.push_back({m.leaf, m.subleaf, m.keep_eax, m.keep_ebx, m.keep_ecx, m.keep_edx, m.set_eax,
                         m.set_ebx, m.set_ecx, m.set_edx});
  }
  return cpu;
}

control::CharacterSpecification character_of(const config::CharacterBackend& backend,
                                             const std::string& name) {
  control::CharacterSpecification character;
  switch (backend.type) {
    case config::CharacterBackendType::pty:
      character = {control::CharacterKind::pty, name, {}};
      break;
    case config::CharacterBackendType::file:
      character = {control::CharacterKind::file, name, {}};
      break;
    case config::CharacterBackendType::null:
      character = {control::CharacterKind::null, {}, {}};
      break;
    case config::CharacterBackendType::unix_socket:
      character = {backend.socket_mode == config::SocketMode::connect ? control::CharacterKind::socket
                                                                      : control::CharacterKind::listener,
                   name,
                   {}};
      break;
  }
  if (!backend.log_file.empty()) character.log = log_descriptor(name);
  return character;
}

control::DiskErrorPolicy policy_of(config::DiskErrorPolicy policy) {
  switch (policy) {
    case config::DiskErrorPolicy::stop:
      return control::DiskErrorPolicy::stop;
    case config::DiskErrorPolicy::report:
      return control::DiskErrorPolicy::report;
    case config::DiskErrorPolicy::ignore:
      return control::DiskErrorPolicy::ignore;
    case config::DiskErrorPolicy::enospace:
      return control::DiskErrorPolicy::enospace;
  }
  return control::DiskErrorPolicy::report;
}

// Reads do as writes do where nothing else was said, but need no space.
void set_failure_policies(const config::DiskDriver& driver, control::DiskSpecification& result) {
  if (driver.error_policy) {
    result.write_error = policy_of(*driver.error_policy);
    if (result.write_error != control::DiskErrorPolicy::enospace) result.read_error = result.write_error;
  }
  if (driver.read_error_policy) result.read_error = policy_of(*driver.read_error_policy);
  switch (driver.detect_zeroes.value_or(config::DiskDetectZeroes::off)) {
    case config::DiskDetectZeroes::off:
      break;
    case config::DiskDetectZeroes::on:
      result.detect_zeroes = control::DetectZeroes::on;
      break;
    case config::DiskDetectZeroes::unmap:
      result.detect_zeroes = control::DetectZeroes::unmap;
      break;
  }
}

control::ImageFormat format_of(config::DiskFormat format) {
  return format == config::DiskFormat::qcow2 ? control::ImageFormat::qcow2 : control::ImageFormat::raw;
}

// As resources.cpp names them.
void set_chain(const config::Disk& disk, std::size_t index, const DiskProperties& properties,
               control::DiskSpecification& result) {
  result.format = format_of(disk.driver.format.value_or(config::DiskFormat::raw));
  if (properties.image.has_data_file) result.data_descriptor = data_descriptor(result.descriptor);
  for (std::size_t i = 0; i < std::min(disk.backing.size(), properties.below.size()); ++i) {
    const ImageProperties& image = properties.below[i];
    const std::string name = backing_descriptor(index, i + 1);
    result.backing.push_back({.descriptor = name,
                              .format = format_of(disk.backing[i].format),
                              .data_descriptor = image.has_data_file ? data_descriptor(name) : "",
                              .direct = image.direct,
                              .direct_alignment = image.direct_alignment});
  }
}

// The parser has seen to its form.
std::optional<std::uint64_t> wwn_of(const config::Disk& disk) {
  if (disk.wwn.empty()) return std::nullopt;
  const std::string_view digits = std::string_view(disk.wwn).substr(disk.wwn.size() - 16);
  std::uint64_t wwn = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), wwn, 16);
  return wwn;
}

control::DiskSpecification disk_of(const config::Disk& disk, std::size_t index,
                                   const DiskProperties& properties) {
  control::DiskSpecification result;
  result.id = disk.info.alias;
  if (disk.bus == config::DiskBus::virtio) result.address = address_of(disk.info);
  result.cdrom = disk.device == config::DiskDevice::cdrom;
  if (disk.has_source()) result.descriptor = disk_descriptor(index);
  if (disk.server) result.nbd = control::NbdSpecification{disk.source};
  result.read_only = disk.read_only;
  result.direct = properties.image.direct;
  result.direct_alignment = properties.image.direct_alignment;
  set_chain(disk, index, properties, result);
  switch (disk.driver.cache.value_or(config::DiskCache::default_mode)) {
    case config::DiskCache::writethrough:
    case config::DiskCache::directsync:
      result.flush = control::FlushPolicy::always;
      break;
    case config::DiskCache::unsafe:
      result.flush = control::FlushPolicy::ignore;
      break;
    default:
      result.flush = control::FlushPolicy::honour;
  }
  result.iothread = disk.driver.iothread.value_or(0);
  if (disk.driver.io == config::DiskIo::threads) result.engine = control::DiskEngine::threads;
  result.discard = disk.driver.discard == config::DiskDiscard::unmap;
  result.copy_on_read = disk.driver.copy_on_read.value_or(false);
  result.queues = static_cast<std::uint16_t>(config::queues_of(disk.driver));
  result.queue_iothreads = config::queue_iothreads_of(disk.driver);
  result.queue_size = static_cast<std::uint16_t>(disk.driver.queue_size.value_or(256));
  result.packed = disk.driver.packed.value_or(false);
  result.logical_block_size = disk.block_sizes.logical.value_or(512);
  result.physical_block_size = disk.block_sizes.physical.value_or(result.logical_block_size);
  result.serial = disk.serial;
  result.identity.wwn = wwn_of(disk);
  result.rotation_rate = static_cast<std::uint16_t>(disk.rotation_rate.value_or(0));
  result.limits = limits_of(disk.tune);
  set_failure_policies(disk.driver, result);
  return result;
}

control::InterfaceSpecification interface_of(const config::Interface& interface, std::size_t index) {
  control::InterfaceSpecification result;
  result.id = interface.info.alias;
  result.address = address_of(interface.info);
  result.mac = config::format_mac_address(interface.mac.value());
  const std::uint32_t queues = interface.driver.queues.value_or(1);
  if (interface.type == config::InterfaceType::user) {
    result.stream = connection_descriptor(index);
  } else if (interface.type == config::InterfaceType::vhostuser) {
    result.vhost_user = connection_descriptor(index);
    result.queues = static_cast<std::uint16_t>(queues);
  } else {
    const bool has_vhost = interface.driver.name == config::PacketMover::vhost;
    for (std::size_t queue = 0; queue < queues; ++queue) {
      result.descriptors.push_back(tap_descriptor(index, queue));
      if (has_vhost) result.vhost.push_back(vhost_net_descriptor(index, queue));
    }
  }
  result.queue_size = static_cast<std::uint16_t>(
      std::max(interface.driver.rx_queue_size.value_or(256), interface.driver.tx_queue_size.value_or(256)));
  result.packed = interface.driver.packed.value_or(false);
  result.link_up = interface.link_up.value_or(true);
  result.mtu = static_cast<std::uint16_t>(interface.mtu.value_or(0));
  return result;
}

// The ports of a controller: what in the definition sits on it.
void add_serial_controllers(const config::Devices& devices, control::MachineSpecification& machine) {
  for (const config::Controller& controller : devices.controllers) {
    if (controller.type != config::ControllerType::virtio_serial) continue;
    control::SerialControllerSpecification result{.id = controller.info.alias,
                                                  .address = address_of(controller.info)};
    std::uint32_t highest = 0;
    const auto sits_here = [&](const std::optional<config::VirtioSerialAddress>& address) {
      if (!address || address->controller != controller.index) return false;
      highest = std::max(highest, address->port);
      return true;
    };
    for (std::size_t i = 0; i < devices.consoles.size(); ++i) {
      const config::Console& console = devices.consoles[i];
      if (console.target != config::ConsoleTarget::virtio || !sits_here(console.address)) continue;
      result.ports.push_back({console.info.alias, console.address->port, "", true,
                              character_of(console.backend, console_descriptor(i))});
    }
    for (std::size_t i = 0; i < devices.channels.size(); ++i) {
      const config::Channel& channel = devices.channels[i];
      if (!sits_here(channel.address)) continue;
      result.ports.push_back({channel.info.alias, channel.address->port, channel.name, false,
                              character_of(channel.backend, channel_descriptor(i))});
    }
    // A lone console is a device without the multiport feature.
    result.maximum_ports = controller.ports.value_or(highest + 1);
    machine.serial_controllers.push_back(std::move(result));
  }
}

// Only with <smbios mode='sysinfo'/> does the guest see what <sysinfo> says.
control::SmbiosSpecification smbios_of(const config::DomainDefinition& live) {
  if (live.os.smbios != config::SmbiosMode::sysinfo || !live.sysinfo) return {};
  const auto& [bios, system, board, chassis, oem_strings] = *live.sysinfo;
  return {.bios = {bios[0], bios[1], bios[2], bios[3]},
          .system = {system[0], system[1], system[2], system[3], system[5], system[6]},
          .base_board = {board[0], board[1], board[2], board[3], board[4], board[5]},
          .chassis = {chassis[0], chassis[1], chassis[2], chassis[3], chassis[4]},
          .oem_strings = oem_strings};
}

std::vector<control::NumaNodeSpecification> numa_of(const std::vector<config::GuestNumaCell>& cells) {
  std::vector<control::NumaNodeSpecification> nodes;
  nodes.reserve(cells.size());
  for (std::size_t from = 0; from < cells.size(); ++from) {
    control::NumaNodeSpecification& node = nodes.emplace_back();
    node.memory_bytes = cells[from].memory_kib * 1024;
    node.vcpus = cells[from].cpus.members();
    for (std::size_t to = 0; to < cells.size(); ++to)
      node.distances.push_back(config::numa_distance(cells, from, to));
  }
  return nodes;
}

void set_tick_policies(const config::Clock& clock, control::MachineSpecification& machine) {
  for (const config::Timer& timer : clock.timers) {
    if (timer.name == config::TimerName::rtc && timer.tick_policy == config::TimerTickPolicy::catchup)
      machine.rtc_missed_ticks = control::MissedTicks::catch_up;
    if (timer.name == config::TimerName::pit && timer.tick_policy == config::TimerTickPolicy::discard)
      machine.pit_reinject = false;
  }
}

bool takes_devices(const config::Devices& devices, const config::Controller& port) {
  return config::takes_hot_plug(devices, {.bus = static_cast<std::uint8_t>(port.index.value_or(0))});
}

control::RngSpecification rng_of(const config::Rng& rng) {
  return {rng.info.alias, address_of(rng.info), rng.rate_bytes.value_or(0),
          rng.rate_period_ms.value_or(1000)};
}

control::VsockSpecification vsock_of(const config::Vsock& vsock) {
  control::VsockSpecification made;
  made.id = vsock.info.alias;
  made.address = address_of(vsock.info);
  made.guest_cid = vsock.cid.value();
  if (vsock.driver == config::VsockDriver::vhost) {
    made.vhost = kVhostVsockDescriptor;
  } else {
    made.listener = kVsockDescriptor;
    made.seqpacket_listener = kVsockSeqpacketDescriptor;
  }
  return made;
}

control::InputSpecification input_of(const config::Input& input,
                                     const std::optional<control::HostInputSpecification>& host) {
  control::InputSpecification result{.id = input.info.alias, .address = address_of(input.info)};
  switch (input.type) {
    case config::InputType::keyboard:
      result.kind = control::InputKind::keyboard;
      break;
    case config::InputType::mouse:
      result.kind = control::InputKind::mouse;
      break;
    case config::InputType::tablet:
      result.kind = control::InputKind::tablet;
      break;
    case config::InputType::passthrough:
      result.kind = control::InputKind::passthrough;
      break;
    case config::InputType::evdev:
      throw internal_error("an evdev is no device of the guest's");
  }
  result.host = host;
  return result;
}

control::EvdevSpecification evdev_of(const config::Input& input,
                                     const control::HostInputSpecification& host) {
  control::EvdevSpecification result{.id = input.info.alias, .descriptor = host.descriptor};
  switch (input.grab_toggle.value_or(config::GrabToggle::ctrl_ctrl)) {
    case config::GrabToggle::ctrl_ctrl:
      result.toggle = control::GrabToggle::ctrl_ctrl;
      break;
    case config::GrabToggle::alt_alt:
      result.toggle = control::GrabToggle::alt_alt;
      break;
    case config::GrabToggle::shift_shift:
      result.toggle = control::GrabToggle::shift_shift;
      break;
    case config::GrabToggle::meta_meta:
      result.toggle = control::GrabToggle::meta_meta;
      break;
    case config::GrabToggle::scrolllock:
      result.toggle = control::GrabToggle::scrolllock;
      break;
    case config::GrabToggle::ctrl_scrolllock:
      result.toggle = control::GrabToggle::ctrl_scrolllock;
      break;
  }
  result.grab_all = input.grab_all;
  result.repeat = input.repeat.value_or(false);
  result.axes = host.axes;
  return result;
}

control::HostDeviceSpecification host_device_of(const config::HostDevice& device, std::uint32_t group) {
  return {device.info.alias, address_of(device.info), config::format_pci_address(device.source), group};
}

void add_host_devices(const config::Devices& devices, const HostAccess& host,
                      control::MachineSpecification& machine) {
  const std::vector<config::HostDevice> assigned = config::assigned_devices(devices);
  if (host.groups.size() != assigned.size())
    throw internal_error("the groups of a start's host devices do not fit its definition");
  for (std::size_t i = 0; i < host.groups.size(); ++i)
    machine.host_devices.push_back(host_device_of(assigned[i], host.groups[i]));
  machine.host_access = host.specification;
}

// As the domain's own RAM where the device says nothing.
control::DeviceMemorySpecification memory_of(const config::MemoryDevice& memory,
                                             const config::MemoryBacking& backing) {
  const std::uint64_t page = memory.page_kib != 0 ? memory.page_kib : config::huge_page_kib(backing);
  return {.bytes = memory.size_kib * 1024,
          .huge_page_bytes = page > 4 ? page * 1024 : 0,
          .populate = backing.allocation == config::MemoryAllocation::immediate,
          .host_nodes = memory.source_nodes.members()};
}

control::VirtioMemorySpecification virtio_memory_of(const config::MemoryDevice& memory,
                                                    const config::MemoryBacking& backing) {
  return {memory.info.alias,       address_of(memory.info),     memory_of(memory, backing),
          memory.block_kib * 1024, memory.requested_kib * 1024, memory.node};
}

void add_memory_devices(const config::DomainDefinition& live, control::MachineSpecification& machine) {
  if (live.memory.limit_kib == 0) return;
  machine.memory_slots = live.memory.slots;
  machine.hot_plug_bytes = (live.memory.limit_kib - config::initial_memory_kib(live)) / 4 * 4096;
  for (const config::MemoryDevice& memory : live.devices.memories) {
    if (memory.model == config::MemoryModel::dimm) {
      machine.dimms.push_back(dimm_of(memory, live));
    } else {
      machine.virtio_memories.push_back(virtio_memory_of(memory, live.memory_backing));
    }
  }
  // No room at all leaves nothing to come.
  if (machine.hot_plug_bytes == 0) machine.memory_slots = 0;
}

control::WatchdogAction action_of(config::WatchdogAction action) {
  switch (action) {
    case config::WatchdogAction::reset:
      return control::WatchdogAction::reset;
    case config::WatchdogAction::shutdown:
      return control::WatchdogAction::shutdown;
    case config::WatchdogAction::poweroff:
      return control::WatchdogAction::poweroff;
    case config::WatchdogAction::none:
      return control::WatchdogAction::none;
    case config::WatchdogAction::inject_nmi:
      return control::WatchdogAction::inject_nmi;
    case config::WatchdogAction::pause:
    case config::WatchdogAction::dump:  // of the guest as it stood when it was found to hang
      break;
  }
  return control::WatchdogAction::pause;
}

control::WatchdogSpecification watchdog_of(const config::Watchdog& watchdog) {
  return {watchdog.info.alias, address_of(watchdog.info), action_of(watchdog.action)};
}

control::DiskSpecification& specification_of(const config::Disk& disk,
                                             control::MachineSpecification& machine) {
  const auto is_it = [&](const control::DiskSpecification& each) { return each.id == disk.info.alias; };
  return *std::ranges::find_if(machine.disks, is_it);
}

// The controllers, and where on them the drives are that machine.disks has already.
void add_sata(const config::Devices& devices, control::MachineSpecification& machine) {
  for (const auto& controller : devices.controllers) {
    if (controller.type != config::ControllerType::sata) continue;
    machine.sata_controllers.push_back({controller.info.alias, address_of(controller.info)});
    for (const config::Disk& disk : devices.disks) {
      const auto& drive = disk.drive;
      if (disk.bus == config::DiskBus::sata && drive && drive->controller == controller.index)
        specification_of(disk, machine).sata = {controller.info.alias, drive->unit};
    }
  }
}

control::ScsiControllerSpecification scsi_controller_of(const config::Controller& controller) {
  const control::ScsiControllerSpecification preset;
  const config::ControllerDriver& driver = controller.driver;
  return {.id = controller.info.alias,
          .address = address_of(controller.info),
          .queues = static_cast<std::uint16_t>(driver.queues.value_or(preset.queues)),
          .commands_per_unit = driver.commands_per_unit.value_or(preset.commands_per_unit),
          .maximum_sectors = driver.maximum_sectors.value_or(preset.maximum_sectors),
          .iothread = driver.iothread.value_or(0)};
}

// What makes a disk one on SCSI. A disk without a serial number is told by its alias, as libvirt has it.
void set_scsi_place(const config::Devices& devices, const config::Disk& disk,
                    control::DiskSpecification& result) {
  if (disk.bus != config::DiskBus::scsi) return;
  const config::DriveAddress place = disk.drive.value();
  result.scsi.emplace();
  result.scsi->target = static_cast<std::uint8_t>(place.target);
  result.scsi->lun = static_cast<std::uint16_t>(place.unit);
  for (const auto& controller : devices.controllers)
    if (controller.type == config::ControllerType::scsi && controller.index == place.controller)
      result.scsi->controller = controller.info.alias;
  result.identity.vendor = disk.vendor;
  result.identity.product = disk.product;
  result.identity.name = disk.serial.empty() ? "drive-" + disk.info.alias : disk.serial;
  result.identity.name.resize(std::min<std::size_t>(result.identity.name.size(), 128));
}

void add_scsi(const config::Devices& devices, control::MachineSpecification& machine) {
  for (const auto& controller : devices.controllers)
    if (controller.type == config::ControllerType::scsi)
      machine.scsi_controllers.push_back(scsi_controller_of(controller));
  for (const config::Disk& disk : devices.disks)
    if (disk.bus == config::DiskBus::scsi) set_scsi_place(devices, disk, specification_of(disk, machine));
}

control::VhostUserDiskSpecification vhost_user_disk_of(const config::Disk& disk, std::size_t index) {
  const control::VhostUserDiskSpecification preset;
  return {.id = disk.info.alias,
          .address = address_of(disk.info),
          .descriptor = disk_descriptor(index),
          .lifeline = disk.caged ? std::optional(lifeline_descriptor(index)) : std::nullopt,
          .queues = static_cast<std::uint16_t>(disk.driver.queues.value_or(preset.queues)),
          .queue_size = static_cast<std::uint16_t>(disk.driver.queue_size.value_or(preset.queue_size))};
}

void add_devices(const config::Devices& devices, const Resources& resources,
                 control::MachineSpecification& machine) {
  for (const auto& controller : devices.controllers) {
    if (controller.model != config::ControllerModel::pcie_root_port) continue;
    machine.root_ports.push_back({controller.info.alias, address_of(controller.info),
                                  static_cast<std::uint8_t>(controller.index.value_or(0)),
                                  static_cast<std::uint8_t>(controller.port.value_or(0)),
                                  takes_devices(devices, controller)});
  }
  for (std::size_t i = 0; i < devices.serials.size(); ++i) {
    const auto& serial = devices.serials[i];
    machine.serials.push_back({serial.info.alias, static_cast<std::uint8_t>(serial.port.value_or(0)),
                               character_of(serial.backend, serial_descriptor(i))});
  }
  add_serial_controllers(devices, machine);
  for (std::size_t i = 0; i < devices.disks.size(); ++i) {
    if (!devices.disks[i].is_own()) {
      machine.vhost_user_disks.push_back(vhost_user_disk_of(devices.disks[i], i));
    } else {
      machine.disks.push_back(disk_of(devices.disks[i], i, resources.disks.at(i)));
    }
  }
  add_sata(devices, machine);
  add_scsi(devices, machine);
  for (std::size_t i = 0; i < devices.interfaces.size(); ++i) {
    if (config::device_plug_of(devices.interfaces[i]) != nullptr) continue;
    machine.interfaces.push_back(interface_of(devices.interfaces[i], i));
  }
  for (const auto& rng : devices.rngs) machine.rngs.push_back(rng_of(rng));
  if (const config::MemoryBalloon* balloon = devices.balloon()) {
    machine.balloon = {.id = balloon->info.alias,
                       .address = address_of(balloon->info),
                       .target_bytes = 0,
                       .deflate_on_oom = balloon->deflate_on_oom.value_or(false),
                       .page_reporting = balloon->free_page_reporting.value_or(false),
                       .statistics_period_s = balloon->statistics_period_seconds};
  }
  for (const auto& watchdog : devices.watchdogs) {
    if (watchdog.model == config::WatchdogModel::itco) {
      machine.tco_watchdog = {watchdog.info.alias, action_of(watchdog.action)};
    } else {
      machine.watchdog = watchdog_of(watchdog);
    }
  }
  machine.panic_port = devices.panic.has_value();
  for (const config::Vsock& vsock : devices.vsocks) machine.vsocks.push_back(vsock_of(vsock));
  for (std::size_t i = 0; i < devices.inputs.size(); ++i) {
    const config::Input& input = devices.inputs[i];
    if (input.bus == config::InputBus::virtio)
      machine.inputs.push_back(input_of(input, resources.inputs.at(i)));
    if (input.type == config::InputType::evdev)
      machine.evdevs.push_back(evdev_of(input, resources.inputs.at(i).value()));
  }
}

}  // namespace

control::DiskLimits limits_of(const config::IoTune& tune) {
  control::DiskLimits limits;
  limits.group = tune.group_name;
  limits.operation_bytes = tune.size_iops;
  const std::array<control::DiskLimit*, 6> all = {&limits.total_bytes,     &limits.read_bytes,
                                                  &limits.write_bytes,     &limits.total_operations,
                                                  &limits.read_operations, &limits.write_operations};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const config::IoTune::Limit& limit = tune.limits[i];
    *all[i] = {limit.rate, limit.maximum, std::max<std::uint64_t>(limit.seconds, 1)};
  }
  return limits;
}

std::uint64_t balloon_target_kib(const config::DomainDefinition& definition) {
  return std::min(definition.memory.current_kib,
                  definition.memory.maximum_kib - config::virtio_memory_kib(definition));
}

control::DimmSpecification dimm_of(const config::MemoryDevice& memory, const config::DomainDefinition& live) {
  const config::DimmAddress place = memory.dimm.value();
  return {.id = memory.info.alias,
          .slot = place.slot,
          .address = place.base,
          .node = memory.node.value_or(0),
          .memory = memory_of(memory, live.memory_backing)};
}

control::PlugDevice plug_of(const config::Device& device, const Resources& resources,
                            const config::DomainDefinition& live) {
  control::PlugDevice plug;
  if (const auto* memory = std::get_if<config::MemoryDevice>(&device))
    plug.virtio_memories.push_back(virtio_memory_of(*memory, live.memory_backing));
  if (const auto* disk = std::get_if<config::Disk>(&device); disk != nullptr && !disk->is_own()) {
    plug.vhost_user_disks.push_back(vhost_user_disk_of(*disk, 0));
  } else if (disk != nullptr) {
    set_scsi_place(live.devices, *disk, plug.disks.emplace_back(disk_of(*disk, 0, resources.disks.at(0))));
  }
  if (const auto* controller = std::get_if<config::Controller>(&device))
    plug.scsi_controllers.push_back(scsi_controller_of(*controller));
  if (const auto* interface = std::get_if<config::Interface>(&device))
    plug.interfaces.push_back(interface_of(*interface, 0));
  if (const auto* rng = std::get_if<config::Rng>(&device)) plug.rngs.push_back(rng_of(*rng));
  if (const auto* vsock = std::get_if<config::Vsock>(&device)) plug.vsocks.push_back(vsock_of(*vsock));
  if (const auto* watchdog = std::get_if<config::Watchdog>(&device))
    plug.watchdogs.push_back(watchdog_of(*watchdog));
  if (const auto* input = std::get_if<config::Input>(&device))
    plug.inputs.push_back(input_of(*input, resources.inputs.at(0)));
  control::validate(plug);
  return plug;
}

control::PlugDevice plug_of(const config::HostDevice& device, const HostAccess& host) {
  control::PlugDevice plug;
  plug.host_devices.push_back(host_device_of(device, host.groups.at(0)));
  plug.host_access = host.specification;
  control::validate(plug);
  return plug;
}

control::PlugPort port_of(const config::Devices& devices, const config::Device& device) {
  control::PlugPort plug;
  config::VirtioSerialAddress address;
  if (const auto* channel = std::get_if<config::Channel>(&device)) {
    address = channel->address.value();
    plug.port = {channel->info.alias, address.port, channel->name, false,
                 character_of(channel->backend, channel_descriptor(0))};
  } else {
    const auto& console = std::get<config::Console>(device);
    address = console.address.value();
    plug.port = {console.info.alias, address.port, "", true,
                 character_of(console.backend, console_descriptor(0))};
  }
  for (const config::Controller& controller : devices.controllers)
    if (controller.type == config::ControllerType::virtio_serial && controller.index == address.controller)
      plug.controller = controller.info.alias;
  control::validate(plug);
  return plug;
}

namespace {

// Where nothing says that others are to find it, or what it is to be made of.
bool has_private_memory(const config::DomainDefinition& live) {
  const config::MemoryBacking& backing = live.memory_backing;
  const auto is_shared = [](const config::GuestNumaCell& cell) { return cell.shared; };
  // The host may be told to merge what is private.
  return !backing.no_share_pages && !backing.huge_pages && !backing.source && !backing.access &&
         !(live.cpu && std::ranges::any_of(live.cpu->numa, is_shared));
}

}  // namespace

control::MachineSpecification machine_of(const config::DomainDefinition& live, const config::HostFacts& facts,
                                         const Resources& resources, std::int64_t now,
                                         const HostAccess& host) {
  control::MachineSpecification machine;
  machine.name = live.name;
  machine.uuid = live.uuid.value().to_string();
  machine.memory_bytes = config::initial_memory_kib(live) * 1024;
  machine.memory = {.huge_page_bytes = config::huge_page_kib(live.memory_backing) * 1024,
                    .populate = live.memory_backing.allocation == config::MemoryAllocation::immediate,
                    .is_private = has_private_memory(live)};
  machine.cpu = cpu_of(live, facts);
  machine.numa = numa_of(live.cpu->numa);
  machine.smbios = smbios_of(live);
  set_tick_policies(live.clock, machine);
  machine.boot.kernel = kKernelDescriptor;
  if (!live.os.initrd.empty()) machine.boot.initrd = kInitrdDescriptor;
  machine.boot.command_line = live.os.command_line;
  machine.sleep = {.s3 = live.pm.suspend_to_mem.value_or(true), .s4 = live.pm.suspend_to_disk.value_or(true)};
  if (live.generation_id) machine.generation_id = live.generation_id->id.value().to_string();
  machine.rtc_offset_seconds = clock_offset_seconds(live.clock, now);
  bool restarts =
      live.lifecycle.on_reboot.value_or(config::LifecycleAction::restart) == config::LifecycleAction::restart;
  machine.on_reset = restarts ? control::GuestAction::reset : control::GuestAction::stop;
  for (const config::IoThread& thread : live.iothreads) machine.iothreads.push_back(thread.id);
  add_devices(live.devices, resources, machine);
  add_memory_devices(live, machine);
  add_host_devices(live.devices, host, machine);
  if (machine.balloon) machine.balloon->target_bytes = balloon_target_kib(live) * 1024;
  control::validate(machine);
  return machine;
}

}  // namespace warren::driver::domain
