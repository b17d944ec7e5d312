// A KVM virtual CPU: its registers and its run loop's step.
//
// run() and the register calls belong to the vCPU's own thread, or to any thread while that one stands still;
// request_exit() may come from any thread. Register calls throw vmm::Error naming the ioctl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "vmm-core/kvm/virtual_machine.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::kvm {

// --- Why the guest stopped running (api.rst §5). Spans are in the vCPU's shared page: good until the next
// run().

// `count` accesses of `size` bytes to one port; data holds them one behind the other (string instructions).
struct PortAccess {
  std::uint16_t port = 0;
  std::size_t size = 0;
  bool is_write = false;
  std::span<std::byte> data;
};
struct MmioAccess {
  GuestAddress address;
  bool is_write = false;
  std::span<std::byte> data;
};
struct Halted {};
struct TripleFault {};
// KVM gave up: `suberror` as KVM_INTERNAL_ERROR_*; data as KVM filled it.
struct InternalError {
  std::uint32_t suberror = 0;
  std::span<const std::uint64_t> data;
};
struct EntryFailure {
  std::uint64_t hardware_reason = 0;
};
struct SystemEvent {
  std::uint32_t type = 0;  // KVM_SYSTEM_EVENT_*
};
// A signal or request_exit().
struct Interrupted {};
// KVM_RUN itself failed.
struct RunFailure {
  int error_number = 0;
};
struct UnknownExit {
  std::uint32_t reason = 0;
};

using Exit = std::variant<PortAccess, MmioAccess, Halted, TripleFault, InternalError, EntryFailure,
                          SystemEvent, Interrupted, RunFailure, UnknownExit>;

// All of a vCPU that survives between two runs.
struct VcpuState {
  kvm_regs registers{};
  kvm_sregs special{};
  kvm_debugregs debug{};
  kvm_mp_state multiprocessing{};
  kvm_vcpu_events events{};
  kvm_lapic_state local_apic{};
  kvm_xcrs extended_control{};
  std::vector<std::byte> extended_state;  // XSAVE area, as large as the host says
  std::vector<kvm_msr_entry> msrs;
};

class Vcpu {
 public:
  Vcpu(const System& system, const VirtualMachine& vm, std::uint32_t apic_id);
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;
  ~Vcpu();

  // Runs the guest until it needs something. Finishes the instruction of the last port read or MMIO read
  // first.
  Exit run() noexcept;
  // Makes this run(), or the next, return Interrupted. A run() that is under way needs a signal to its
  // thread, too.
  void request_exit() noexcept;
  void clear_exit_request() noexcept;
  // Completes an access that is in flight without running the guest, so that the state can be saved.
  void complete_access() noexcept;

  void set_cpuid(std::span<const kvm_cpuid_entry2> entries);
  kvm_regs registers() const;
  void set_registers(const kvm_regs& registers);
  kvm_sregs special_registers() const;
  void set_special_registers(const kvm_sregs& registers);
  kvm_mp_state multiprocessing_state() const;
  void set_multiprocessing_state(const kvm_mp_state& state);

  // §4.37, of one vCPU, with its first argument. Throws Error naming it.
  void enable_capability(std::uint32_t capability, const char* name, std::uint64_t argument = 0);

  // False when this vCPU has no such register or refuses the value.
  bool set_msr(std::uint32_t index, std::uint64_t value);
  std::optional<std::uint64_t> msr(std::uint32_t index) const;

  // Lets it take machine checks with that IA32_MCG_CAP (§4.106); after set_cpuid(). False when KVM does not.
  bool set_up_machine_checks(std::uint64_t capabilities) noexcept;
  // Raises one, unless the guest has disabled the bank (§4.107). A guest that cannot take it now ends in a
  // triple fault.
  bool inject_machine_check(const kvm_x86_mce& check) noexcept;

  // Of `msr_indices`, those that this vCPU has are saved.
  VcpuState save(std::span<const std::uint32_t> msr_indices) const;
  void restore(const VcpuState& state);

  // An NMI through the local APIC's LINT1 pin, if the guest lets it in (api.rst §4.64).
  void inject_nmi();
  // The physical address behind a virtual one, by the vCPU's page tables (api.rst §4.21).
  std::optional<GuestAddress> translate(std::uint64_t address) const;

  // As VirtualMachine::statistics().
  FileDescriptor statistics() const noexcept;

  // Tells the guest's watchdogs that it was not running (§4.71). A guest without a clock to tell is no error.
  void mark_paused() noexcept;
  // Moves the time stamp counter back by `cycles` (KVM_VCPU_TSC_OFFSET). False when the host cannot.
  bool rewind_time_stamp_counter(std::uint64_t cycles) noexcept;
  // Makes it read what the other's does. False when the host cannot.
  bool match_time_stamp_counter(const Vcpu& other) noexcept;

  std::uint32_t time_stamp_counter_khz() const noexcept;  // 0: not known
  // Registers, for messages about a crash. After a triple fault AMD hosts show those of a vCPU that was
  // reset.
  std::string describe() const noexcept;

 private:
  Exit decode() noexcept;
  std::optional<std::uint64_t> time_stamp_counter_offset() const noexcept;
  bool set_time_stamp_counter_offset(std::uint64_t offset) noexcept;

  FileDescriptor vcpu_;
  std::size_t mapping_size_ = 0;
  kvm_run* run_ = nullptr;  // shared with the kernel
  std::size_t xsave_size_ = sizeof(kvm_xsave);
  bool has_xsave2_ = false;
};

}  // namespace warren::vmm::kvm
