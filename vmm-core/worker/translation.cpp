// From the typed specification, with its descriptors by name, to the machine's configuration.
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/block.h"
#include "vmm-core/virtio/console.h"
#include "vmm-core/virtio/rng.h"
#include "vmm-core/worker/disk_image.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

using machine::MachineConfiguration;

std::optional<FileDescriptor> take(control::DescriptorSet& descriptors,
                                   const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  return worker::take(descriptors, *name);
}

machine::HypervConfiguration hyperv_of(const control::HypervSpecification& hyperv) {
  return {.vendor = hyperv.vendor_id,
          .relaxed_timing = hyperv.relaxed,
          .virtual_apic = hyperv.vapic,
          .reference_time = hyperv.time,
          .vcpu_index = hyperv.vpindex,
          .vcpu_runtime = hyperv.runtime,
          .synthetic_interrupts = hyperv.synic,
          .synthetic_timers = hyperv.stimer,
          .direct_timers = hyperv.direct_stimer,
          .reset = hyperv.reset,
          .frequencies = hyperv.frequencies,
          .reenlightenment = hyperv.reenlightenment,
          .tlb_flush = hyperv.tlbflush,
          .send_ipi = hyperv.ipi,
          .enlightened_vmcs = hyperv.evmcs,
          .no_auto_eoi = hyperv.avic,
          .spinlock_retries = hyperv.spinlock_retries};
}

machine::CpuConfiguration cpu_of(const control::CpuSpecification& cpu) {
  machine::CpuConfiguration configuration;
  configuration.vcpus = cpu.vcpus;
  configuration.hot_pluggable = cpu.hot_pluggable;
  configuration.absent = cpu.absent;
  configuration.sockets = cpu.sockets;
  configuration.dies = cpu.dies;
  configuration.cores = cpu.cores;
  configuration.threads = cpu.threads;
  configuration.vendor = cpu.identity.vendor;
  configuration.signature = cpu.identity.signature;
  configuration.brand = cpu.identity.brand;
  if (cpu.hyperv) configuration.hyperv = hyperv_of(*cpu.hyperv);
  for (const auto& mask : cpu.masks) {
    configuration.masks.push_back({mask.leaf,
                                   mask.subleaf,
                                   {mask.keep_eax, mask.keep_ebx, mask.keep_ecx, mask.keep_edx},
                                   {mask.set_eax, mask.set_ebx, mask.set_ecx, mask.set_edx}});
  }
  return configuration;
}

machine::SmbiosStrings smbios_of(const control::SmbiosSpecification& smbios) {
  const auto& [bios, system, board, chassis, oem_strings] = smbios;
  return {.bios = {bios.vendor, bios.version, bios.date, bios.release},
          .system = {system.manufacturer, system.product, system.version, system.serial, system.sku,
                     system.family},
          .base_board = {board.manufacturer, board.product, board.version, board.serial, board.asset,
                         board.location},
          .chassis = {chassis.manufacturer, chassis.version, chassis.serial, chassis.asset, chassis.sku},
          .oem_strings = oem_strings};
}

}  // namespace

FileDescriptor take(control::DescriptorSet& descriptors, const std::string& name) {
  auto found = descriptors.find(name);
  if (found == descriptors.end() || !found->second) {
    throw Error(std::errc::bad_file_descriptor, "descriptor '" + name + "' is used twice or missing");
  }
  return std::exchange(found->second, FileDescriptor());
}

std::unique_ptr<DescriptorBackend> Worker::make_backend(const control::CharacterSpecification& character,
                                                        control::DescriptorSet& descriptors) {
  FileDescriptor log = take(descriptors, character.log).value_or(FileDescriptor());
  FileDescriptor own = take(descriptors, character.descriptor).value_or(FileDescriptor());
  std::unique_ptr<DescriptorBackend> backend;
  using Kind = DescriptorBackend::Kind;
  switch (character.kind) {
    case control::CharacterKind::null:
      backend =
          std::make_unique<DescriptorBackend>(Kind::null, FileDescriptor(), FileDescriptor(), std::move(log));
      break;
    case control::CharacterKind::pty:
      backend =
          std::make_unique<DescriptorBackend>(Kind::pty, std::move(own), FileDescriptor(), std::move(log));
      break;
    case control::CharacterKind::file:
      backend =
          std::make_unique<DescriptorBackend>(Kind::file, FileDescriptor(), std::move(own), std::move(log));
      break;
    case control::CharacterKind::socket:
      backend =
          std::make_unique<DescriptorBackend>(Kind::socket, std::move(own), FileDescriptor(), std::move(log));
      break;
    case control::CharacterKind::listener:
      backend = std::make_unique<DescriptorBackend>(Kind::listener, std::move(own), FileDescriptor(),
                                                    std::move(log));
      break;
    case control::CharacterKind::terminal:
      if (!surroundings_.terminal_input) {
        throw Error(std::errc::invalid_argument, "a character device of kind terminal needs a free terminal");
      }
      backend = std::make_unique<DescriptorBackend>(Kind::stream, std::move(surroundings_.terminal_input),
                                                    std::move(surroundings_.terminal_output), std::move(log));
      break;
  }
  return backend;
}

