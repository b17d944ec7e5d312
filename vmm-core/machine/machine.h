// One virtual machine, from its parts to its end: built, started, paused, reset, and what its guest does to
// it.
//
// All calls come from one thread, the control thread. The event sink is called on vCPU threads and only
// passes the event on; by then the vCPUs are stopping and the control thread decides: reset(), or nothing
// more.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm-core/bus/kvm_doorbells.h"
#include "vmm-core/bus/kvm_interrupts.h"
#include "vmm-core/kvm/system.h"
#include "vmm-core/kvm/vcpu.h"
#include "vmm-core/kvm/virtual_machine.h"
#include "vmm-core/machine/character_thread.h"
#include "vmm-core/machine/configuration.h"
#include "vmm-core/machine/core_dump.h"
#include "vmm-core/machine/guest_clock.h"
#include "vmm-core/machine/machine_check.h"
#include "vmm-core/machine/memory_map.h"
#include "vmm-core/machine/q35.h"
#include "vmm-core/machine/vcpu_threads.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::machine {

class Machine final : public Inspectable {
 public:
  // Told at most once between two resets; on a vCPU thread.
  using EventSink = std::function<void(GuestEvent)>;

  // Builds everything but starts no vCPU. Throws Error naming what the host or the configuration refuses.
  Machine(MachineConfiguration configuration, EventSink sink);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  // Loads the kernel and starts the threads; the guest runs unless `paused`. Once. Throws Error: for a kernel
  // that cannot be booted the machine is as before.
  void start(bool paused);
  // Both change nothing when it is so already.
  void pause();
  void resume();
  // As the reset button: everything to power-on state and the kernel loaded again. Runs on, also after the
  // guest had come to its end, unless it was paused by pause().
  void reset();

  // A guest in S3 (GuestSuspended): its devices and its time stop, too, but for the real-time clock.
  void sleep();
  // Something that wakes such a guest has happened.
  bool wakes() noexcept { return board_.power_management().wakes_guest(); }
  // Devices and processors begin anew, RAM is kept, and the guest goes on where it wants to be woken. False
  // when it left no word of that: it was reset instead. Throws Error as reset() does.
  bool wake();

  // False when the guest has not enabled it.
  bool press_power_button() noexcept { return board_.power_management().press_power_button(); }
  bool press_ctrl_alt_del() noexcept { return board_.keyboard().press_ctrl_alt_del(); }
  // As KeyboardController.
  bool press_keys(std::span<const std::uint16_t> codes) noexcept { return board_.keyboard().press(codes); }
  bool release_keys(std::span<const std::uint16_t> codes) noexcept {
    return board_.keyboard().release(codes);
  }
  // Memory of the host has failed: guest memory if it is that, which a guest learns by a machine check.
  enum class MemoryFailure {
    not_of_the_guest,
    told,       // the guest, which goes on
    not_taken,  // by a guest that has no machine checks, or not now: if it needs the memory, it is to be
                // reset
    recursive,  // the same, in the middle of the one before
  };
  // `vcpu` was about to use it (GuestMemoryFailed); none: nobody is.
  MemoryFailure tell_memory_failure(std::uintptr_t host_address, std::optional<std::size_t> vcpu);
  // To every vCPU whose local APIC lets its LINT1 pin deliver one.
  void inject_nmi();
  // Of all vCPUs, which stand still for a moment.
  std::vector<VcpuRegisters> registers();
  // What KVM counts: of the machine, then of each of present_vcpus(); empty where the kernel has no such
  // file.
  std::vector<FileDescriptor> statistics();
  // Notes which pages are written, from now on; stop_dirty_log() says how many were.
  void start_dirty_log() { vm_.log_dirty_pages(true); }
  std::uint64_t stop_dirty_log();
  // Memory as vCPU 0 addresses it now. False unless all of it is mapped to RAM.
  bool read_virtual(std::uint64_t address, std::span<std::byte> destination);

  // A device comes to a root port that takes one at run time, and the guest is told. Throws Error: for a
  // place that does not exist, takes none or is taken, and for what the device's build refuses.
  void plug(const PciDeviceConfiguration& device);
  // Asks the guest to let go of a device; MachineConfiguration::device_released tells that it has. Throws
  // Error for a device that is not there or sits where none goes.
  pci::RemovalRequest request_removal(const std::string& id);
  // Destroys what is behind the port of that bus and returns its id; empty when nothing is.
  std::string unplug(std::uint8_t bus);
  std::vector<std::string> device_names() const { return board_.device_names(); }
  std::string device_behind(std::uint8_t bus) const { return board_.device_behind(bus); }

