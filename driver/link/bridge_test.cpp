#include "driver/link/bridge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/link/bridge_port.h"
#include "driver/link/link.h"
#include "driver/link/link_fixture.h"

namespace warren::driver::link {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr config::MacAddress kMac{0x52, 0x54, 0, 0, 0, 7};

using BridgeTest = LinkTest;

bool filters_vlans() {
  const bool it_does = succeeds("ip link add probe0 type bridge vlan_filtering 1");
  if (it_does) said("ip link delete probe0");
  return it_does;
}

TEST_F(BridgeTest, IsMadeAsAsked) {
  create_bridge({.name = "virbr0", .mac = kMac, .stp = true, .delay_s = 4, .mtu = 1400});
  const auto link = link_json("virbr0");
  EXPECT_EQ(link.at("address").as_string(), "52:54:00:00:00:07");
  EXPECT_EQ(link.at("mtu").as_int64(), 1400);
  const auto& data = link.at("linkinfo").at("info_data").as_object();
  EXPECT_EQ(data.at("stp_state").as_int64(), 1);
  EXPECT_EQ(data.at("forward_delay").as_int64(), 400);
  const auto bridge = read_bridge("virbr0");
  ASSERT_TRUE(bridge);
  EXPECT_TRUE(bridge->stp);
  EXPECT_EQ(bridge->delay_centiseconds, 400U);
  EXPECT_FALSE(require_link("virbr0").up);
  set_up("virbr0");
  EXPECT_TRUE(require_link("virbr0").up);
}

TEST_F(BridgeTest, WithStpAndNoDelayHasTheLeastThatTheKernelTakes) {
  create_bridge({.name = "virbr0", .stp = true, .delay_s = 0});
  EXPECT_EQ(read_bridge("virbr0")->delay_centiseconds, 200U);
}

TEST_F(BridgeTest, KeepsItsMtuWhenPortsCome) {
  create_bridge({.name = "virbr0", .mtu = 9000});
  said("ip link add v0 type veth peer name v1");
  add_port("virbr0", "v0");
  EXPECT_EQ(require_link("virbr0").mtu, 9000U);
}

TEST_F(BridgeTest, NeverTakesOverALink) {
  said("ip link add virbr0 type veth peer name v1");
  EXPECT_THAT(refusal([] { create_bridge({.name = "virbr0"}); }),
              HasSubstr("bridge virbr0: a link of that name exists already"));
  EXPECT_FALSE(is_bridge("virbr0"));
  EXPECT_THAT(refusal([] { delete_bridge("virbr0"); }), HasSubstr("no bridge"));
  EXPECT_TRUE(exists("virbr0"));
}

TEST_F(BridgeTest, WithAnMtuThatCannotBeIsNotLeftBehind) {
  EXPECT_THAT(refusal([] { create_bridge({.name = "virbr0", .mtu = 7}); }), HasSubstr("set the MTU to 7"));
  EXPECT_FALSE(exists("virbr0"));
}

TEST_F(BridgeTest, ChangesAndGoes) {
  create_bridge({.name = "virbr0", .mac = kMac});
  change_bridge({.name = "virbr0", .stp = true, .delay_s = 5});
  const auto bridge = read_bridge("virbr0");
  EXPECT_TRUE(bridge->stp);
  EXPECT_EQ(bridge->delay_centiseconds, 500U);
  EXPECT_EQ(require_link("virbr0").mac, kMac);
  delete_bridge("virbr0");
  EXPECT_FALSE(exists("virbr0"));
  delete_bridge("virbr0");
}

TEST_F(BridgeTest, RefusesWhatCannotBeAName) {
  for (const char* name : {"", "a/b", "..", "0123456789abcdef", "a b", "a:1"})
    EXPECT_THAT(refusal([&] { create_bridge({.name = name}); }), HasSubstr("cannot be the name")) << name;
}

TEST_F(BridgeTest, HasPorts) {
  create_bridge({.name = "virbr0"});
  create_bridge({.name = "virbr1"});
  said("ip link add v0 type veth peer name v1");
  add_port("virbr0", "v1");
  add_port("virbr0", "v0");
  EXPECT_THAT(read_bridge("virbr0")->ports, ElementsAre("v1", "v0"));
  add_port("virbr1", "v0");
  EXPECT_THAT(read_bridge("virbr0")->ports, ElementsAre("v1"));
  remove_port("v0");
  remove_port("v0");
  EXPECT_TRUE(read_bridge("virbr1")->ports.empty());
  EXPECT_THAT(refusal([] { add_port("missing", "v0"); }), HasSubstr("there is no bridge 'missing'; make it"));
  EXPECT_THAT(refusal([] { add_port("v1", "v0"); }), HasSubstr("there is no bridge 'v1'"));
  EXPECT_THAT(refusal([] { add_port("virbr0", "missing"); }), HasSubstr("no link 'missing'"));
}

TEST_F(BridgeTest, IsolatedPortsTalkToTheOthersAlone) {
  create_bridge({.name = "virbr0"});
  set_up("virbr0");
  add_address("virbr0", {ip("10.9.0.1"), 24});
  Host one, two, three;
  one.connect("one", "10.9.0.2/24");
  two.connect("two", "10.9.0.3/24");
  three.connect("three", "10.9.0.4/24");
  for (const char* port : {"one", "two", "three"}) add_port("virbr0", port);
  EXPECT_TRUE(one.reaches("10.9.0.3"));
  set_port_flags("one", {.isolated = true});
  set_port_flags("two", {.isolated = true});
  EXPECT_FALSE(one.reaches("10.9.0.3"));
  EXPECT_TRUE(one.reaches("10.9.0.4"));
  EXPECT_TRUE(one.reaches("10.9.0.1"));
  set_port_flags("two", {.isolated = false});
  EXPECT_TRUE(one.reaches("10.9.0.3"));
}

TEST_F(BridgeTest, SendsToFixedAddressesWithoutLearning) {
  create_bridge({.name = "virbr0"});
  set_up("virbr0");
  Host one, two;
  one.connect("one", "10.9.0.2/24", "52:54:00:00:00:01");
  two.connect("two", "10.9.0.3/24", "52:54:00:00:00:02");
  for (const char* port : {"one", "two"}) {
    add_port("virbr0", port);
    set_port_flags(port, {.learning = false, .unicast_flood = false, .hairpin = false});
  }
  EXPECT_FALSE(one.reaches("10.9.0.3"));
  const config::MacAddress first{0x52, 0x54, 0, 0, 0, 1}, second{0x52, 0x54, 0, 0, 0, 2};
  add_static_address("one", first);
  add_static_address("two", second);
  add_static_address("two", second);
  EXPECT_TRUE(one.reaches("10.9.0.3"));
  remove_static_address("two", second);
  remove_static_address("two", second);
  EXPECT_FALSE(one.reaches("10.9.0.3"));
}

TEST_F(BridgeTest, RefusesVlansThatWouldPartNobody) {
  create_bridge({.name = "virbr0"});
  said("ip link add v0 type veth peer name v1");
  EXPECT_THAT(refusal([] { set_port_vlans("v0", {.tags = {5}}); }), HasSubstr("no port of a bridge"));
  add_port("virbr0", "v0");
  EXPECT_THAT(refusal([] { set_port_vlans("v0", {.tags = {5}}); }),
              HasSubstr("bridge 'virbr0' does not tell VLANs apart"));
  EXPECT_THAT(refusal([] { set_port_vlans("v0", {.tags = {4095}}); }),
              HasSubstr("VLANs 1 to 4094, not 4095"));
}

// The kernel can be built without it; then it is refused by name.
TEST_F(BridgeTest, TellsVlansApart) {
  if (!filters_vlans()) {
    EXPECT_THAT(refusal([] { create_bridge({.name = "virbr0", .vlan_filtering = true}); }),
                HasSubstr("CONFIG_BRIDGE_VLAN_FILTERING"));
    EXPECT_FALSE(exists("virbr0"));
    return;
  }
  create_bridge({.name = "virbr0", .vlan_filtering = true});
  set_up("virbr0");
  Host one, two;
  one.connect("one", "10.9.0.2/24");
  two.connect("two", "10.9.0.3/24");
  add_port("virbr0", "one");
  add_port("virbr0", "two");
  set_port_vlans("one", {.tags = {5}});
  set_port_vlans("two", {.tags = {6}});
  EXPECT_FALSE(one.reaches("10.9.0.3"));
  set_port_vlans("two", {.tags = {5}});
  EXPECT_TRUE(one.reaches("10.9.0.3"));
  const config::Vlan trunk{
      .trunk = true, .tags = {5, 7}, .native_mode = config::NativeVlanMode::untagged, .native_tag = 5};
  set_port_vlans("two", trunk);
  EXPECT_TRUE(one.reaches("10.9.0.3"));
  EXPECT_EQ(said("bridge -j vlan show dev two"),
            "[{\"ifname\":\"two\",\"vlans\":[{\"vlan\":5,\"flags\":[\"PVID\",\"Egress "
            "Untagged\"]},{\"vlan\":7}]}]\n");
}

}  // namespace
}  // namespace warren::driver::link
