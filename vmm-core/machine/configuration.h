// What a machine is built from: plain values, open descriptors and back ends. Whoever makes it has resolved
// all names and opened everything; the machine opens nothing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/bus/doorbell.h"
#include "vmm-core/bus/interrupt.h"
#include "vmm-core/chardev/descriptor_backend.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/machine/acpi_tables.h"
#include "vmm-core/machine/cpuid.h"
#include "vmm-core/machine/smbios_tables.h"
#include "vmm-core/memory/device_memory.h"
#include "vmm-core/memory/dma_map.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/pci/address.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/sandbox/filter.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/state/pausable.h"

namespace warren::vmm::machine {

// A 16550 at the usual place of COM1 to COM4.
struct SerialConfiguration {
  std::string id;
  std::uint8_t port = 0;                 // 0 to 3
  DescriptorBackend* backend = nullptr;  // one of MachineConfiguration::character_backends
};

struct RootPortConfiguration {
  std::string id;
  pci::Address address;            // on bus 0
  std::uint8_t secondary_bus = 0;  // what devices behind it name as their bus
  std::uint8_t port_number = 0;
  bool hot_plug = false;  // has a slot whose device, in function 0 alone, comes and goes
};

// The memory of memory devices, by their ids. A core dump may have it for longer than the machine.
using DeviceMemories = std::map<std::string, std::shared_ptr<DeviceMemory>>;

// Memory of a memory device, which is there before the device and after it.
struct DeviceMemoryConfiguration {
  std::string id;
  DeviceMemoryOptions options;
  DeviceMemory::Listener changed;  // or none
};

// A memory module that ACPI tells of.
struct DimmConfiguration {
  DeviceMemoryConfiguration memory;
  std::uint32_t slot = 0;
  std::uint32_t node = 0;
};

// What a PCI device is made with. All of it outlives the device.
struct DeviceEnvironment {
  GuestMemory& memory;
  const DeviceMemories& device_memories;
  MsiRouter& messages;
  DoorbellRegistrar& doorbells;
  // For devices of the host: what they reach of memory, how the guest reaches theirs, and who is told of the
  // descriptor of a VFIO group that comes or goes.
  DmaMap& dma;
  MemorySlots& slots;
  std::function<void(int group, bool present)> group_changed;
};

struct BuiltDevice {
  std::unique_ptr<pci::Function> function;
  Pausable* worker = nullptr;  // part of the device, or none
};

struct PciDeviceConfiguration {
  std::string id;
  pci::Address address;
  // Called once, while the machine is built or when the device is plugged in. Throws Error.
  std::function<BuiltDevice(const DeviceEnvironment& environment, pci::Place place)> build;
  bool reaches_memory = false;  // by itself, from its build on: nothing runs meanwhile
};

// The chipset's watchdog. `expired` as TcoWatchdog's.
struct TcoConfiguration {
  std::string id;
  EventThread* thread = nullptr;  // outlives the machine
  std::function<void()> expired;
};

struct BootConfiguration {
  FileDescriptor kernel;
  std::optional<FileDescriptor> initrd;
  std::string command_line;
};

struct MachineConfiguration {
  std::string name;
  std::array<std::uint8_t, 16> uuid{};  // in the order it is written in text
  FileDescriptor kvm;                   // an open /dev/kvm
  std::uint64_t memory_bytes = 0;       // a multiple of 4 KiB
  MemoryAllocation memory_allocation;
  std::uint64_t hot_plug_bytes = 0;  // of memory that may come at run time, in pages of 4 KiB
  std::uint32_t memory_slots = 0;    // how many memory devices it may come in
  std::vector<DeviceMemoryConfiguration> device_memories;  // of devices that are there from the start
  std::vector<DimmConfiguration> dimms;                    // likewise
  std::vector<NumaNode> numa;  // their memory is all of memory_bytes; none: nothing is said
  CpuConfiguration cpu;
  BootConfiguration boot;
  SmbiosStrings smbios;
  std::int64_t clock_offset_nanoseconds = 0;  // what the RTC shows minus host UTC
  RealTimeClock::MissedTicks missed_clock_ticks = RealTimeClock::MissedTicks::merge;
  bool reinject_timer_ticks = true;           // of the PIT: missed ones come later rather than never
  PowerManagement::SleepStates sleep_states;  // besides S5
  bool panic_port = false;                    // pvpanic, for guests that tell of a panic
  std::optional<std::array<std::uint8_t, 16>> generation_id;  // in the order it is written in text
  std::vector<std::unique_ptr<DescriptorBackend>> character_backends;
  std::vector<SerialConfiguration> serials;
  std::optional<TcoConfiguration> tco_watchdog;
  std::vector<RootPortConfiguration> root_ports;
  std::vector<PciDeviceConfiguration> devices;
  // The guest has set its clock: what it shows minus host UTC. On a vCPU thread; or none.
  std::function<void(std::int64_t nanoseconds)> clock_set;
  // The guest has let go of the device behind the root port with that secondary bus, whose removal was
  // requested; unplug() is next. On a vCPU thread or within a call of the machine, and must not come back.
  std::function<void(std::uint8_t bus)> device_released;
  // The guest keeps the device behind that port, whose removal was requested through ACPI. Likewise.
  std::function<void(std::uint8_t bus)> device_kept;
  // The guest has let go of a vCPU, asked or not; remove_vcpu() is next. On a vCPU thread, and must not come
  // back.
  std::function<void(std::uint32_t vcpu)> vcpu_released;
  // The guest keeps a vCPU whose removal was requested. Likewise.
  std::function<void(std::uint32_t vcpu)> vcpu_kept;
  // The guest has let go of the memory module in that slot, asked or not; remove_dimm() is next. On a vCPU
  // thread, and must not come back.
  std::function<void(std::uint32_t slot)> dimm_released;
  // The guest keeps one whose removal was requested. Likewise.
  std::function<void(std::uint32_t slot)> dimm_kept;
  // What Machine::wakes() says may have changed. On any thread, and must not come back.
  std::function<void()> may_wake;
  CountersPage* counters = nullptr;  // outlives the machine; or none
  // Called first thing on every thread the machine starts.
  std::function<void(ThreadKind)> thread_started;
};

}  // namespace warren::vmm::machine