  // Memory for the memory device of that id, which is plugged in next; and taken away after the device was.
  // Nothing runs meanwhile: I/O that is under way comes to its end. Throws Error; remove_memory() only for
  // one that is not there.
  void add_memory(const DeviceMemoryConfiguration& memory);
  void remove_memory(const std::string& id);
  const DeviceMemories& device_memories() const noexcept { return device_memories_; }
  // A memory module comes, and the guest is told. Throws Error, and then everything is as before.
  void plug_dimm(const DimmConfiguration& dimm);
  // Asks the guest to let go of it; MachineConfiguration::dimm_released and dimm_kept tell what it does.
  // Throws Error for one that is not there.
  void request_dimm_removal(const std::string& id);
  // Takes away what the guest has let go of, and returns its id; empty when it is back, or never was there.
  std::string remove_dimm(std::uint32_t slot);
  std::string dimm_in(std::uint32_t slot) const;  // its id; empty: nothing is there

  // A back end for a device that is there, served from now on; and taken out of service.
  // `connect` makes it somebody's, who may use it at once; what it throws leaves everything as it was.
  void add_backend(std::unique_ptr<DescriptorBackend> backend,
                   const std::function<void(DescriptorBackend&)>& connect);
  std::unique_ptr<DescriptorBackend> remove_backend(const DescriptorBackend& backend);

  // All of these vCPUs come, and the guest is told; or none does. Throws Error for one that cannot come or is
  // there, and when the host has no more.
  void plug_vcpus(const std::vector<std::uint32_t>& vcpus);
  // Asks the guest to let go of them; MachineConfiguration::vcpu_released and vcpu_kept tell what it does.
  // Throws Error, and asks for none, when one of them is not there or cannot go.
  void request_vcpu_removal(const std::vector<std::uint32_t>& vcpus);
  // Ends what the guest has let go of. False when it is back, or never was there.
  bool remove_vcpu(std::uint32_t vcpu);
  std::vector<std::uint32_t> present_vcpus() const;

  GuestMemory& memory() noexcept { return memory_; }
  void inspect(InspectNode& node) const override;

 private:
  GuestMemory make_memory() const;
  kvm::VirtualMachine make_vm() const;
  DeviceMemories make_device_memories();
  std::shared_ptr<DeviceMemory> make_device_memory(const DeviceMemoryConfiguration& memory);
  DeviceEnvironment environment();
  std::unique_ptr<kvm::Vcpu> make_vcpu(std::uint32_t number);
  void enable_hyperv(kvm::Vcpu& vcpu, std::vector<kvm_cpuid_entry2>& cpuid);
  std::vector<std::unique_ptr<kvm::Vcpu>> make_vcpus();
  void add_vcpu(std::uint32_t number);
  VcpuHotPlug& hot_plug_of(std::uint32_t vcpu);
  template <typename Each>
  void for_each_vcpu(Each each);
  void insert_dimm(const DimmConfiguration& dimm, bool tell);
  void load();
  void reset_processors();
  void set_up_machine_checks(kvm::Vcpu& vcpu, const std::vector<kvm_cpuid_entry2>& cpuid);
  MemoryFailure check_machine(GuestAddress address, std::optional<std::size_t> vcpu);
  void on_sleep_state(PowerManagement::SleepState state);
  void stop_running();
  // Runs `look` while no vCPU runs; devices and time go on.
  template <typename Look>
  void between_runs(Look look);
  // The same while no device runs either.
  template <typename Change>
  void while_nothing_runs(Change change);
  void continue_running();
  void on_guest_event(GuestEvent event);

  MachineConfiguration configuration_;
  const EventSink sink_;
  const MemoryMap map_;
  const kvm::System system_;
  GuestMemory memory_;
  HotPlugWindow hot_plug_window_;
  kvm::VirtualMachine vm_;
  DmaMap dma_{memory_};
  DeviceMemories device_memories_;
  std::map<std::uint32_t, std::string> dimms_;  // by slot: ids of device_memories_
  KvmInterruptLines lines_{vm_};
  KvmMessageRouter messages_{vm_};
  KvmDoorbells doorbells_{vm_};
  GuestClock clock_;
  CharacterThread events_;
  Q35 board_;
  std::unique_ptr<VcpuThreads> vcpus_;

  // What reset() returns to.
  kvm::InterruptControllerState pristine_controllers_;
  std::vector<std::optional<kvm::VcpuState>> pristine_vcpus_;  // of those that were ever there

  std::vector<GuestAddress> failed_pages_;  // since the last reset
  MachineCheckKind machine_check_kind_ = MachineCheckKind::intel;
  GuestAddress facs_;
  bool started_ = false;
  bool paused_ = true;                     // by pause(), or not started
  bool running_ = false;                   // vCPUs, devices and time
  std::atomic<bool> ended_{false};         // the guest came to its end, or sleeps
  std::uint64_t stopped_guest_clock_ = 0;  // KVM's clock and the host's TSC when it was paused
  std::uint64_t stopped_time_stamp_ = 0;
  std::uint64_t resets_ = 0;
};

}  // namespace warren::vmm::machine
