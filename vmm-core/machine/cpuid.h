// What CPUID answers in each vCPU (Intel SDM 2A CPUID, AMD APM 3 appendix E, Linux
// Documentation/virt/kvm/x86/cpuid.rst).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/machine/hyperv_cpuid.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

// The guest sees (host & keep) | set in one leaf, registers EAX to EDX in order.
struct CpuidMask {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  std::uint32_t keep[4] = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
  std::uint32_t set[4] = {0, 0, 0, 0};
};

struct CpuConfiguration {
  std::uint32_t vcpus = 1;                   // how many there can be
  std::vector<std::uint32_t> hot_pluggable;  // those that come and go; never 0
  std::vector<std::uint32_t> absent;         // of these, those that are not there at the start
  std::uint32_t sockets = 1, dies = 1, cores = 1, threads = 1;  // their product has room for all vCPUs
  std::optional<std::string> vendor;                            // 12 bytes
  std::optional<std::uint32_t> signature;                       // leaf 1 EAX
  std::optional<std::string> brand;                             // at most 47 bytes
  std::vector<CpuidMask> masks;
  std::optional<HypervConfiguration> hyperv;
};

// The APIC id of a vCPU: thread, core, die and socket numbers side by side, each in as many bits as it needs
// (SDM 3A §9.9.3), so that the topology leaves describe it.
std::uint32_t apic_id(const CpuConfiguration& configuration, std::uint32_t vcpu) noexcept;

// Whether a vendor, as register EBX of leaf 0 begins its name, makes CPUs by AMD's manuals.
bool is_amd(std::uint32_t leaf0_ebx) noexcept;

// The leaves of one vCPU from what KVM supports. `tsc_khz` 0 when not known.
std::vector<kvm_cpuid_entry2> make_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                         const CpuConfiguration& configuration, std::uint32_t vcpu,
                                         std::uint32_t tsc_khz);

// Puts those of make_hyperv_cpuid() in the place of KVM's, which move to kMovedKvmLeaves.
void add_hyperv(std::vector<kvm_cpuid_entry2>& leaves, std::span<const kvm_cpuid_entry2> hyperv);

}  // namespace warren::vmm::machine