DescriptorBackend& Worker::add_backend(MachineConfiguration& configuration,
                                       const control::CharacterSpecification& character,
                                       control::DescriptorSet& descriptors) {
  configuration.character_backends.push_back(make_backend(character, descriptors));
  return *configuration.character_backends.back();
}

MachineConfiguration Worker::translate(const control::MachineSpecification& specification,
                                       control::DescriptorSet& descriptors) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  MachineConfiguration configuration;
  configuration.name = specification.name;
  configuration.uuid = control::parse_uuid(specification.uuid).value_or(std::array<std::uint8_t, 16>{});
  configuration.kvm = surroundings_.kvm.duplicate();
  configuration.memory_bytes = specification.memory_bytes;
  configuration.memory_allocation = {.huge_page_bytes = specification.memory.huge_page_bytes,
                                     .populate = specification.memory.populate,
                                     .is_private = specification.memory.is_private};
  configuration.cpu = cpu_of(specification.cpu);
  configuration.numa.reserve(specification.numa.size());
  for (const auto& node : specification.numa)
    configuration.numa.push_back({node.memory_bytes, node.vcpus, node.distances});
  configuration.smbios = smbios_of(specification.smbios);
  configuration.missed_clock_ticks = specification.rtc_missed_ticks == control::MissedTicks::catch_up
                                         ? RealTimeClock::MissedTicks::catch_up
                                         : RealTimeClock::MissedTicks::merge;
  configuration.reinject_timer_ticks = specification.pit_reinject;
  configuration.panic_port = specification.panic_port;
  configuration.sleep_states = {.s3 = specification.sleep.s3, .s4 = specification.sleep.s4};
  configuration.may_wake = [this] { boost::asio::post(loop_, [this] { guest_may_wake(); }); };
  if (!specification.generation_id.empty())
    configuration.generation_id = control::parse_uuid(specification.generation_id);
  configuration.boot.kernel = take(descriptors, specification.boot.kernel);
  configuration.boot.initrd = take(descriptors, specification.boot.initrd);
  configuration.boot.command_line = specification.boot.command_line;
  if (__builtin_mul_overflow(specification.rtc_offset_seconds, kNanosecondsPerSecond,
                             &configuration.clock_offset_nanoseconds)) {
    throw Error(std::errc::invalid_argument, "rtc_offset_seconds: more than 292 years");
  }
  configuration.clock_set = [this](std::int64_t nanoseconds) {
    boost::asio::post(loop_, [this, nanoseconds] {
      if (surroundings_.clock_set) surroundings_.clock_set({nanoseconds / kNanosecondsPerSecond});
    });
  };
  configuration.device_released = [this](std::uint8_t bus) {
    boost::asio::post(loop_, [this, bus] { device_released(bus); });
  };
  configuration.device_kept = [this](std::uint8_t bus) {
    boost::asio::post(loop_, [this, bus] {
      if (!machine_) return;
      const std::string id = machine_->device_behind(bus);
      if (!id.empty() && surroundings_.device_kept) surroundings_.device_kept({id});
    });
  };
  follow_vcpus(configuration);
  configuration.counters = counters_;
  configuration.thread_started = surroundings_.thread_started;
  for (const auto& port : specification.root_ports) {
    configuration.root_ports.push_back(
        {port.id, address_of(port.address), port.secondary_bus, port.port_number, port.hot_plug});
  }
  for (const auto& serial : specification.serials) {
    auto& backend = add_backend(configuration, serial.character, descriptors);
    configuration.serials.push_back({serial.id, serial.port, &backend});
  }
  add_devices(configuration, specification, descriptors);
  add_memory_devices(configuration, specification);
  add_host_devices(configuration, specification, descriptors);
  return configuration;
}

EventThread& Worker::own_thread(const std::string& id) {
  EventThread& thread = make_thread("io-" + id);
  device_threads_[id] = &thread;
  return thread;
}

EventThread& Worker::shared_thread() {
  if (shared_thread_ == nullptr) shared_thread_ = &make_thread("io-shared");
  return *shared_thread_;
}

EventThread& Worker::thread_of(const std::string& id, std::uint32_t iothread) {
  if (iothread == 0) return own_thread(id);
  const auto shared = iothreads_.find(iothread);
  if (shared == iothreads_.end())
    throw Error(std::errc::invalid_argument, id + ": there is no IOThread " + std::to_string(iothread));
  ++shared->second.users;
  used_iothreads_.emplace(id, iothread);
  return *shared->second.thread;
}

std::vector<EventThread*> Worker::threads_of(const control::DiskSpecification& disk) {
  std::vector<EventThread*> threads;
  for (const std::uint32_t iothread : disk.queue_iothreads) threads.push_back(&thread_of(disk.id, iothread));
  if (threads.empty()) threads.push_back(&thread_of(disk.id, disk.iothread));
  return threads;
}

