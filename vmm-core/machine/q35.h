// The q35 board: chipset, ISA devices and PCI devices at their places in the two address spaces, and the
// registry by which they are reset and inspected. Knows KVM only through the interfaces it is given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/bus/address_space.h"
#include "vmm-core/bus/kvm_interrupts.h"
#include "vmm-core/devices/keyboard_controller.h"
#include "vmm-core/devices/memory_hot_plug.h"
#include "vmm-core/devices/panic_port.h"
#include "vmm-core/devices/pci_hot_plug.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/devices/reset_control.h"
#include "vmm-core/devices/serial.h"
#include "vmm-core/devices/tco_watchdog.h"
#include "vmm-core/devices/vcpu_hot_plug.h"
#include "vmm-core/machine/configuration.h"
#include "vmm-core/machine/memory_map.h"
#include "vmm-core/pci/chipset.h"
#include "vmm-core/pci/root_complex.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::machine {

class Q35 final : public Inspectable {
 public:
  // Called on vCPU threads; must not wait for them.
  struct Actions {
    std::function<void()> reset;
    std::function<void(PowerManagement::SleepState)> sleep;
    std::function<void()> may_wake;  // as MachineConfiguration's; or none
    std::function<void()> panicked;
    std::function<void()> clock_changed;  // the RTC's next tick; on any thread
    std::function<std::uint64_t()> guest_nanoseconds;
    std::function<void(std::uint8_t bus)> device_released, device_kept;  // as MachineConfiguration's; or none
    std::function<void(std::uint32_t vcpu)> vcpu_released, vcpu_kept;    // likewise
    std::function<void(std::uint32_t slot)> dimm_released, dimm_kept;    // likewise
  };

  // `lines` and what `environment` holds outlive the board. Takes what it needs out of `configuration`.
  Q35(MachineConfiguration& configuration, const MemoryMap& map, KvmInterruptLines& lines,
      const DeviceEnvironment& environment, const Actions& actions);
  Q35(const Q35&) = delete;
  Q35& operator=(const Q35&) = delete;
  ~Q35();

  AddressSpace& ports() noexcept { return ports_; }
  AddressSpace& memory() noexcept { return memory_; }
  PowerManagement& power_management() noexcept { return power_management_; }
  KeyboardController& keyboard() noexcept { return keyboard_; }
  RealTimeClock& clock() noexcept { return clock_; }
  // Null when no vCPU comes or goes.
  VcpuHotPlug* vcpu_hot_plug() noexcept { return vcpu_hot_plug_ ? &*vcpu_hot_plug_ : nullptr; }
  // Null when no memory does.
  MemoryHotPlug* memory_hot_plug() noexcept { return memory_hot_plug_ ? &*memory_hot_plug_ : nullptr; }
  // The ports whose device comes and goes, as the tables name them.
  std::vector<HotPlugPort> hot_plug_ports() const;

  // Every device to power-on state and BARs where firmware would put them. While nothing runs.
  void reset();
  // The same, but the guest is told that it was woken.
  void wake();
  // I/O threads of devices. While no vCPU runs.
  void pause() noexcept;
  void resume() noexcept;

  // As Machine's; plug() and unplug() while no vCPU runs. A device that comes while devices are paused is
  // paused, too.
  void plug(const PciDeviceConfiguration& device, KvmInterruptLines& lines,
            const DeviceEnvironment& environment, bool running);
  pci::RemovalRequest request_removal(const std::string& id);
  std::string unplug(std::uint8_t bus);
  std::vector<std::string> device_names() const;
  std::string device_behind(std::uint8_t bus) const;  // its id; empty: nothing is there

  void inspect(InspectNode& node) const override;

 private:
  struct Port {
    std::unique_ptr<pci::RootPort> port;
    std::uint8_t named_bus = 0;
    pci::Address address;
    bool hot_plug = false;
  };
  struct Seated {
    BuiltDevice device;
    std::uint8_t bus = 0;  // as its configuration names it
  };

  Port* port_of(std::uint8_t bus) noexcept;
  void map_chipset();
  void add_tco_watchdog(const TcoConfiguration& configuration);
  void add_vcpu_hot_plug(const CpuConfiguration& cpu, const Actions& actions);
  void add_memory_hot_plug(std::uint32_t slots, const Actions& actions);
  void add_pci_hot_plug(const Actions& actions);
  bool drives_slots_by_acpi(const Port& port) const noexcept;
  void add_serials(const MachineConfiguration& configuration, KvmInterruptLines& lines);
  void add_ports(const MachineConfiguration& configuration, KvmInterruptLines& lines, const Actions& actions);
  void add_devices(MachineConfiguration& configuration, KvmInterruptLines& lines,
                   const DeviceEnvironment& environment);
  pci::Place root_place(const pci::Address& address, KvmInterruptLines& lines);
  pci::Place place_behind(const Port& port, KvmInterruptLines& lines);
  void place_bars();

  const MemoryMap map_;
  // First, so that they outlive the mappings of everything below.
  AddressSpace ports_{"ports", 0xffff};
  AddressSpace memory_{"mmio", ~std::uint64_t{0}};
  std::vector<AddressSpace::Mapping> mappings_;

  pci::RootComplex root_;
  ResetControl reset_control_;
  PowerManagement power_management_;
  KeyboardController keyboard_;
  RealTimeClock clock_;
  std::vector<std::unique_ptr<Serial>> serials_;
  std::optional<PanicPort> panic_port_;
  std::optional<VcpuHotPlug> vcpu_hot_plug_;
  std::optional<MemoryHotPlug> memory_hot_plug_;
  std::optional<PciHotPlug> pci_hot_plug_;
  std::optional<TcoWatchdog> tco_watchdog_;

  pci::HostBridge host_bridge_;
  pci::LpcBridge lpc_bridge_;
  std::vector<Port> root_ports_;
  std::vector<Seated> devices_;
};

}  // namespace warren::vmm::machine
