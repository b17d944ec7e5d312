// Hyper-V's interface as CPUID tells a guest of it (Hypervisor Top Level Functional Specification 6.0b, TLFS,
// §2.4), instead of KVM's own, which moves up (Linux Documentation/virt/kvm/x86/cpuid.rst).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

struct HypervConfiguration {
  std::string vendor = "Microsoft Hv";  // at most 12 bytes
  bool relaxed_timing = false;
  bool virtual_apic = false;
  bool reference_time = false;
  bool vcpu_index = false;
  bool vcpu_runtime = false;
  bool synthetic_interrupts = false;
  bool synthetic_timers = false;
  bool direct_timers = false;
  bool reset = false;
  bool frequencies = false;
  bool reenlightenment = false;
  bool tlb_flush = false;
  bool send_ipi = false;
  bool enlightened_vmcs = false;
  bool no_auto_eoi = false;
  std::optional<std::uint32_t> spinlock_retries;
};

// KVM looks for its own leaves here when Hyper-V's are where they usually are.
inline constexpr std::uint32_t kMovedKvmLeaves = 0x40000100;

// The MSR that says which vCPU one is (TLFS §7.8.1).
inline constexpr std::uint32_t kMsrHypervVcpuIndex = 0x40000002;

// Leaves 0x40000000 and up. `supported` is what KVM_GET_SUPPORTED_HV_CPUID says; throws Error naming the
// first thing of the configuration that is not in it.
std::vector<kvm_cpuid_entry2> make_hyperv_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                                const HypervConfiguration& configuration);

}  // namespace warren::vmm::machine
