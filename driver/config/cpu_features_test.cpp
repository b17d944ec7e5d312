// CPUID bits by name, models, and what <cpu> becomes for the worker.
#include "driver/config/cpu_features.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

// A host of the given vendor that has the given features and no others.
HostFacts host(std::string_view vendor, const std::vector<std::string_view>& features,
               std::uint32_t signature = 0) {
  HostFacts facts;
  CpuidLeaf leaf{.leaf = 0};
  std::memcpy(&leaf.ebx, vendor.data(), 4);
  std::memcpy(&leaf.edx, vendor.data() + 4, 4);
  std::memcpy(&leaf.ecx, vendor.data() + 8, 4);
  facts.kvm_cpuid.push_back(leaf);
  facts.kvm_cpuid.push_back({.leaf = 1, .eax = signature});
  for (const std::string_view name : features) {
    const CpuFeatureBit& bit = *find_cpu_feature(name);
    auto found = std::find_if(facts.kvm_cpuid.begin(), facts.kvm_cpuid.end(), [&](const CpuidLeaf& entry) {
      return entry.leaf == bit.leaf && entry.subleaf == bit.subleaf;
    });
    if (found == facts.kvm_cpuid.end())
      found = facts.kvm_cpuid.insert(facts.kvm_cpuid.end(), {.leaf = bit.leaf, .subleaf = bit.subleaf});
    std::uint32_t* const registers[] = {&found->eax, &found->ebx, &found->ecx, &found->edx};
    *registers[static_cast<int>(bit.output)] |= 1u << bit.bit;
  }
  facts.host_cpuid = facts.kvm_cpuid;
  return facts;
}

// Whether a guest of this host sees the feature under the masks, which are applied in their order.
bool guest_sees(const HostFacts& facts, const GuestCpu& guest, std::string_view name) {
  const CpuFeatureBit& bit = *find_cpu_feature(name);
  bool value = has_cpu_feature(facts.kvm_cpuid, bit);
  for (const CpuidMask& mask : guest.masks) {
    if (mask.leaf != bit.leaf || mask.subleaf != bit.subleaf) continue;
    const std::uint32_t keep[] = {mask.keep_eax, mask.keep_ebx, mask.keep_ecx, mask.keep_edx};
    const std::uint32_t set[] = {mask.set_eax, mask.set_ebx, mask.set_ecx, mask.set_edx};
    const int output = static_cast<int>(bit.output);
    value = (value && (keep[output] >> bit.bit & 1) != 0) || (set[output] >> bit.bit & 1) != 0;
  }
  return value;
}

TEST(CpuFeatures, TablesAreOrderedAndConsistent) {
  const auto table = cpu_features();
  std::set<std::tuple<std::uint32_t, std::uint32_t, int, int>> bits;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(table[i - 1].name, table[i].name);
    }
    EXPECT_LT(table[i].bit, 32);
    bits.emplace(table[i].leaf, table[i].subleaf, static_cast<int>(table[i].output), table[i].bit);
  }
  for (const CpuModel& model : cpu_models()) {
    EXPECT_GE(model_features(model).size(), 3u) << model.name;  // a 486 has as few
    for (const std::string_view name : model_features(model)) EXPECT_TRUE(find_cpu_feature(name)) << name;
  }
  EXPECT_EQ(find_cpu_feature("no-such"), nullptr);
  EXPECT_EQ(find_cpu_model("no-such"), nullptr);
}

// Values of the Intel SDM volume 2A (CPUID) and the AMD APM volume 3, appendix E.
TEST(CpuFeatures, KnownBits) {
  const auto is = [](std::string_view name, std::uint32_t leaf, CpuidRegister output, int bit) {
    const CpuFeatureBit* found = find_cpu_feature(name);
    return found && found->leaf == leaf && found->output == output && found->bit == bit;
  };
  EXPECT_TRUE(is("sse2", 1, CpuidRegister::edx, 26));
  EXPECT_TRUE(is("avx", 1, CpuidRegister::ecx, 28));
  EXPECT_TRUE(is("avx2", 7, CpuidRegister::ebx, 5));
  EXPECT_TRUE(is("nx", 0x80000001, CpuidRegister::edx, 20));
  EXPECT_TRUE(is("lm", 0x80000001, CpuidRegister::edx, 29));
  EXPECT_TRUE(is("invtsc", 0x80000007, CpuidRegister::edx, 8));
}

