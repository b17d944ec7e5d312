// What the guest does besides tests, for tests of the host side (mode=NAME on the command line):
//   list                print the names of all tests and power off
//   idle                say READY and halt until the ACPI power button, then power off
//   ignore              say READY and halt for good, whatever comes
//   echo                say READY, send every received serial byte back; power button as idle
//   channels            power button as idle; see channels.h
//   spin                say READY and compute in ring 3 for good
//   tick                print TICK n with the guest's time in ms, once a second
//   hot_plug            say READY and serve the slots of root ports; see hot_plug.h
//   block_bench         measure the first virtio disk; see block_bench.h
//   disk_facts          say what the virtio disks are, and use them; see disk_facts.h
//   disk_load           keep the virtio disks busy; see disk_load.h
//   net_bench           measure the first virtio network device; see net_bench.h
//   media               read SATA disks and watch the medium of a CD/DVD drive; see media.h
//   scsi                say which units a SCSI controller has, and what becomes of them; see scsi_units.h
//   reboot              print BOOT and reset by ACPI (FADT), at every boot
//   reboot_keyboard     the same by the i8042
//   triple_fault, emulation_failure     end in the crash of that name
//   halt                halt with interrupts off
#pragma once

#include <string_view>

namespace guest {

// Returns when `mode` is empty; an unknown name stops the machine.
void run_mode(std::string_view mode);

}  // namespace guest
