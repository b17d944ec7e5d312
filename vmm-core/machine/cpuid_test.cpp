#include "vmm-core/machine/cpuid.h"

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

TEST(Cpuid, TopologyOfSocketsDiesCoresAndThreads) {
  CpuConfiguration configuration;
  configuration.vcpus = 24;
  configuration.sockets = 2;
  configuration.dies = 2;
  configuration.cores = 3;
  configuration.threads = 2;
  // One bit of threads, two of cores, one of dies.
  EXPECT_EQ(apic_id(configuration, 0), 0u);
  EXPECT_EQ(apic_id(configuration, 1), 1u);
  EXPECT_EQ(apic_id(configuration, 2), 2u);
  EXPECT_EQ(apic_id(configuration, 6), 8u);
  EXPECT_EQ(apic_id(configuration, 12), 16u);
  kvm_cpuid_entry2 basic{};
  basic.eax = 0xd;
  kvm_cpuid_entry2 features{};
  features.function = 1;
  features.ecx = 1u << 27;
  const std::array supported = {basic, features};
  const auto entries = make_cpuid(supported, configuration, 13, 0);
  const auto find = [&](std::uint32_t leaf, std::uint32_t subleaf) {
    for (const auto& entry : entries) {
      if (entry.function == leaf && entry.index == subleaf) return entry;
    }
    return kvm_cpuid_entry2{};
  };
  EXPECT_EQ(find(1, 0).ebx >> 24, 17u);
  EXPECT_NE(find(1, 0).ecx & (1u << 31), 0u);
  EXPECT_EQ(find(1, 0).ecx & (1u << 27), 0u);
  EXPECT_EQ(find(0x1f, 0).edx, 17u);
  EXPECT_EQ(find(0x1f, 2).ecx >> 8 & 0xff, 5u);
  EXPECT_EQ(find(0x1f, 2).ebx, 12u);
  EXPECT_EQ(find(0xb, 1).eax, 4u);
  EXPECT_EQ(find(0, 0).eax, 0x1fu);
}

// An AMD guest that is told of no recovery panics for memory that only one of its programs uses.
TEST(Cpuid, AnAmdGuestIsToldThatItCanRecover) {
  for (const bool is_amd : {false, true}) {
    kvm_cpuid_entry2 basic{}, power{};
    basic.ebx = is_amd ? 0x68747541 : 0x756e6547;
    power.function = 0x80000007;
    power.edx = 1 << 8;
    CpuConfiguration configuration;
    const auto recovery = [&] {
      for (const auto& entry : make_cpuid(std::array{basic, power}, configuration, 0, 0))
        if (entry.function == power.function) return entry.ebx;
      return ~0u;
    };
    EXPECT_EQ(recovery(), is_amd ? 3u : 0u);
    configuration.masks.push_back({0x80000007, 0, {~0u, 0, ~0u, ~0u}, {}});
    EXPECT_EQ(recovery(), 0u) << "a domain can be without it";
  }
}

TEST(Cpuid, MasksTakeFeaturesAway) {
  CpuConfiguration configuration;
  configuration.masks.push_back({1, 0, {~0u, ~0u, ~(1u << 31), ~0u}, {}});
  configuration.vendor = "GenuineIntel";
  kvm_cpuid_entry2 features{};
  features.function = 1;
  const auto entries = make_cpuid(std::span(&features, 1), configuration, 0, 0);
  for (const auto& entry : entries) {
    if (entry.function == 1) {
      EXPECT_EQ(entry.ecx & (1u << 31), 0u) << "a domain can be without the hypervisor bit";
    }
    if (entry.function == 0) {
      EXPECT_EQ(entry.ebx, 0x756e6547u);
    }
  }
}

std::vector<kvm_cpuid_entry2> hyperv_of_linux() {
  kvm_cpuid_entry2 features{}, recommendations{}, limits{};
  features.function = 0x40000003;
  features.eax = 0x2aff;
  features.edx = 1u << 19 | 1u << 8;
  recommendations.function = 0x40000004;
  recommendations.eax = 0xe2c;
  limits.function = 0x40000005;
  limits.eax = 1024;
  limits.ebx = 64;
  return {features, recommendations, limits};
}

kvm_cpuid_entry2 leaf_of(const std::vector<kvm_cpuid_entry2>& leaves, std::uint32_t function) {
  for (const auto& leaf : leaves)
    if (leaf.function == function) return leaf;
  return {};
}

