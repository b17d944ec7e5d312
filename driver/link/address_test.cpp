#include "driver/link/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/link/link.h"
#include "driver/link/link_fixture.h"
#include "driver/link/neighbour.h"
#include "driver/link/sysctl.h"

namespace warren::driver::link {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class AddressTest : public LinkTest {
 protected:
  void SetUp() override {
    LinkTest::SetUp();
    said("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
  }
};

TEST_F(AddressTest, ComesWithItsBroadcastAddressAndGoes) {
  const LinkAddress address{ip("192.168.122.1"), 24};
  add_address("v0", address);
  add_address("v0", address);
  EXPECT_THAT(list_addresses("v0"), Contains(address));
  EXPECT_THAT(said("ip address show dev v0"), HasSubstr("192.168.122.1/24 brd 192.168.122.255"));
  remove_address("v0", address);
  remove_address("v0", address);
  EXPECT_THAT(list_addresses("v0"), Not(Contains(address)));
}

TEST_F(AddressTest, OfIpv6IsThereAtOnce) {
  add_address("v0", {ip("fd00:1::1"), 64});
  EXPECT_THAT(said("ip address show dev v0"), HasSubstr("fd00:1::1/64 scope global nodad"));
  EXPECT_TRUE(succeeds("ping -c 1 -W 1 fd00:1::1"));
}

TEST_F(AddressTest, RefusesWhatCannotBe) {
  EXPECT_THAT(refusal([] { add_address("v0", {ip("10.0.0.1"), 33}); }), HasSubstr("10.0.0.1/33"));
  EXPECT_THAT(refusal([] { add_address("v9", {ip("10.0.0.1"), 24}); }), HasSubstr("there is no link 'v9'"));
  EXPECT_THAT(refusal([] { add_address("v0", {ip("ff02::1"), 64}); }),
              HasSubstr("link v0: cannot add the address ff02::1/64"));
}

TEST_F(AddressTest, RoutesLeadByGateways) {
  add_address("v0", {ip("10.1.0.1"), 24});
  add_address("v0", {ip("fd00:1::1"), 64});
  const Route four{ip("10.2.0.0"), 16, ip("10.1.0.2"), "v0", 5};
  const Route six{ip("fd00:2::"), 48, ip("fd00:1::2"), "v0", 7};
  for (const Route& route : {four, six}) {
    add_route(route);
    add_route(route);
    EXPECT_THAT(list_routes(), Contains(route));
  }
  EXPECT_THAT(said("ip route get 10.2.3.4"), HasSubstr("via 10.1.0.2 dev v0"));
  for (const Route& route : {four, six}) {
    remove_route(route);
    remove_route(route);
    EXPECT_THAT(list_routes(), Not(Contains(route)));
  }
  EXPECT_THAT(refusal([] { add_route({ip("10.3.0.0"), 16, ip("10.77.0.1"), "v0"}); }),
              HasSubstr("cannot add the route to 10.3.0.0/16 by 10.77.0.1"));
  EXPECT_THAT(refusal([] { add_route({ip("10.3.0.0"), 16, ip("fd00::1"), "v0"}); }), HasSubstr("family"));
  EXPECT_THAT(refusal([] { add_route({ip("10.3.0.1"), 16, ip("10.1.0.2"), "v0"}); }), HasSubstr("beyond"));
  EXPECT_THAT(refusal([] { add_route({ip("10.3.0.0"), 16}); }), HasSubstr("a gateway or a link"));
}

TEST_F(AddressTest, NetworksInUseAreFound) {
  EXPECT_EQ(link_using(ip("10.1.0.0"), 24), std::nullopt);
  add_address("v0", {ip("10.1.0.1"), 24});
  EXPECT_EQ(link_using(ip("10.1.0.0"), 24), "v0");
  EXPECT_EQ(link_using(ip("10.1.0.128"), 25), std::nullopt) << "the address is in the other half";
  EXPECT_EQ(link_using(ip("10.0.0.0"), 8), "v0");
  EXPECT_EQ(link_using(ip("10.1.0.0"), 24, {"v0"}), std::nullopt);
  add_route({ip("10.2.0.0"), 24, ip("10.1.0.2"), "v0"});
  EXPECT_EQ(link_using(ip("10.2.0.0"), 24), "v0");
  add_route({ip("0.0.0.0"), 0, ip("10.1.0.2"), "v0"});
  EXPECT_EQ(link_using(ip("10.3.0.0"), 24), std::nullopt) << "a default route uses no network";
  add_address("v1", {ip("fd00:5::1"), 64});
  EXPECT_EQ(link_using(ip("fd00:5::"), 64), "v1");
  EXPECT_EQ(link_using(ip("fd00:6::"), 64), std::nullopt);
}

TEST_F(AddressTest, LinksHaveAddressMtuAndState) {
  set_mtu("v0", 1300);
  set_mac("v0", {2, 0, 0, 0, 0, 9});
  set_down("v0");
  const Link link = require_link("v0");
  EXPECT_EQ(link.mtu, 1300U);
  EXPECT_EQ(link.mac, (MacAddress{2, 0, 0, 0, 0, 9}));
  EXPECT_EQ(link.kind, "veth");
  EXPECT_FALSE(link.up);
  EXPECT_TRUE(require_link("lo").is_loopback);
  EXPECT_THAT(refusal([] { set_up("v9"); }), HasSubstr("there is no link 'v9' on this host"));
  EXPECT_THAT(refusal([] { set_mac("v0", {1, 0, 0, 0, 0, 9}); }), HasSubstr("01:00:00:00:00:09"));
  delete_link("v0");
  delete_link("v0");
  EXPECT_FALSE(exists("v1"));
}

TEST_F(AddressTest, NeighboursAreThoseThatAnswered) {
  Host guest;
  guest.connect("tap0", "10.7.0.2/24", "52:54:00:00:00:42");
  add_address("tap0", {ip("10.7.0.1"), 24});
  EXPECT_TRUE(succeeds("ping -c 1 -W 1 10.7.0.2"));
  EXPECT_FALSE(succeeds("ping -c 1 -W 1 10.7.0.3"));
  EXPECT_THAT(list_neighbours("tap0"), ElementsAre(Neighbour{ip("10.7.0.2"), {0x52, 0x54, 0, 0, 0, 0x42}}));
  EXPECT_TRUE(list_neighbours("v0").empty());
}

TEST_F(AddressTest, SettingsOfLinksWithDots) {
  said("ip link set v1 down; ip link set v1 name v1.100");
  EXPECT_TRUE(write_link_setting(AddressFamily::ipv6, "v1.100", "disable_ipv6", "1"));
  EXPECT_EQ(read_link_setting(AddressFamily::ipv6, "v1.100", "disable_ipv6"), "1");
  EXPECT_EQ(read_link_setting(AddressFamily::ipv6, "v0", "disable_ipv6"), "0");
  EXPECT_TRUE(write_link_setting(AddressFamily::ipv4, "v0", "arp_ignore", "2"));
  EXPECT_EQ(read_link_setting(AddressFamily::ipv4, "v0", "arp_ignore"), "2");
  EXPECT_FALSE(write_link_setting(AddressFamily::ipv4, "v0", "no_such_setting", "2"));
  for (const char* name : {"all", "default", "..", "a/b", ""})
    EXPECT_THAT(refusal([&] { read_link_setting(AddressFamily::ipv4, name, "arp_ignore"); }),
                HasSubstr(name));
  EXPECT_THAT(refusal([] { read_link_setting(AddressFamily::ipv4, "v0", "../v1.100/arp_ignore"); }),
              HasSubstr("is no setting"));
  EXPECT_THAT(refusal([] { write_link_setting(AddressFamily::ipv4, "v9", "arp_ignore", "1"); }),
              HasSubstr("no link 'v9'"));
  EXPECT_THAT(refusal([] { write_link_setting(AddressFamily::ipv4, "v0", "arp_ignore", "x"); }),
              HasSubstr("cannot write x to /proc/sys/net/ipv4/conf/v0/arp_ignore"));
}

TEST_F(AddressTest, ForwardingStarts) {
  for (const AddressFamily family : {AddressFamily::ipv4, AddressFamily::ipv6}) {
    EXPECT_FALSE(is_forwarding(family));
    start_forwarding(family);
    EXPECT_TRUE(is_forwarding(family));
  }
}

TEST_F(AddressTest, LinksThatWouldLoseTheirRouterAreTold) {
  EXPECT_EQ(link_losing_routes(), std::nullopt);
  said("ip -6 route add fd00:9::/64 dev v0 proto ra");
  EXPECT_EQ(link_losing_routes(), "v0");
  write_link_setting(AddressFamily::ipv6, "v0", "accept_ra", "2");
  EXPECT_EQ(link_losing_routes(), std::nullopt);
}

}  // namespace
}  // namespace warren::driver::link
