#include "driver/config/definition_generator.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "driver/config/cpu_features.h"
#include "driver/config/tuning_names.h"
#include "driver/config/vcpus.h"

namespace warren::driver::config {

namespace {

class Dice {
 public:
  explicit Dice(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::uint32_t below(std::uint32_t limit) { return limit == 0 ? 0 : word() % limit; }
  bool flip() { return below(2) == 1; }
  std::uint32_t between(std::uint32_t low, std::uint32_t high) { return low + below(high - low + 1); }
  std::optional<bool> maybe_bool() { return flip() ? std::optional(flip()) : std::nullopt; }
  std::optional<std::uint32_t> maybe(std::uint32_t low, std::uint32_t high) {
    return flip() ? std::optional(between(low, high)) : std::nullopt;
  }
  template <typename Enum>
  std::optional<Enum> maybe_enum(std::uint32_t count) {
    return flip() ? std::optional(static_cast<Enum>(below(count))) : std::nullopt;
  }
  // Text with everything that has to be escaped.
  std::string text(std::size_t minimum, std::size_t maximum) {
    static constexpr std::string_view kParts[] = {"a", "Z", "&",  "<",   ">", "'", "\"",
                                                  " ", "ä", "語", "]]>", "0", "\t"};
    std::string result;
    const std::size_t length = minimum + below(static_cast<std::uint32_t>(maximum - minimum + 1));
    for (std::size_t i = 0; i < length; ++i) result += kParts[below(std::size(kParts))];
    return result;
  }
  std::string path() {
    std::string result = "/" + text(0, 12);
    std::erase(result, '\t');
    return result;
  }

 private:
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (int i = 0; i < 2; ++i)
      if (next_ < bytes_.size()) value = value << 8 | bytes_[next_++];
    return value;
  }
  std::span<const std::uint8_t> bytes_;
  std::size_t next_ = 0;
};

DeviceInfo make_info(Dice& dice, bool pci, std::uint32_t boot_order = 0) {
  DeviceInfo info;
  if (dice.below(4) == 0) info.alias = fmt::format("ua-{}", dice.below(1000));
  if (pci && dice.below(4) == 0) {
    info.pci = PciAddress{.bus = static_cast<std::uint8_t>(dice.below(6)),
                          .slot = static_cast<std::uint8_t>(dice.below(32)),
                          .function = static_cast<std::uint8_t>(dice.below(8)),
                          .multifunction = dice.maybe_bool()};
  }
  if (boot_order != 0 && dice.below(3) == 0) info.boot_order = boot_order;
  return info;
}

Disk make_caged_disk(Dice& dice, std::uint32_t number) {
  Disk disk;
  disk.source_type = static_cast<DiskSourceType>(dice.below(2));
  disk.caged =
      CagedImage{.format = static_cast<CagedFormat>(dice.below(8)), .path = dice.path(), .passphrase = {}};
  if (disk.caged->format <= CagedFormat::qcow2)
    disk.caged->passphrase = Uuid::parse("70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2");
  disk.driver.cache = dice.maybe_enum<DiskCache>(6);
  disk.driver.discard = dice.maybe_enum<DiskDiscard>(2);
  disk.driver.detect_zeroes = dice.maybe_enum<DiskDetectZeroes>(3);
  disk.driver.queues = dice.maybe(1, 64);
  disk.read_only = dice.flip();
  disk.target = fmt::format("vd{}", static_cast<char>('a' + number));
  disk.info = make_info(dice, true, number + 1);
  return disk;
}

Disk make_disk(Dice& dice, std::uint32_t number) {
  Disk disk;
  if (dice.below(8) == 0) {
    if (dice.flip()) return make_caged_disk(dice, number);
    disk.vhost_user = dice.path();
    disk.driver.name_qemu = dice.flip();
    if (dice.flip()) disk.driver.format = DiskFormat::raw;
    disk.driver.queues = dice.maybe(1, 64);
    if (dice.flip()) disk.driver.queue_size = 2u << dice.below(10);
    disk.target = fmt::format("vd{}", static_cast<char>('a' + number));
    disk.info = make_info(dice, true, number + 1);
    return disk;
  }
  disk.source_type = static_cast<DiskSourceType>(dice.below(2));
  if (dice.below(4) == 0) {
    disk.source_type = DiskSourceType::file;
    disk.volume = VolumeName{dice.flip() ? "default" : "p & q", "a volume's name"};
  } else {
    disk.source = dice.path();
  }
  const bool is_remote = dice.below(5) == 0;
  if (is_remote) {
    disk.source_type = DiskSourceType::network;
    disk.volume.reset();
    disk.source = dice.flip() ? "an export's name" : "";
    disk.server.emplace();
    disk.server->says_no_tls = dice.flip();
    if (dice.flip()) {
      disk.server->socket = dice.path();
    } else {
      disk.server->host = "server.example";
      if (dice.flip()) disk.server->port = static_cast<std::uint16_t>(dice.between(1, 65535));
    }
  }
  disk.driver.name_qemu = dice.flip();
  if (dice.flip()) disk.driver.format = DiskFormat::raw;
  disk.driver.cache = dice.maybe_enum<DiskCache>(6);
  disk.driver.io = dice.maybe_enum<DiskIo>(3);
  if (disk.driver.io == DiskIo::native)
    disk.driver.cache = dice.flip() ? DiskCache::none : DiskCache::directsync;
  disk.driver.discard = dice.maybe_enum<DiskDiscard>(2);
  disk.driver.detect_zeroes = dice.maybe_enum<DiskDetectZeroes>(3);
  disk.driver.error_policy = dice.maybe_enum<DiskErrorPolicy>(4);
  disk.driver.read_error_policy = dice.maybe_enum<DiskErrorPolicy>(3);
  if (dice.flip()) disk.tune.limits[1] = {.rate = 1000, .maximum = 2000, .seconds = dice.flip() ? 3u : 0u};
  if (dice.flip()) disk.tune.group_name = "group-" + disk.target;
  disk.driver.queues = dice.maybe(1, 256);
  if (dice.flip()) disk.driver.queue_size = 2u << dice.below(10);
  disk.driver.packed = dice.maybe_bool();
  if (dice.flip()) disk.block_sizes.logical = 512u << dice.below(4);
  if (dice.flip()) disk.block_sizes.physical = 4096u << dice.below(10);
  disk.target = fmt::format("vd{}", static_cast<char>('a' + number));
  if (dice.flip()) disk.serial = fmt::format("S {}", dice.below(100000));
  disk.read_only = dice.flip();
  disk.shareable = dice.flip();
  disk.driver.copy_on_read = disk.read_only ? std::optional(false) : dice.maybe_bool();
  disk.backing_store_end = dice.flip();
  if (dice.below(3) == 0 && !is_remote) {
    disk.driver.format = DiskFormat::qcow2;
    disk.shareable = false;
    for (std::uint64_t i = dice.below(3); i != 0; --i)
      disk.backing.push_back({.format = i == 1 ? DiskFormat::raw : DiskFormat::qcow2, .source = dice.path()});
  }
  disk.bus = static_cast<DiskBus>(dice.below(3));
  disk.info = make_info(dice, disk.bus == DiskBus::virtio, number + 1);
  if (disk.bus == DiskBus::virtio) return disk;
  disk.target = fmt::format("sd{}", static_cast<char>('a' + number));
  disk.driver.queues.reset();
  disk.driver.queue_size.reset();
  disk.driver.packed.reset();
  disk.driver.iothread.reset();
  if (dice.flip()) disk.rotation_rate = dice.flip() ? 1 : dice.between(1025, 65534);
  if (disk.bus == DiskBus::scsi) {
    if (dice.flip()) disk.wwn = fmt::format("{:016x}", dice.below(100000));
    if (dice.flip()) disk.vendor = "ACME";
    if (dice.flip()) disk.product = "Rocket & <disk>";
    if (dice.flip()) disk.drive = DriveAddress{.controller = number / 6, .target = 7, .unit = number * 100};
  } else {
    disk.block_sizes.logical.reset();
    disk.read_only = false;
    if (dice.flip()) disk.wwn = fmt::format("0x{:016X}", dice.below(100000));
    if (dice.flip()) disk.drive = DriveAddress{.controller = number / 6, .unit = number % 6};
  }
  if (is_remote || dice.flip()) return disk;
  disk.device = DiskDevice::cdrom;
  disk.read_only = true;
  disk.driver.copy_on_read.reset();
  if (disk.bus == DiskBus::scsi) disk.block_sizes = {};
  if (disk.driver.format == DiskFormat::qcow2) disk.driver.format = DiskFormat::raw;
  disk.backing.clear();
  disk.startup_policy = dice.maybe_enum<StartupPolicy>(3);
  if (dice.flip()) {
    disk.source.clear();
    disk.volume.reset();
  }
  return disk;
}

// One of those there are; or as many as there are queues for, which take turns or have every queue between
// them.
void give_iothreads(Dice& dice, const std::vector<IoThread>& threads, DiskDriver& driver) {
  if (threads.empty() || dice.flip()) return;
  if (dice.flip()) {
    driver.iothread = threads.front().id;
    return;
  }
  const auto queues = std::min<std::uint32_t>(driver.queues.value_or(8), 8);
  driver.queues = queues;
  for (const IoThread& thread : threads)
    if (driver.iothreads.size() < queues) driver.iothreads.push_back({.id = thread.id, .queues = {}});
  if (dice.flip()) return;
  for (std::uint32_t queue = 0; queue < queues; ++queue)
    driver.iothreads[queue % driver.iothreads.size()].queues.push_back(queue);
}

CpuSet make_set(Dice& dice) {
  CpuSet set;
  for (std::uint32_t i = 0, count = dice.between(1, 6); i < count; ++i)
    set.insert(dice.below(CpuSet::kLimit));
  return set;
}

CpuBandwidth make_cpu_bandwidth(Dice& dice) {
  CpuBandwidth bandwidth;
  if (dice.flip()) bandwidth.period_us = dice.between(1000, 1'000'000);
  if (dice.flip()) bandwidth.quota_us = dice.flip() ? -1 : std::int64_t{dice.between(1000, 0xffff'ffff)};
  return bandwidth;
}

void make_tuning(Dice& dice, DomainDefinition& definition) {
  CpuTuning& cpu = definition.cpu_tuning;
  if (dice.flip()) cpu.shares = dice.between(1, 10'000);
  for (CpuBandwidth* bandwidth : {&cpu.vcpu, &cpu.global, &cpu.emulator, &cpu.iothread})
    *bandwidth = make_cpu_bandwidth(dice);
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i)
    cpu.vcpu_pins[dice.below(255)] = make_set(dice);
  if (dice.flip()) cpu.emulator_pin = make_set(dice);
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i) {
    const IoThread thread{dice.between(1, 300)};
    auto& all = definition.iothreads;
    if (std::find(all.begin(), all.end(), thread) != all.end()) continue;
    all.push_back(thread);
    if (dice.flip()) cpu.iothread_pins[thread.id] = make_set(dice);
  }
  if (dice.flip()) definition.vcpu.cpuset = make_set(dice);
  MemoryTuning& memory = definition.memory_tuning;
  if (dice.flip()) memory.hard_limit_kib = dice.below(0xffff'ffff);
  if (dice.flip()) memory.soft_limit_kib = dice.below(0xffff'ffff);
  if (dice.flip()) memory.swap_hard_limit_kib = dice.below(0xffff'ffff);
  BlkioTuning& blkio = definition.blkio_tuning;
  blkio.weight = dice.below(1000);
  for (std::uint32_t i = 0, count = dice.below(3); i < count; ++i)
    blkio.devices.push_back({.path = fmt::format("{}{}", dice.path(), i),
                             .weight = dice.below(1000),
                             .read_iops = dice.below(1000),
                             .write_bytes = dice.below(0xffff'ffff)});
  if (dice.flip()) definition.numa_tuning = {static_cast<NumaMemoryMode>(dice.below(4)), make_set(dice)};
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i)
    definition.perf.enabled[std::string(names::kPerfEvents[dice.below(names::kPerfEvents.size())])] =
        dice.flip();
}

// What an interface that is a device of the host keeps of one.
Interface make_network_function(Dice& dice, const Interface& from, std::uint32_t number) {
  Interface interface{.type = InterfaceType::hostdev, .mac = from.mac, .model_virtio = from.model_virtio};
  interface.source_device = {
      .managed = dice.flip(),
      .address = {.segment = 1, .bus = 3, .slot = static_cast<std::uint8_t>(number % 32)}};
  if (dice.flip()) interface.source_device.driver = NetworkHostDeviceDriver::vfio;
  if (dice.flip()) interface.vlan = Vlan{.tags = {static_cast<std::uint16_t>(dice.below(4095))}};
  interface.info = from.info;
  return interface;
}

PortForward make_port_forward(Dice& dice) {
  PortForward forward{.protocol = static_cast<ForwardedProtocol>(dice.below(2)),
                      .address = {},
                      .device = {},
                      .ranges = {{.start = dice.between(1, 1000), .end = {}, .to = {}, .exclude = {}}}};
  if (dice.flip()) forward.address = parse_ip_address(dice.flip() ? "192.0.2.1" : "2001:db8::1");
  if (dice.flip()) forward.device = fmt::format("eth{}", dice.below(100));
  if (dice.flip())
    forward.ranges.push_back({.start = 2000, .end = dice.between(2000, 2999), .to = 3000, .exclude = {}});
  if (dice.flip()) forward.ranges.push_back({.start = 2100, .end = {}, .to = {}, .exclude = true});
  return forward;
}

void set_back_end(Dice& dice, Interface& interface) {
  if (interface.type == InterfaceType::vhostuser) {
    interface.vhost_user.path = dice.path();
    return;
  }
  UserNetwork& user = interface.user;
  if (dice.flip()) user.device = fmt::format("eth{}", dice.below(100));
  if (dice.flip()) user.addresses.push_back({*parse_ip_address("10.0.2.15"), dice.maybe(8, 30)});
  if (dice.flip()) user.addresses.push_back({*parse_ip_address("2001:db8::15"), {}});
  while (dice.flip()) user.forwards.push_back(make_port_forward(dice));
  interface.backend.passt = dice.flip();
  if (dice.flip()) interface.backend.log_file = dice.path();
}

Interface make_interface(Dice& dice, std::uint32_t number) {
  Interface interface;
  interface.type = static_cast<InterfaceType>(dice.below(7));
  if (dice.flip())
    interface.mac = MacAddress{0x52, 0x54, 0, 0, 0, static_cast<std::uint8_t>(dice.below(256))};
  if (interface.type == InterfaceType::bridge) interface.source_bridge = fmt::format("br{}", dice.below(100));
  if (!has_link(interface)) set_back_end(dice, interface);
  if (has_link(interface) && dice.flip()) {
    interface.target = fmt::format("tap{}", dice.below(100));
    if (interface.type == InterfaceType::ethernet) interface.target_managed = dice.maybe_bool();
  }
  if (interface.type == InterfaceType::network) {
    interface.source_network = fmt::format("net {}", dice.below(100));
    if (dice.flip()) interface.portgroup = fmt::format("group{}", dice.below(100));
  }
  if (interface.type == InterfaceType::direct)
    interface.source_direct = {fmt::format("eth{}", dice.below(100)),
                               static_cast<MacvtapMode>(dice.below(4))};
  if (interface.type == InterfaceType::network || interface.type == InterfaceType::bridge) {
    interface.isolated = dice.maybe_bool();
    if (dice.flip()) interface.vlan = Vlan{.tags = {static_cast<std::uint16_t>(dice.below(4096))}};
  }
  if (has_link(interface) && dice.flip())
    interface.filter =
        FilterReference{"clean-traffic", {{"IP", {fmt::format("10.0.0.{}", dice.below(256))}}}};
  interface.trust_guest_rx_filters = dice.maybe_bool();
  if (interface.type == InterfaceType::direct && interface.trust_guest_rx_filters)
    interface.trust_guest_rx_filters = false;
  if (interface.type == InterfaceType::bridge && dice.flip())
    interface.virtual_port =
        VirtualPort{.type = VirtualPortType::openvswitch, .profile_id = dice.flip() ? "a" : ""};
  interface.model_virtio = dice.flip();
  if (dice.flip()) interface.driver.name = PacketMover::worker;
  interface.driver.by_ioeventfd = dice.flip();
  interface.driver.has_event_index = dice.flip();
  interface.driver.in_thread = dice.flip();
  if (interface.type != InterfaceType::user) interface.driver.queues = dice.maybe(1, 256);
  if (dice.flip()) interface.driver.rx_queue_size = 256u << dice.below(3);
  if (dice.flip()) interface.driver.tx_queue_size = 256u << dice.below(3);
  if (interface.type != InterfaceType::vhostuser) interface.driver.packed = dice.maybe_bool();
  if (has_link(interface) && interface.driver.packed != true && dice.flip()) {
    interface.driver.name = PacketMover::vhost;
    if (dice.flip()) interface.backend = {.passt = false, .log_file = {}, .vhost = dice.path(), .tap = true};
  }
  const bool takes_scaling = has_link(interface) && interface.type != InterfaceType::direct &&
                             interface.driver.name != PacketMover::vhost;
  if (takes_scaling && interface.driver.queues.value_or(1) > 1)
    interface.driver.receive_scaling = dice.maybe_bool();
  interface.link_up = dice.maybe_bool();
  interface.mtu = dice.maybe(68, 65535);
  interface.info = make_info(dice, true, 100 + number);
  if (interface.type == InterfaceType::hostdev) return make_network_function(dice, interface, number);
  if (has_link(interface) && dice.below(4) == 0)
    interface.bandwidth =
        Bandwidth{.inbound = BandwidthRate{dice.between(1, 100'000), dice.below(9), dice.below(9)}};
  return interface;
}

CharacterBackend make_backend(Dice& dice) {
  CharacterBackend backend;
  backend.type = static_cast<CharacterBackendType>(dice.below(4));
  if (backend.type == CharacterBackendType::file) {
    backend.path = dice.path();
    backend.append = dice.maybe_bool();
  }
  if (backend.type == CharacterBackendType::unix_socket) {
    backend.path = dice.path();
    backend.socket_mode = static_cast<SocketMode>(dice.below(2));
  }
  if (dice.below(4) == 0) {
    backend.log_file = dice.path();
    backend.log_append = dice.maybe_bool();
  }
  return backend;
}

void make_characters(Dice& dice, Devices& devices) {
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i) {
    SerialPort serial{
        .backend = make_backend(dice), .target_given = dice.flip(), .info = make_info(dice, false)};
    if (dice.flip()) serial.port = i;
    devices.serials.push_back(std::move(serial));
  }
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i) {
    Console console{.backend = make_backend(dice), .info = make_info(dice, false)};
    if (i > 0 || dice.flip()) {
      console.target = ConsoleTarget::virtio;
      console.target_given = true;
      console.port = dice.maybe(0, 255);
      if (dice.flip()) console.address = VirtioSerialAddress{.controller = dice.below(8)};
    } else {
      console.target_given = dice.flip();
      console.port = dice.maybe(0, 3);
    }
    devices.consoles.push_back(std::move(console));
  }
  for (std::uint32_t i = 0, count = dice.below(3); i < count; ++i) {
    Channel channel{.backend = make_backend(dice), .name = fmt::format("port{}<&", i)};
    if (dice.flip()) channel.backend = {.type = CharacterBackendType::unix_socket};
    if (dice.flip())
      channel.address = VirtioSerialAddress{.controller = dice.below(8), .port = dice.below(64)};
    channel.info = make_info(dice, false);
    devices.channels.push_back(std::move(channel));
  }
}

void make_controllers(Dice& dice, Devices& devices) {
  if (dice.flip()) {
    devices.controllers.push_back({.type = ControllerType::usb,
                                   .model = ControllerModel::usb_none,
                                   .index = dice.maybe(0, 0),
                                   .info = make_info(dice, false)});
  }
  if (dice.flip()) {
    devices.controllers.push_back({.type = ControllerType::pci,
                                   .model = ControllerModel::pcie_root,
                                   .index = dice.maybe(0, 0),
                                   .info = make_info(dice, false)});
  }
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i) {
    Controller port{.type = ControllerType::pci, .model = ControllerModel::pcie_root_port};
    port.index = dice.maybe(1, 255);
    if (dice.flip()) port.model_name = "pcie-root-port";
    port.chassis = dice.maybe(1, 255);
    port.port = dice.maybe(0, 255);
    if (dice.flip()) port.hotplug = false;
    port.info = make_info(dice, true);
    devices.controllers.push_back(std::move(port));
  }
  for (std::uint32_t i = 0, count = dice.below(3); i < count; ++i) {
    devices.controllers.push_back({.type = ControllerType::virtio_serial,
                                   .index = dice.maybe(0, 8),
                                   .ports = dice.maybe(1, 64),
                                   .info = make_info(dice, true)});
  }
}

Devices make_devices(Dice& dice) {
  Devices devices;
  if (dice.flip()) devices.emulator = dice.path();
  for (std::uint32_t i = 0, count = dice.below(5); i < count; ++i)
    devices.disks.push_back(make_disk(dice, i));
  make_controllers(dice, devices);
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i)
    devices.interfaces.push_back(make_interface(dice, i));
  make_characters(dice, devices);
  if (dice.flip()) devices.inputs.push_back({.info = make_info(dice, false)});
  if (dice.flip()) {
    Input evdev{.type = InputType::evdev, .bus = InputBus::none, .source = "/dev/input/event99"};
    evdev.grab_all = dice.flip();
    if (dice.flip()) evdev.grab_toggle = static_cast<GrabToggle>(dice.below(6));
    evdev.repeat = dice.maybe_bool();
    evdev.info = make_info(dice, false);
    devices.inputs.push_back(std::move(evdev));
  }
  for (std::uint32_t i = 0, count = dice.below(3); i < count; ++i) {
    Input input{.type = static_cast<InputType>(dice.below(4)), .bus = InputBus::virtio};
    if (dice.flip()) input.model = static_cast<InputModel>(dice.below(2));
    if (input.type == InputType::passthrough) input.source = fmt::format("/dev/input/event{}", i);
    input.info = make_info(dice, true);
    devices.inputs.push_back(std::move(input));
  }
  for (std::uint32_t i = 0, count = dice.below(3); i < count; ++i) {
    Rng rng{.backend = static_cast<RngBackend>(dice.below(2))};
    if (rng.backend == RngBackend::random && dice.flip())
      rng.path = dice.flip() ? "/dev/random" : "/dev/urandom";
    if (dice.flip()) {
      rng.rate_bytes = dice.between(1, 65535);
      rng.rate_period_ms = dice.maybe(1, 65535);
    }
    rng.info = make_info(dice, true);
    devices.rngs.push_back(std::move(rng));
  }
  if (dice.flip()) {
    MemoryBalloon& balloon = devices.memory_balloon.emplace();
    balloon.model = static_cast<BalloonModel>(dice.below(2));
    if (balloon.model == BalloonModel::virtio) {
      balloon.deflate_on_oom = dice.maybe_bool();
      balloon.free_page_reporting = dice.maybe_bool();
      balloon.statistics_period_seconds = dice.below(100);
      balloon.info = make_info(dice, true);
    }
  }
  const auto action = static_cast<WatchdogAction>(dice.below(7));
  if (dice.flip()) devices.watchdogs.push_back({.action = action, .info = make_info(dice, true)});
  if (dice.flip())
    devices.watchdogs.push_back(
        {.model = WatchdogModel::itco, .action = action, .info = make_info(dice, false)});
  if (dice.flip())
    devices.panic = {.has_model = dice.flip(), .has_address = dice.flip(), .info = make_info(dice, false)};
  if (dice.flip()) {
    Vsock vsock{.has_model = dice.flip(), .auto_cid = dice.maybe_bool(), .info = make_info(dice, true)};
    if (vsock.auto_cid == false || (!vsock.auto_cid && dice.flip())) vsock.cid = dice.between(3, 0xffff'fffe);
    if (dice.flip()) vsock.driver = dice.flip() ? VsockDriver::worker : VsockDriver::vhost;
    devices.vsocks.push_back(std::move(vsock));
  }
  for (std::uint8_t slot = 0; slot < dice.below(3); ++slot) {
    HostDevice device{.managed = dice.flip(), .has_driver = dice.flip(), .info = make_info(dice, true)};
    device.source = {.segment = static_cast<std::uint16_t>(dice.below(3)),
                     .bus = static_cast<std::uint8_t>(dice.below(256)),
                     .slot = slot,
                     .function = static_cast<std::uint8_t>(dice.below(8))};
    if (dice.flip()) device.rom_bar = false;
    if (dice.flip()) device.rom_enabled = false;
    devices.host_devices.push_back(std::move(device));
  }
  return devices;
}

Cpu make_cpu(Dice& dice, const VcpuCount& vcpu) {
  Cpu cpu;
  cpu.mode = dice.maybe_enum<CpuMode>(4);
  if (cpu.mode == CpuMode::custom) {
    const auto models = cpu_models();
    cpu.model = models[dice.below(static_cast<std::uint32_t>(models.size()))].name;
    cpu.match = dice.maybe_enum<CpuMatch>(3);
    cpu.fallback = dice.maybe_enum<CpuFallback>(2);
    if (dice.flip()) cpu.vendor_id = "Warren & Co.";
    if (dice.flip()) cpu.vendor = dice.flip() ? "Intel" : "AMD";
  }
  if (cpu.mode && is_host_cpu(*cpu.mode)) cpu.migratable = dice.maybe_bool();
  cpu.check = dice.maybe_enum<CpuCheck>(3);
  if (dice.flip()) cpu.topology = CpuTopology{.sockets = vcpu.maximum};
  const auto features = cpu_features();
  for (std::uint32_t i = 0, count = dice.below(4); i < count; ++i) {
    const std::size_t at = i * 40 + dice.below(40);  // apart, so that none is named twice
    cpu.features.push_back({std::string(features[at].name), static_cast<CpuFeaturePolicy>(dice.below(5))});
  }
  return cpu;
}

MemoryBacking make_memory_backing(Dice& dice) {
  return {.huge_pages = false,  // they must divide the memory
          .no_share_pages = dice.flip(),
          .source = dice.maybe_enum<MemorySource>(1),
          .access = dice.maybe_enum<MemoryAccess>(1),
          .allocation = dice.maybe_enum<MemoryAllocation>(2),
          .discard = dice.flip()};
}

std::optional<SystemInformation> make_system_information(Dice& dice) {
  if (dice.below(4) != 0) return std::nullopt;
  SystemInformation information;
  const auto fill = [&dice](std::span<std::string> values) {
    for (std::string& value : values)
      if (dice.flip()) value = "<" + std::to_string(dice.below(1000)) + "&>";
  };
  fill(information.bios);
  information.bios[2] = dice.flip() ? "02/28/2024" : "";
  information.bios[3] = dice.flip() ? "1.255" : "";
  fill(information.system);
  information.system[4].clear();  // the domain's own may not be known yet
  fill(information.base_board);
  fill(information.chassis);
  for (std::uint32_t i = dice.below(3); i != 0; --i)
    information.oem_strings.push_back(fmt::format("oem {}", i));
  return information;
}

Clock make_clock(Dice& dice) {
  Clock clock;
  clock.offset = static_cast<ClockOffset>(dice.below(5));
  if (clock.offset == ClockOffset::absolute) clock.start_seconds = dice.below(65536);
  if (clock.offset == ClockOffset::timezone) clock.timezone = "Europe/Paris";
  if (clock.offset == ClockOffset::variable) {
    clock.adjustment_seconds = static_cast<std::int64_t>(dice.below(65536)) - 30000;
    clock.basis = dice.maybe_enum<ClockBasis>(2);
  }
  if (dice.flip()) {
    clock.timers.push_back({.name = TimerName::rtc});
    if (dice.flip()) clock.timers.back().tick_policy = static_cast<TimerTickPolicy>(dice.below(2));
  }
  if (dice.flip()) clock.timers.push_back({.name = TimerName::hpet, .present = false});
  if (dice.flip()) clock.timers.push_back({.name = TimerName::kvmclock, .present = dice.maybe_bool()});
  return clock;
}

}  // namespace

DomainDefinition generate_definition(std::span<const std::uint8_t> bytes) {
  Dice dice(bytes);
  DomainDefinition definition;
  definition.name = dice.text(1, 20);
  if (dice.flip()) {
    if (dice.flip()) definition.generation_id.emplace();
    if (dice.flip()) definition.generation_id = {.id = Uuid{}};
    definition.uuid.emplace();
    for (std::uint8_t& byte : definition.uuid->bytes) byte = static_cast<std::uint8_t>(dice.below(256));
  }
  definition.title = dice.text(0, 10);
  definition.description = dice.text(0, 40);
  if (dice.flip()) definition.metadata.push_back({"urn:a", "<a:b xmlns:a='urn:a' c='&amp;'>&lt;<d/></a:b>"});
  definition.memory.maximum_kib = 1 + dice.below(65535) * std::uint64_t{1024};
  definition.memory.current_kib = definition.memory.maximum_kib;
  if (dice.flip()) definition.memory.current_kib = 1 + definition.memory.maximum_kib / 2;
  definition.vcpu.maximum = dice.between(1, 255);
  definition.vcpu.current = dice.between(1, definition.vcpu.maximum);
  if (dice.flip()) {
    tell_each(definition.vcpu);
    for (std::uint32_t i = 1; i < definition.vcpu.maximum; ++i)
      if (dice.flip()) set_online(definition.vcpu, i, dice.flip());
    if (dice.flip()) assign_order(definition.vcpu);
  }
  make_tuning(dice, definition);
  definition.os.kernel = dice.path();
  if (dice.flip()) definition.os.initrd = dice.path();
  definition.os.command_line = dice.text(0, 30);
  definition.features = {
      .acpi = dice.flip(), .apic = dice.flip(), .pae = dice.flip(), .ioapic_kvm = dice.flip()};
  if (definition.features.apic && dice.flip()) definition.features.apic_eoi = true;
  if (dice.flip()) definition.features.vmport = false;
  if (dice.flip()) definition.features.smm = false;
  if (dice.flip()) {
    // No host has to be asked about what is off.
    Hyperv& hyperv = definition.features.hyperv.emplace();
    for (auto& state : hyperv.states)
      if (dice.flip()) state = false;
    if (hyperv.states[static_cast<std::size_t>(HypervFeature::stimer)] && dice.flip())
      hyperv.direct_timers = false;
  }
  if (dice.flip()) definition.cpu = make_cpu(dice, definition.vcpu);
  definition.memory_backing = make_memory_backing(dice);
  definition.sysinfo = make_system_information(dice);
  if (definition.sysinfo) definition.os.smbios = dice.maybe_enum<SmbiosMode>(2);
  definition.clock = make_clock(dice);
  definition.lifecycle = {.on_poweroff = dice.maybe_enum<LifecycleAction>(2),
                          .on_reboot = dice.maybe_enum<LifecycleAction>(2),
                          .on_crash = dice.maybe_enum<LifecycleAction>(5)};
  if (dice.flip()) definition.pm = {.suspend_to_mem = false, .suspend_to_disk = false};
  definition.devices = make_devices(dice);
  for (Disk& disk : definition.devices.disks)
    if (disk.bus == DiskBus::virtio && disk.is_own()) give_iothreads(dice, definition.iothreads, disk.driver);
  for (const Disk& disk : definition.devices.disks)
    if (!disk.is_own()) definition.memory_backing.access = MemoryAccess::shared;
  for (const Interface& interface : definition.devices.interfaces)
    if (interface.type == InterfaceType::vhostuser) definition.memory_backing.access = MemoryAccess::shared;
  const auto ordered = [](const auto& list) {
    for (const auto& device : list)
      if (device.info.boot_order) return true;
    return false;
  };
  if (!ordered(definition.devices.disks) && !ordered(definition.devices.interfaces) && dice.flip())
    definition.os.boot_devices = {BootDevice::network, BootDevice::hd};
  definition.seclabel_none = dice.flip();
  return definition;
}

}  // namespace warren::driver::config