TEST(ResolveGuestCpu, PassthroughIsOpenButForTheClockThatCannotMove) {
  const HostFacts facts = host("AuthenticAMD", {"avx2", "invtsc", "lm"});
  for (const CpuMode mode : {CpuMode::host_passthrough, CpuMode::maximum}) {
    Cpu cpu{.mode = mode};
    GuestCpu guest = resolve_guest_cpu(cpu, facts);
    EXPECT_TRUE(guest_sees(facts, guest, "avx2"));
    EXPECT_FALSE(guest_sees(facts, guest, "invtsc"));
    EXPECT_FALSE(guest.signature);
    cpu.migratable = false;
    guest = resolve_guest_cpu(cpu, facts);
    EXPECT_TRUE(guest_sees(facts, guest, "invtsc"));
    for (const CpuidMask& mask : guest.masks)
      EXPECT_EQ(mask, (CpuidMask{.leaf = mask.leaf, .subleaf = mask.subleaf}));
  }
}

TEST(ResolveGuestCpu, NamedModelIsAMask) {
  auto features = model_features(*find_cpu_model("kvm64"));
  features.insert(features.end(), {"avx2", "x2apic", "hypervisor"});
  const HostFacts facts = host("GenuineIntel", features);
  const GuestCpu guest = resolve_guest_cpu({.mode = CpuMode::custom, .model = "kvm64"}, facts);
  EXPECT_TRUE(guest_sees(facts, guest, "sse2"));
  EXPECT_FALSE(guest_sees(facts, guest, "avx2"));
  EXPECT_TRUE(guest_sees(facts, guest, "x2apic"));
  EXPECT_TRUE(guest_sees(facts, guest, "hypervisor"));
}

TEST(ResolveGuestCpu, Policies) {
  auto features = model_features(*find_cpu_model("kvm64"));
  features.push_back("avx2");
  const HostFacts facts = host("GenuineIntel", features);
  Cpu cpu{.mode = CpuMode::custom, .model = "kvm64"};
  cpu.features = {{"avx2", CpuFeaturePolicy::require},
                  {"pni", CpuFeaturePolicy::disable},
                  {"sha-ni", CpuFeaturePolicy::force},
                  {"avx512f", CpuFeaturePolicy::optional},
                  {"gfni", CpuFeaturePolicy::forbid}};
  const GuestCpu guest = resolve_guest_cpu(cpu, facts);
  EXPECT_TRUE(guest_sees(facts, guest, "avx2"));
  EXPECT_FALSE(guest_sees(facts, guest, "pni"));
  EXPECT_TRUE(guest_sees(facts, guest, "sha-ni"));
  EXPECT_FALSE(guest_sees(facts, guest, "avx512f"));
}

std::string refusal(const Cpu& cpu, const HostFacts& facts) {
  try {
    resolve_guest_cpu(cpu, facts);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED);
    return error.message();
  }
  return "accepted";
}

TEST(ResolveGuestCpu, WhatTheHostLacksIsNamed) {
  const HostFacts facts = host("GenuineIntel", {"lm", "avx2"});
  EXPECT_THAT(refusal({.mode = CpuMode::custom, .model = "kvm64"}, facts), HasSubstr("cx16, cx8"));
  Cpu cpu{.mode = CpuMode::host_passthrough};
  cpu.features = {{"avx512f", CpuFeaturePolicy::require}};
  EXPECT_THAT(refusal(cpu, facts), HasSubstr("avx512f"));
  cpu.features = {{"avx2", CpuFeaturePolicy::forbid}};
  EXPECT_THAT(refusal(cpu, facts), HasSubstr("forbidden features: avx2"));
  cpu = {.mode = CpuMode::custom, .check = CpuCheck::none, .model = "kvm64"};
  EXPECT_EQ(refusal(cpu, facts), "accepted");
  cpu.vendor = "AMD";
  EXPECT_THAT(refusal(cpu, facts), HasSubstr("of Intel, not of AMD"));
}

