#include "driver/config/hyperv.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/config/host_facts.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

constexpr const char* kClock = "<clock offset='localtime'><timer name='hypervclock' present='yes'/></clock>";

std::string domain(const std::string& hyperv, const std::string& more = kClock) {
  return fmt::format(
      "<domain type='kvm'><name>t</name><memory>131072</memory><os><type>hvm</type><kernel>/k</kernel></os>"
      "<features>{}</features>{}</domain>",
      hyperv, more);
}

// What KVM of Linux 6.1 says without nesting.
HostFacts capable_host() {
  HostFacts facts;
  facts.hyperv_cpuid = {{.leaf = 0x40000003, .eax = 0x2aff, .ebx = 0x30, .edx = 1u << 19 | 1u << 8},
                        {.leaf = 0x40000004, .eax = 0xe2c, .ebx = 0xfff}};
  return facts;
}

std::string refusal(const std::string& text, const HostFacts& facts) {
  try {
    DomainDefinition definition = parse_domain(text, {.validate = true});
    fill_defaults(definition, facts);
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

constexpr const char* kWhole =
    "<hyperv mode='custom'><relaxed state='on'/><vapic state='on'/><spinlocks state='on' retries='8191'/>"
    "<vpindex state='on'/><runtime state='on'/><synic state='on'/>"
    "<stimer state='on'><direct state='on'/></stimer><reset state='on'/>"
    "<vendor_id state='on' value='KVM Hv'/><frequencies state='on'/><reenlightenment state='on'/>"
    "<tlbflush state='on'/><ipi state='on'/><evmcs state='off'/><avic state='on'/></hyperv>";

TEST(HypervTest, EverythingIsReadPrintedAndTaken) {
  const DomainDefinition definition = parse_domain(domain(kWhole), {.validate = true});
  ASSERT_TRUE(definition.features.hyperv);
  const Hyperv& hyperv = *definition.features.hyperv;
  EXPECT_TRUE(hyperv.has(HypervFeature::avic));
  EXPECT_FALSE(hyperv.has(HypervFeature::evmcs));
  EXPECT_EQ(hyperv.spinlock_retries, 8191U);
  EXPECT_EQ(hyperv.vendor_id, "KVM Hv");
  EXPECT_EQ(hyperv.direct_timers, true);
  const std::string printed = format_domain(definition);
  EXPECT_EQ(parse_domain(printed, {.validate = true}), definition);
  EXPECT_THAT(printed, HasSubstr("<spinlocks state='on' retries='8191'/>"));
  EXPECT_THAT(printed, HasSubstr("<evmcs state='off'/>"));
  EXPECT_EQ(refusal(domain(kWhole), capable_host()), "");
  EXPECT_EQ(refusal(domain("<hyperv mode='passthrough'/>"), capable_host()), "");
}

TEST(HypervTest, WhatTheHostLacksIsRefusedByName) {
  EXPECT_THAT(refusal(domain("<hyperv><relaxed state='on'/></hyperv>", ""), {}),
              HasSubstr("/domain/features/hyperv/relaxed"));
  EXPECT_THAT(refusal(domain("<hyperv mode='passthrough'/>", ""), {}), HasSubstr("/hyperv/@mode"));
  EXPECT_THAT(refusal(domain(""), {}), HasSubstr("hypervclock"));
  EXPECT_EQ(refusal(domain("<hyperv><relaxed state='off'/></hyperv>", ""), {}), "");
  EXPECT_THAT(refusal(domain("<hyperv><vapic state='on'/><evmcs state='on'/></hyperv>"), capable_host()),
              HasSubstr("/hyperv/evmcs"));
  for (std::size_t i = 0; i < kHypervFeatures; ++i) {
    const auto feature = static_cast<HypervFeature>(i);
    EXPECT_FALSE(host_has({}, feature)) << name_of(feature);
    EXPECT_EQ(host_has(capable_host(), feature), feature != HypervFeature::evmcs) << name_of(feature);
  }
}

TEST(HypervTest, WhatNeedsAnotherSaysSo) {
  const HostFacts facts = capable_host();
  EXPECT_THAT(refusal(domain("<hyperv><synic state='on'/></hyperv>"), facts), HasSubstr("<vpindex"));
  EXPECT_THAT(refusal(domain("<hyperv><ipi state='on'/></hyperv>"), facts), HasSubstr("<vpindex"));
  EXPECT_THAT(
      refusal(domain("<hyperv><vpindex state='on'/><synic state='on'/><stimer state='on'/></hyperv>", ""),
              facts),
      HasSubstr("hypervclock"));
  EXPECT_THAT(refusal(domain("<hyperv><stimer state='off'><direct state='on'/></stimer></hyperv>"), facts),
              HasSubstr("<stimer"));
}

// T18
TEST(HypervTest, T18NonsenseIsRefused) {
  const auto refused = [](const std::string& hyperv) {
    try {
      parse_domain(domain(hyperv));
    } catch (const Error& error) {
      return error.message();
    }
    return std::string();
  };
  EXPECT_THAT(refused("<hyperv mode='some'/>"), HasSubstr("mode"));
  EXPECT_THAT(refused("<hyperv><relaxed/></hyperv>"), HasSubstr("relaxed"));
  EXPECT_THAT(refused("<hyperv><wings state='on'/></hyperv>"), HasSubstr("wings"));
  EXPECT_THAT(refused("<hyperv mode='passthrough'><relaxed state='on'/></hyperv>"), HasSubstr("relaxed"));
  EXPECT_THAT(refused("<hyperv><spinlocks state='on'/></hyperv>"), HasSubstr("retries"));
  EXPECT_THAT(refused("<hyperv><spinlocks state='on' retries='17'/></hyperv>"), HasSubstr("retries"));
  EXPECT_THAT(refused("<hyperv><vendor_id state='on'/></hyperv>"), HasSubstr("value"));
  EXPECT_THAT(refused("<hyperv><vendor_id state='on' value='0123456789abc'/></hyperv>"), HasSubstr("value"));
  EXPECT_THAT(refused("<hyperv><vendor_id state='on' value='a,b'/></hyperv>"), HasSubstr("comma"));
}

}  // namespace
}  // namespace warren::driver::config