std::string signature_of(const kvm_cpuid_entry2& leaf) {
  std::string text(reinterpret_cast<const char*>(&leaf.ebx), 4);  // bytes of registers, as CPUID gives text
  text.append(reinterpret_cast<const char*>(&leaf.ecx), 4);
  return text.append(reinterpret_cast<const char*>(&leaf.edx), 4);
}

// TLFS §2.4
TEST(Cpuid, HypervSaysWhatItIsToldAndNothingElse) {
  const auto supported = hyperv_of_linux();
  auto leaves = make_hyperv_cpuid(supported, {});
  EXPECT_EQ(signature_of(leaf_of(leaves, 0x40000000)), "Microsoft Hv");
  EXPECT_EQ(leaf_of(leaves, 0x40000000).eax, 0x40000006U);
  EXPECT_EQ(leaf_of(leaves, 0x40000001).eax, 0x31237648U);
  EXPECT_EQ(leaf_of(leaves, 0x40000003).eax, 1U << 5) << "hypercalls";
  EXPECT_EQ(leaf_of(leaves, 0x40000004).eax, 0U);
  EXPECT_EQ(leaf_of(leaves, 0x40000004).ebx, 0xffffffffU);
  EXPECT_EQ(leaf_of(leaves, 0x40000005).ebx, 64U);
  HypervConfiguration all{.vendor = "KVM Hv",
                          .relaxed_timing = true,
                          .virtual_apic = true,
                          .reference_time = true,
                          .vcpu_index = true,
                          .vcpu_runtime = true,
                          .synthetic_interrupts = true,
                          .synthetic_timers = true,
                          .direct_timers = true,
                          .reset = true,
                          .frequencies = true,
                          .reenlightenment = true,
                          .tlb_flush = true,
                          .send_ipi = true,
                          .enlightened_vmcs = false,
                          .no_auto_eoi = true,
                          .spinlock_retries = 8191};
  leaves = make_hyperv_cpuid(supported, all);
  EXPECT_EQ(signature_of(leaf_of(leaves, 0x40000000)), std::string("KVM Hv\0\0\0\0\0\0", 12));
  EXPECT_EQ(leaf_of(leaves, 0x40000003).eax, 0x2affU);
  EXPECT_EQ(leaf_of(leaves, 0x40000003).edx, 1U << 19 | 1U << 8);
  EXPECT_EQ(leaf_of(leaves, 0x40000004).eax, 0xe2cU);
  EXPECT_EQ(leaf_of(leaves, 0x40000004).ebx, 8191U);
}

TEST(Cpuid, HypervThatTheHostLacksIsRefusedByName) {
  try {
    make_hyperv_cpuid(hyperv_of_linux(), {.enlightened_vmcs = true});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'evmcs'"), std::string::npos) << error.what();
  }
  EXPECT_THROW(make_hyperv_cpuid({}, {}), Error);
}

TEST(Cpuid, KvmsOwnLeavesMakeWayForHyperv) {
  kvm_cpuid_entry2 basic{}, signature{}, features{};
  signature.function = 0x40000000;
  signature.eax = 0x40000001;
  std::memcpy(&signature.ebx, "KVMK", 4);
  features.function = 0x40000001;
  features.eax = 0x01007efb;
  CpuConfiguration configuration;
  configuration.hyperv.emplace();
  auto leaves = make_cpuid(std::array{basic, signature, features}, configuration, 0, 2'000'000);
  add_hyperv(leaves, make_hyperv_cpuid(hyperv_of_linux(), *configuration.hyperv));
  EXPECT_EQ(signature_of(leaf_of(leaves, 0x40000000)), "Microsoft Hv");
  EXPECT_EQ(signature_of(leaf_of(leaves, 0x40000100)).substr(0, 4), "KVMK");
  EXPECT_EQ(leaf_of(leaves, 0x40000100).eax, 0x40000101U);
  EXPECT_EQ(leaf_of(leaves, 0x40000101).eax, 0x01007efbU);
  EXPECT_EQ(leaf_of(leaves, 0x40000010).function, 0U);
  std::size_t count = 0;
  for (const auto& leaf : leaves) count += leaf.function == 0x40000001 ? 1 : 0;
  EXPECT_EQ(count, 1U);
}

}  // namespace
}  // namespace warren::vmm::machine