TEST(ResolveGuestCpu, StrictAndMinimum) {
  auto features = model_features(*find_cpu_model("kvm64"));
  features.push_back("avx2");
  const HostFacts facts = host("GenuineIntel", features);
  Cpu cpu{.mode = CpuMode::custom, .match = CpuMatch::strict, .model = "kvm64"};
  EXPECT_THAT(refusal(cpu, facts), HasSubstr("avx2"));
  cpu.match = CpuMatch::minimum;
  EXPECT_TRUE(guest_sees(facts, resolve_guest_cpu(cpu, facts), "avx2"));
}

TEST(ResolveGuestCpu, SignatureOnlyUnderItsOwnVendor) {
  const CpuModel& epyc = *find_cpu_model("EPYC");
  const auto features = model_features(epyc);
  EXPECT_EQ(
      resolve_guest_cpu({.mode = CpuMode::custom, .model = "EPYC"}, host("AuthenticAMD", features)).signature,
      epyc.signature);
  EXPECT_FALSE(resolve_guest_cpu({.mode = CpuMode::custom, .model = "EPYC"}, host("GenuineIntel", features))
                   .signature);
  EXPECT_EQ(epyc.signature, 0x800f10u);  // family 23, model 1
}

TEST(ResolveGuestCpu, KvmclockCanBeTakenAway) {
  const GuestCpu guest =
      resolve_guest_cpu({.mode = CpuMode::host_passthrough}, host("AuthenticAMD", {}), false);
  EXPECT_EQ(guest.masks.back().leaf, 0x40000001u);
  EXPECT_EQ(guest.masks.back().keep_eax, ~0x01000009u);
}

TEST(DescribeHostCpu, NameBySignatureElseByFeatures) {
  const CpuModel& rome = *find_cpu_model("EPYC-Rome");
  auto features = model_features(rome);
  features.push_back("avx512f");
  HostCpuModel model = describe_host_cpu(host("AuthenticAMD", features, rome.signature).kvm_cpuid, true);
  EXPECT_EQ(model.name, "EPYC-Rome");
  EXPECT_EQ(model.vendor, "AMD");
  ASSERT_EQ(model.features.size(), 1u);
  EXPECT_EQ(model.features[0], (CpuFeature{"avx512f", CpuFeaturePolicy::require}));

  std::erase(features, "sse4a");
  model = describe_host_cpu(host("AuthenticAMD", features, rome.signature).kvm_cpuid, false);
  EXPECT_EQ(model.name, "EPYC-Rome");
  EXPECT_THAT(model.features, testing::Contains(CpuFeature{"sse4a", CpuFeaturePolicy::disable}));
  EXPECT_NE(describe_host_cpu(host("AuthenticAMD", features, rome.signature).kvm_cpuid, true).name,
            "EPYC-Rome");
  EXPECT_EQ(describe_host_cpu({}, true).name, "");
}

// A CPU of today that lacks something old is not taken for one that never had it.
TEST(ClosestModel, IsTheOneThatLeavesLeastToBeSaid) {
  CpuToName cpu{.features = cpu_features_of(*find_cpu_model("EPYC")), .vendor = "AMD"};
  EXPECT_EQ(closest_cpu_model(cpu, false).name, "EPYC");
  cpu.features.reset(cpu_feature_position(*find_cpu_feature("vme")));
  cpu.features.reset(cpu_feature_position(*find_cpu_feature("de")));
  const HostCpuModel named = closest_cpu_model(cpu, false);
  EXPECT_EQ(named.name, "EPYC");
  EXPECT_EQ(named.features,
            (std::vector<CpuFeature>{{"de", CpuFeaturePolicy::disable}, {"vme", CpuFeaturePolicy::disable}}));
  EXPECT_NE(closest_cpu_model(cpu, true).name, "EPYC");
  cpu.preferred = "486";
  EXPECT_EQ(closest_cpu_model(cpu, true).name, "486");
}

}  // namespace
}  // namespace warren::driver::config
