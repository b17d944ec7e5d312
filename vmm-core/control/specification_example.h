// A specification with something of everything, for the tests of control/.
#pragma once

#include "vmm-core/control/machine_specification.h"

namespace warren::vmm::control {

inline MachineSpecification example_specification() {
  MachineSpecification s;
  s.name = "example";
  s.uuid = "11111111-2222-3333-4444-555555555555";
  s.smbios.system.serial = "serial-0";
  s.smbios.oem_strings = {"one", "two"};
  s.rtc_missed_ticks = MissedTicks::catch_up;
  s.memory_bytes = std::uint64_t{512} << 20;
  s.cpu.vcpus = 4;
  s.cpu.hot_pluggable = {2, 3};
  s.cpu.hyperv = {.vendor_id = "Example", .relaxed = true, .spinlock_retries = 4095};
  s.cpu.absent = {3};
  s.numa = {{s.memory_bytes / 2, {0, 1, 2}, {10, 21}}, {s.memory_bytes / 2, {3}, {21, 10}}};
  s.cpu.cores = 2;
  s.cpu.threads = 2;
  s.cpu.masks.push_back({.leaf = 7, .keep_ebx = 0xfffffffe});
  s.boot = {"kernel", "initrd", "console=ttyS0"};
  s.rtc_offset_seconds = -3600;
  s.root_ports.push_back({"pci.1", {0, 1, 0}, 1, 1});
  s.serials.push_back({"serial0", 0, {CharacterKind::pty, "serial0", "serial0-log"}});
  s.serial_controllers.push_back(
      {"virtio-serial0",
       {0, 2, 0},
       4,
       {{"console0", 0, "", true, {CharacterKind::pty, "console0", {}}},
        {"channel0", 1, "org.example.port", false, {CharacterKind::listener, "channel0", {}}}}});
  DiskSpecification disk;
  disk.id = "disk0";
  disk.address = {1, 0, 0};
  disk.descriptor = "disk0";
  disk.flush = FlushPolicy::always;
  disk.serial = "serial-1";
  s.disks.push_back(disk);
  s.scsi_controllers.push_back({"scsi0", {0, 8, 0}, 2, 64, 512, 0});
  disk = {};
  disk.id = "scsi0-0-1-2";
  disk.scsi = {"scsi0", 1, 2};
  disk.descriptor = "disk1";
  disk.rotation_rate = 7200;
  disk.identity = {"ACME", "Rocket", "name", 0x5000'c500'1234'5678};
  s.disks.push_back(disk);
  InterfaceSpecification interface;
  interface.id = "net0";
  interface.address = {0, 3, 0};
  interface.mac = "52:54:00:12:34:56";
  interface.descriptors = {"tap0", "tap1"};
  interface.vhost = {"vhost0", "vhost1"};
  interface.steering = {"program", "table"};
  s.interfaces.push_back(interface);
  interface = {};
  interface.id = "net1";
  interface.address = {0, 9, 0};
  interface.mac = "52:54:00:12:34:57";
  interface.vhost_user = "switch";
  interface.queues = 2;
  s.interfaces.push_back(interface);
  s.balloon = {"balloon0", {0, 5, 0}, std::uint64_t{256} << 20, true, true, 5};
  s.vsocks.push_back({"vsock0", {0, 7, 0}, 42, "vsock", "vsock.seqpacket", {}});
  s.inputs.push_back({"input0", {0, 29, 0}, InputKind::tablet, {}});
  s.inputs.push_back({"input1",
                      {0, 30, 0},
                      InputKind::passthrough,
                      HostInputSpecification{.descriptor = "input1",
                                             .name = "Keyboard",
                                             .serial = "7",
                                             .bus = 3,
                                             .events = {{1, {30, 48}}, {3, {0}}},
                                             .axes = {{.code = 0, .minimum = -5, .maximum = 5}}}});
  s.evdevs.push_back(
      {"input2", "input2", GrabToggle::meta_meta, true, true, {{.code = 1, .minimum = 0, .maximum = 100}}});
  s.watchdog = {"watchdog0", {0, 6, 0}, WatchdogAction::inject_nmi};
  s.hot_plug_bytes = std::uint64_t{4} << 30;
  s.memory_slots = 3;
  s.root_ports.push_back({"pci.2", {0, 1, 1}, 2, 2});
  s.virtio_memories.push_back({"virtiomem0",
                               {2, 0, 0},
                               {.bytes = std::uint64_t{1} << 30, .host_nodes = {0}},
                               std::uint64_t{2} << 20,
                               std::uint64_t{512} << 20,
                               1});
  s.dimms.push_back({"dimm0", 2, std::uint64_t{1} << 32, 0, {.bytes = std::uint64_t{512} << 20}});
  s.root_ports.push_back({"pci.3", {0, 1, 2}, 3, 3});
  s.host_access = {"vfio", {{7, "vfio7"}}};
  s.host_devices.push_back({"hostdev0", {3, 0, 0}, "0000:01:00.0", 7});
  s.panic_port = true;
  s.generation_id = "22222222-2222-3333-4444-555555555555";
  s.rngs.push_back({"rng0", {0, 4, 0}, 1024, 1000});
  return s;
}

}  // namespace warren::vmm::control
