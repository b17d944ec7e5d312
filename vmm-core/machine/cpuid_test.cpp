#include "vmm-core/machine/cpuid.h"

#include <array>
#include <span>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace warren::vmm::machine
