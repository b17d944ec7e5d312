#include "driver/link/tap.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/link/bridge.h"
#include "driver/link/link.h"
#include "driver/link/link_details.h"
#include "driver/link/link_fixture.h"
#include "driver/link/macvtap.h"

namespace warren::driver::link {
namespace {

using testing::HasSubstr;

constexpr config::MacAddress kGuest{0x52, 0x54, 0, 0x12, 0x34, 0x56};

using TapTest = LinkTest;
using MacvtapTest = LinkTest;

TEST_F(TapTest, LivesAsLongAsItIsOpen) {
  {
    const Tap tap = open_tap({.guest_mac = kGuest, .mtu = 1400});
    EXPECT_EQ(tap.name, "vnet0");
    const Link link = require_link("vnet0");
    EXPECT_TRUE(link.up);
    EXPECT_EQ(link.mtu, 1400U);
    EXPECT_EQ(link.mac, (config::MacAddress{0xfe, 0x54, 0, 0x12, 0x34, 0x56}));
    EXPECT_EQ(open_tap({}).name, "vnet1");
    EXPECT_EQ(open_tap({.name = "guest%d"}).name, "guest0");
  }
  EXPECT_FALSE(exists("vnet0"));
}

TEST_F(TapTest, WhatTheGuestHasSentIsReceived) {
  const Tap tap = open_tap({.name = "counted", .vnet_header = false});
  std::array<char, 60> frame{};
  frame[0] = 0x02;
  const Traffic before = read_traffic("counted").value();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(::write(tap.queues[0].get(), frame.data(), frame.size()), 60);
  const Traffic after = read_traffic("counted").value();
  EXPECT_EQ(after.received_packets, before.received_packets + 3);
  EXPECT_GE(after.received_bytes, before.received_bytes + 3 * 46);
  EXPECT_FALSE(read_traffic("nobody"));
}

TEST_F(TapTest, HasAQueueForEachPair) {
  const Tap tap = open_tap({.name = "many", .queues = 4});
  EXPECT_EQ(tap.queues.size(), 4U);
  EXPECT_EQ(link_json("many").at("linkinfo").at("info_data").at("multi_queue").as_bool(), true);
  EXPECT_EQ(link_json("many").at("linkinfo").at("info_data").at("vnet_hdr").as_bool(), true);
  const Tap plain = open_tap({.name = "plain", .vnet_header = false});
  EXPECT_EQ(link_json("plain").at("linkinfo").at("info_data").at("vnet_hdr").as_bool(), false);
}

TEST_F(TapTest, IsPutIntoItsBridgeAsAsked) {
  create_bridge({.name = "br0"});
  const Tap tap = open_tap(
      {.guest_mac = kGuest, .bridge = "br0", .port = {.isolated = true}, .fixed_address = true, .up = false});
  EXPECT_FALSE(require_link(tap.name).up);
  const auto port = link_json(tap.name).at("linkinfo").at("info_slave_data").as_object();
  EXPECT_TRUE(port.at("isolated").as_bool());
  EXPECT_FALSE(port.at("learning").as_bool());
  EXPECT_FALSE(port.at("flood").as_bool());
  EXPECT_THAT(said("bridge fdb show dev " + tap.name), HasSubstr("52:54:00:12:34:56 master br0 static"));
}

TEST_F(TapTest, IsNotLeftBehindWithoutItsBridge) {
  EXPECT_THAT(refusal([] { (void)open_tap({.bridge = "missing"}); }),
              HasSubstr("interface vnet0: there is no bridge 'missing'; make it"));
  EXPECT_FALSE(exists("vnet0"));
}

TEST_F(TapTest, OfSomebodyElseStaysAsItIs) {
  EXPECT_THAT(refusal([] { (void)open_tap({.name = "theirs", .ours = false}); }),
              HasSubstr("interface 'theirs' does not exist, and <target managed='no'/>"));
  said("ip tuntap add theirs mode tap vnet_hdr; ip link set theirs mtu 1234");
  {
    const Tap tap = open_tap({.name = "theirs", .ours = false, .guest_mac = kGuest, .mtu = 1400});
    const Link link = require_link("theirs");
    EXPECT_EQ(link.mtu, 1234U);
    EXPECT_NE(link.mac, (config::MacAddress{0xfe, 0x54, 0, 0x12, 0x34, 0x56}));
    EXPECT_FALSE(link.up);
    EXPECT_THAT(refusal([] { (void)open_tap({.name = "theirs"}); }), HasSubstr("in use already"));
  }
  EXPECT_TRUE(exists("theirs"));
}

TEST_F(TapTest, RefusesNamesThatAreTooLong) {
  EXPECT_THAT(refusal([] { (void)open_tap({.name = "0123456789abcdef"}); }), HasSubstr("longer than 15"));
}

TEST_F(MacvtapTest, CarriesTheGuestsFrames) {
  Host other;
  other.connect("up0", "10.5.0.2/24");
  const Macvtap macvtap = create_macvtap({.device = "up0",
                                          .mode = config::MacvtapMode::bridge,
                                          .guest_mac = kGuest,
                                          .mtu = 1400,
                                          .queues = 2,
                                          .vnet_header = false});
  EXPECT_EQ(macvtap.name, "macvtap0");
  EXPECT_EQ(macvtap.queues.size(), 2U);
  const Link link = require_link("macvtap0");
  EXPECT_EQ(link.mac, kGuest);
  EXPECT_EQ(link.mtu, 1400U);
  EXPECT_TRUE(link.up);
  EXPECT_EQ(link_json("macvtap0").at("linkinfo").at("info_data").at("mode").as_string(), "bridge");
  // A broadcast of the other host comes in by one of the queues.
  EXPECT_FALSE(other.reaches("10.5.0.9"));
  std::array<pollfd, 2> waits{pollfd{.fd = macvtap.queues[0].get(), .events = POLLIN},
                              pollfd{.fd = macvtap.queues[1].get(), .events = POLLIN}};
  ASSERT_GE(::poll(waits.data(), waits.size(), 5000), 1);
  std::array<std::uint8_t, 2048> frame{};
  const int ready = waits[0].revents != 0 ? waits[0].fd : waits[1].fd;
  EXPECT_GE(::read(ready, frame.data(), frame.size()), 42);
}

// The host cannot know which groups the guest is in: IPv6 finds it by one that its address makes (RFC 4861
// §7.2.1).
TEST_F(MacvtapTest, HearsEveryGroup) {
  said("ip link add up0 type veth peer name far0; ip link set up0 up; ip link set far0 up");
  const Macvtap macvtap = create_macvtap(
      {.device = "up0", .mode = config::MacvtapMode::bridge, .guest_mac = kGuest, .vnet_header = false});
  const std::array<std::uint8_t, 60> sent{0x33, 0x33, 0xff, 0, 0, 0x12, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5};
  const vmm::FileDescriptor far(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const sockaddr_ll place{.sll_family = AF_PACKET, .sll_ifindex = require_link("far0").index};
  ASSERT_EQ(::sendto(far.get(), sent.data(), sent.size(), 0, reinterpret_cast<const sockaddr*>(&place),
                     sizeof(place)),
            60);
  pollfd wait{.fd = macvtap.queues[0].get(), .events = POLLIN};
  for (bool found = false; !found;) {
    ASSERT_EQ(::poll(&wait, 1, 3000), 1) << "the frame does not arrive";
    std::array<std::uint8_t, 60> frame{};
    found = ::read(wait.fd, frame.data(), frame.size()) == 60 && frame == sent;
  }
}

TEST_F(MacvtapTest, StaysUntilItIsDeleted) {
  said("ip link add up0 type veth peer name far0; ip link set up0 up");
  (void)create_macvtap({.name = "mine", .device = "up0", .guest_mac = kGuest});
  EXPECT_TRUE(exists("mine"));
  EXPECT_THAT(refusal([] { (void)create_macvtap({.name = "mine", .device = "up0", .guest_mac = kGuest}); }),
              HasSubstr("macvtap mine: there is a link of that name already"));
  EXPECT_THAT(refusal([] { delete_macvtap("up0"); }), HasSubstr("no macvtap"));
  delete_macvtap("mine");
  delete_macvtap("mine");
  EXPECT_FALSE(exists("mine"));
}

TEST_F(MacvtapTest, PassesTheWholeDeviceThrough) {
  said("ip link add up0 type veth peer name far0; ip link set up0 up");
  const auto before = require_link("up0").mac;
  (void)create_macvtap({.device = "up0", .mode = config::MacvtapMode::passthrough, .guest_mac = kGuest});
  EXPECT_EQ(require_link("up0").mac, kGuest);
  EXPECT_THAT(refusal([] { (void)create_macvtap({.device = "up0", .guest_mac = kGuest}); }),
              HasSubstr("device 'up0' is in use already"));
  delete_macvtap("macvtap0");
  EXPECT_EQ(require_link("up0").mac, before);
}

TEST_F(MacvtapTest, IsNotLeftHalfMade) {
  said("ip link add up0 type veth peer name far0; ip link set up0 up");
  EXPECT_THAT(refusal([] { (void)create_macvtap({.device = "up0", .guest_mac = kGuest, .mtu = 1}); }),
              HasSubstr("set the MTU to 1"));
  EXPECT_FALSE(exists("macvtap0"));
  EXPECT_THAT(refusal([] { (void)create_macvtap({.device = "none0", .guest_mac = kGuest}); }),
              HasSubstr("there is no link 'none0'"));
  set_down("up0");
  EXPECT_THAT(refusal([] { (void)create_macvtap({.device = "up0", .guest_mac = kGuest}); }),
              HasSubstr("bring it up"));
}

}  // namespace
}  // namespace warren::driver::link
