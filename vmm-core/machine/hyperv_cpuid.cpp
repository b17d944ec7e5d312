#include "vmm-core/machine/hyperv_cpuid.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

// TLFS §2.4.1 to §2.4.11.
constexpr std::uint32_t kSignature = 0x40000000, kInterface = 0x40000001, kVersion = 0x40000002,
                        kFeatures = 0x40000003, kRecommendations = 0x40000004, kLimits = 0x40000005,
                        kHardware = 0x40000006, kNested = 0x4000000a;
constexpr std::uint32_t kInterfaceSignature = 0x31237648;  // "Hv#1"
// What guests take for a hypervisor of Windows Server 2016: build 14393, version 10.0.
constexpr std::uint32_t kBuild = 0x3839, kVersionNumber = 0x000a'0000;
constexpr std::uint32_t kHypercalls = 1 << 5;               // features EAX
constexpr std::uint32_t kExtendedProcessorMasks = 1 << 11;  // recommendations EAX
constexpr std::uint32_t kNeverNotify = 0xffff'ffff;         // of spinlock retries

kvm_cpuid_entry2 make_leaf(std::uint32_t function) {
  kvm_cpuid_entry2 leaf{};
  leaf.function = function;
  return leaf;
}

kvm_cpuid_entry2 find(std::span<const kvm_cpuid_entry2> supported, std::uint32_t function) {
  const auto found = std::ranges::find(supported, function, &kvm_cpuid_entry2::function);
  return found == supported.end() ? make_leaf(function) : *found;
}

kvm_cpuid_entry2 make_signature(const HypervConfiguration& configuration) {
  kvm_cpuid_entry2 leaf = make_leaf(kSignature);
  leaf.eax = configuration.enlightened_vmcs ? kNested : kHardware;
  std::array<char, 12> vendor{};  // padded with NULs
  std::copy_n(configuration.vendor.begin(), std::min(configuration.vendor.size(), vendor.size()),
              vendor.begin());
  std::memcpy(&leaf.ebx, vendor.data(), 4);
  std::memcpy(&leaf.ecx, vendor.data() + 4, 4);
  std::memcpy(&leaf.edx, vendor.data() + 8, 4);
  return leaf;
}

struct Bit {
  bool HypervConfiguration::* wanted;
  const char* name;  // libvirt's
  std::uint32_t leaf;
  std::uint32_t kvm_cpuid_entry2::* where;
  std::uint32_t mask;
};

constexpr Bit kBits[] = {
    {&HypervConfiguration::vcpu_runtime, "runtime", kFeatures, &kvm_cpuid_entry2::eax, 1 << 0},
    {&HypervConfiguration::reference_time, "hypervclock", kFeatures, &kvm_cpuid_entry2::eax, 1 << 1 | 1 << 9},
    {&HypervConfiguration::synthetic_interrupts, "synic", kFeatures, &kvm_cpuid_entry2::eax, 1 << 2},
    {&HypervConfiguration::synthetic_timers, "stimer", kFeatures, &kvm_cpuid_entry2::eax, 1 << 3},
    {&HypervConfiguration::virtual_apic, "vapic", kFeatures, &kvm_cpuid_entry2::eax, 1 << 4},
    {&HypervConfiguration::vcpu_index, "vpindex", kFeatures, &kvm_cpuid_entry2::eax, 1 << 6},
    {&HypervConfiguration::reset, "reset", kFeatures, &kvm_cpuid_entry2::eax, 1 << 7},
    {&HypervConfiguration::frequencies, "frequencies", kFeatures, &kvm_cpuid_entry2::eax, 1 << 11},
    {&HypervConfiguration::reenlightenment, "reenlightenment", kFeatures, &kvm_cpuid_entry2::eax, 1 << 13},
    {&HypervConfiguration::frequencies, "frequencies", kFeatures, &kvm_cpuid_entry2::edx, 1 << 8},
    {&HypervConfiguration::direct_timers, "direct", kFeatures, &kvm_cpuid_entry2::edx, 1 << 19},
    {&HypervConfiguration::tlb_flush, "tlbflush", kRecommendations, &kvm_cpuid_entry2::eax,
     1 << 2 | kExtendedProcessorMasks},
    {&HypervConfiguration::virtual_apic, "vapic", kRecommendations, &kvm_cpuid_entry2::eax, 1 << 3},
    {&HypervConfiguration::relaxed_timing, "relaxed", kRecommendations, &kvm_cpuid_entry2::eax, 1 << 5},
    {&HypervConfiguration::no_auto_eoi, "avic", kRecommendations, &kvm_cpuid_entry2::eax, 1 << 9},
    {&HypervConfiguration::send_ipi, "ipi", kRecommendations, &kvm_cpuid_entry2::eax,
     1 << 10 | kExtendedProcessorMasks},
    {&HypervConfiguration::enlightened_vmcs, "evmcs", kRecommendations, &kvm_cpuid_entry2::eax, 1 << 14},
};

}  // namespace

std::vector<kvm_cpuid_entry2> make_hyperv_cpuid(std::span<const kvm_cpuid_entry2> supported,
                                                const HypervConfiguration& configuration) {
  if (supported.empty()) throw Error(std::errc::not_supported, "KVM: the host has no Hyper-V interface");
  kvm_cpuid_entry2 interface = make_leaf(kInterface), version = make_leaf(kVersion);
  interface.eax = kInterfaceSignature;
  version.eax = kBuild;
  version.ebx = kVersionNumber;
  kvm_cpuid_entry2 features = make_leaf(kFeatures), recommendations = make_leaf(kRecommendations);
  features.eax = kHypercalls;
  recommendations.ebx = configuration.spinlock_retries.value_or(kNeverNotify);
  for (const Bit& bit : kBits) {
    if (!(configuration.*bit.wanted)) continue;
    if ((find(supported, bit.leaf).*bit.where & bit.mask) != bit.mask) {
      throw Error(std::errc::not_supported,
                  std::string("KVM: the host lacks the Hyper-V feature '") + bit.name + "'");
    }
    // Of the conditional itself g++ 12 would change a copy.
    kvm_cpuid_entry2& leaf = bit.leaf == kFeatures ? features : recommendations;
    leaf.*bit.where |= bit.mask;
  }
  std::vector<kvm_cpuid_entry2> leaves = {
      make_signature(configuration), interface,           version, features, recommendations,
      find(supported, kLimits),      make_leaf(kHardware)};
  if (configuration.enlightened_vmcs) leaves.push_back(find(supported, kNested));
  return leaves;
}

}  // namespace warren::vmm::machine