machine::PciDeviceConfiguration Worker::disk_device(const control::DiskSpecification& disk,
                                                    control::DescriptorSet& descriptors) {
  BlockCounters& counters = block_counters(disk.id);
  std::vector<EventThread*> threads = threads_of(disk);
  // Now, and not when the device is built: an image's server is waited for, and the vCPUs stand still then.
  auto image = std::make_shared<std::unique_ptr<block::ChainImage>>(
      open_image(disk, take_chain(disk, descriptors), io_thread_hook()));
  return on_pci(disk.id, disk.address,
                [this, id = disk.id, image,
                 options = virtio::BlockOptions{.disk = options_of(disk),
                                                .packed = disk.packed,
                                                .queues = disk.queues,
                                                .queue_size = disk.queue_size},
                 &counters, threads = std::move(threads)] {
                  auto device =
                      std::make_unique<virtio::Block>(id, std::move(*image), options, counters, threads);
                  disks_.add(device->disk());
                  return device;
                });
}

machine::PciDeviceConfiguration Worker::rng_device(const control::RngSpecification& rng) {
  return on_pci(rng.id, rng.address, [rng, &shared = shared_thread()] {
    return std::make_unique<virtio::Rng>(rng.id, rng.rate_bytes, rng.rate_period_ms,
                                         std::vector<EventThread*>{&shared});
  });
}

void Worker::add_serial_controllers(MachineConfiguration& configuration,
                                    const control::MachineSpecification& specification,
                                    control::DescriptorSet& descriptors, EventThread& thread) {
  for (const auto& controller : specification.serial_controllers) {
    virtio::Console::Options options{.maximum_ports = controller.maximum_ports};
    ConsoleDevice& console = consoles_[controller.id];
    console.places = ports_.add_console(controller.maximum_ports);
    for (const auto& port : controller.ports) {
      auto& backend = add_backend(configuration, port.character, descriptors);
      options.ports.push_back({port.number, port.name, port.is_console, &backend});
      ports_.occupy(console.places[port.number], port.id);
      console_ports_[port.id] = {controller.id, port.number, &backend};
    }
    options.guest_opened = [this, places = console.places](std::uint32_t number, bool open) {
      ports_.guest_opened(places[number], open);
    };
    configuration.devices.push_back(
        on_pci(controller.id, controller.address, [controller, options, &console, &thread] {
          auto device = std::make_unique<virtio::Console>(controller.id, options, thread);
          console.device = device.get();
          return device;
        }));
  }
}

void Worker::add_devices(MachineConfiguration& configuration,
                         const control::MachineSpecification& specification,
                         control::DescriptorSet& descriptors) {
  for (const std::uint32_t id : specification.iothreads)
    iothreads_[id] = {&make_thread("iothread" + std::to_string(id)), 0};
  for (const auto& controller : specification.sata_controllers)
    configuration.devices.push_back(sata_controller(controller, specification, descriptors));
  for (const auto& controller : specification.scsi_controllers)
    configuration.devices.push_back(scsi_controller(controller, specification.disks, descriptors));
  for (const auto& disk : specification.disks)
    if (!disk.sata && !disk.scsi) configuration.devices.push_back(disk_device(disk, descriptors));
  for (const auto& interface : specification.interfaces)
    configuration.devices.push_back(interface_device(interface, descriptors));
  if (specification.tco_watchdog) configuration.tco_watchdog = tco_watchdog(*specification.tco_watchdog);
  if (specification.watchdog) configuration.devices.push_back(watchdog_device(*specification.watchdog));
  if (!specification.serial_controllers.empty())
    add_serial_controllers(configuration, specification, descriptors, shared_thread());
  for (const auto& rng : specification.rngs) configuration.devices.push_back(rng_device(rng));
  for (const auto& vsock : specification.vsocks)
    configuration.devices.push_back(vsock_device(vsock, descriptors));
  for (const auto& disk : specification.vhost_user_disks)
    configuration.devices.push_back(vhost_user_disk(disk, descriptors));
  for (const auto& input : specification.inputs)
    configuration.devices.push_back(input_device(input, descriptors));
  add_evdevs(specification, descriptors);
  if (const auto& balloon = specification.balloon) {
    configuration.devices.push_back(
        on_pci(balloon->id, balloon->address,
               [this, balloon = *balloon, &shared = shared_thread()](GuestMemory& memory) {
                 auto device = std::make_unique<virtio::Balloon>(
                     balloon.id, memory,
                     virtio::BalloonOptions{.deflate_on_oom = balloon.deflate_on_oom,
                                            .page_reporting = balloon.page_reporting,
                                            .listener = &balloon_watch_},
                     counters_->balloon, std::vector<EventThread*>{&shared});
                 device->set_target(balloon.target_bytes);
                 device->set_statistics_period(balloon.statistics_period_s);
                 balloon_ = device.get();
                 return device;
               }));
  }
}

}  // namespace warren::vmm::worker
