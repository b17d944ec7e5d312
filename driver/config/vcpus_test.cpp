#include "driver/config/vcpus.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

VcpuCount vcpus(std::uint32_t maximum, std::uint32_t current) {
  return {.maximum = maximum, .current = current, .each = {}, .cpuset = {}};
}

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

std::string domain(const std::string& vcpu) {
  return fmt::format(
      "<domain "
      "type='kvm'><name>t</name><memory>131072</memory>{}<os><type>hvm</type><kernel>/k</kernel></os></"
      "domain>",
      vcpu);
}

TEST(Vcpus, WhatIsSaidOfEachIsWhatCounts) {
  const std::string text = domain(
      "<vcpu current='1'>4</vcpu><vcpus><vcpu id='0' enabled='yes' order='1'/>"
      "<vcpu id='1' enabled='no'/><vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/></vcpus>");
  const DomainDefinition definition = parse_domain(text, {.validate = true});
  EXPECT_THAT(online_vcpus(definition.vcpu), ElementsAre(0, 2));
  EXPECT_EQ(definition.vcpu.current, 2U);
  EXPECT_FALSE(is_hot_pluggable(definition.vcpu, 0));
  EXPECT_TRUE(is_hot_pluggable(definition.vcpu, 1));
  EXPECT_TRUE(is_hot_pluggable(definition.vcpu, 2));
  EXPECT_FALSE(is_hot_pluggable(definition.vcpu, 4));
  const std::string printed = format_domain(definition);
  EXPECT_THAT(printed, HasSubstr("<vcpu placement='static' current='2'>4</vcpu>"));
  EXPECT_THAT(printed, HasSubstr("<vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>"));
  EXPECT_THAT(printed, HasSubstr("<vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/>"));
  EXPECT_THAT(printed, HasSubstr("<vcpu id='3' enabled='no' hotpluggable='yes'/>"));
  EXPECT_EQ(parse_domain(printed, {.validate = true}), definition);
}

// T18: what makes no sense is refused by name.
TEST(Vcpus, T18WhatMakesNoSenseIsRefused) {
  const auto refused = [](const std::string& list) {
    return refusal([&] { parse_domain(domain("<vcpu>2</vcpu><vcpus>" + list + "</vcpus>")); });
  };
  EXPECT_THAT(refused("<vcpu id='1' enabled='yes'/>"), HasSubstr("vCPU 0 must be enabled"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='no'/>"), HasSubstr("vCPU 0 must be enabled"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='yes' hotpluggable='yes'/>"), HasSubstr("hot pluggable"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no' hotpluggable='no'/>"),
              HasSubstr("vCPU 1 is both offline and not hot pluggable"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='yes'/><vcpu id='0' enabled='yes'/>"), HasSubstr("twice"));
  EXPECT_THAT(refused("<vcpu id='2' enabled='yes'/>"), HasSubstr("id"));
  EXPECT_THAT(refused("<vcpu id='0'/>"), HasSubstr("enabled"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='yes' order='1'/><vcpu id='1' enabled='yes' order='1'/>"),
              HasSubstr("order 1"));
  EXPECT_THAT(refused("<vcpu id='0' enabled='yes' order='3'/>"), HasSubstr("order"));
}

TEST(Vcpus, ADefinitionsCountIsChangedFromTheEnds) {
  VcpuCount count = vcpus(6, 2);
  set_count(count, 3, false);
  EXPECT_EQ(count, vcpus(6, 3)) << "said in short";
  set_count(count, 4, true);
  EXPECT_THAT(online_vcpus(count), ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(is_hot_pluggable(count, 2));
  EXPECT_TRUE(is_hot_pluggable(count, 3));
  set_count(count, 5, false);
  EXPECT_TRUE(is_hot_pluggable(count, 4)) << "none that stays comes after one that goes";
  set_count(count, 1, false);
  EXPECT_EQ(count, vcpus(6, 1));
  set_states(count, *CpuSet::parse("3,5"), true);
  EXPECT_THAT(online_vcpus(count), ElementsAre(0, 3, 5));
  set_maximum(count, 4);
  EXPECT_THAT(online_vcpus(count), ElementsAre(0, 3));
  EXPECT_EQ(count.current, 2U);
}

TEST(Vcpus, StatesThatCannotBeAreRefusedAndChangeNothing) {
  const VcpuCount before = vcpus(4, 2);
  VcpuCount count = before;
  EXPECT_THAT(refusal([&] { set_states(count, *CpuSet::parse("3-4"), true); }), HasSubstr("vCPU 4"));
  EXPECT_THAT(refusal([&] { set_states(count, *CpuSet::parse("0"), false); }), HasSubstr("vCPU 0"));
  EXPECT_THAT(refusal([&] { set_states(count, *CpuSet::parse("1"), false); }),
              HasSubstr("not hot pluggable"));
  EXPECT_EQ(count, before);
  EXPECT_THAT(refusal([&] { choose_for_states(count, *CpuSet::parse("1"), true); }), HasSubstr("already"));
  EXPECT_THAT(refusal([&] { choose_for_states(count, *CpuSet::parse("1"), false); }), HasSubstr("removed"));
  EXPECT_THAT(refusal([&] { choose_for_states(count, *CpuSet::parse("9"), true); }), HasSubstr("vCPU 9"));
  EXPECT_THAT(refusal([&] { choose_for_count(count, 1); }), HasSubstr("cannot come down to 1"));
}

TEST(Vcpus, ARunningDomainGetsTheLowestAndLosesTheHighest) {
  VcpuCount count = vcpus(6, 2);
  assign_order(count);
  EXPECT_THAT(choose_for_count(count, 4), ElementsAre(2, 3));
  for (const std::uint32_t vcpu : {2u, 3u}) set_online(count, vcpu, true);
  EXPECT_EQ(count.each[3].order, 4U);
  EXPECT_EQ(count.current, 4U);
  EXPECT_THAT(choose_for_count(count, 3), ElementsAre(3));
  EXPECT_THAT(choose_for_count(count, 4), ElementsAre());
  // However often they come and go, no order is beyond how many there are.
  for (int i = 0; i < 20; ++i) {
    set_online(count, 2, false);
    set_online(count, 2, true);
  }
  EXPECT_EQ(count.each[2].order, 4U);
  EXPECT_EQ(count.each[3].order, 3U);
}

}  // namespace
}  // namespace warren::driver::config
