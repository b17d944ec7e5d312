// The rules under real traffic: who reaches whom in each mode, in network name spaces (issue's matrix).
#include "driver/network/network_rules.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/network/network_topology.h"
#include "driver/nftables/transaction.h"

namespace warren::driver::network {
namespace {

constexpr Fate kReached = Fate::reached;
constexpr Fate kRejected = Fate::rejected;

NetworkAddress address(const std::string& text, unsigned prefix) {
  return {.address = config::parse_ip_address(text), .prefix = prefix};
}

NetworkDefinition network(ForwardMode mode) {
  NetworkDefinition definition;
  definition.name = "test";
  definition.bridge.name = Topology::kBridge;
  definition.addresses = {address("10.71.0.1", 24), address("2001:db8:71::1", 64)};
  if (mode != ForwardMode::none) {
    definition.forward.emplace();
    definition.forward->mode = mode;
  }
  return definition;
}

struct Matrix {
  Fate guest_guest = kReached, guest_host = kReached, guest_outside = kReached, outside_guest = kReached;
};

class NetworkRulesTest : public testing::Test {
 protected:
  void apply(const NetworkDefinition& definition) const {
    const Inside inside(world_.router.place);
    apply_rules(definition);
  }
  void flush() const {
    const Inside inside(world_.router.place);
    require_tool({.name = "nft", .arguments = {"flush", "ruleset"}});
  }
  std::string rules() const {
    const Inside inside(world_.router.place);
    return require_tool({.name = "nft", .arguments = {"list", "ruleset"}});
  }

  void expect(const Matrix& wanted, bool ipv6, const char* when) const {
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      SCOPED_TRACE(fmt::format("{}: {} IPv{}", when, type == SOCK_STREAM ? "TCP" : "UDP", ipv6 ? 6 : 4));
      EXPECT_EQ(Probe::send(world_.first, world_.second, type, ipv6), wanted.guest_guest) << "guest-guest";
      EXPECT_EQ(Probe::send(world_.first, world_.router, type, ipv6), wanted.guest_host) << "guest-host";
      EXPECT_EQ(Probe::send(world_.first, world_.outside, type, ipv6), wanted.guest_outside)
          << "guest-outside";
      EXPECT_EQ(Probe::send(world_.outside, world_.first, type, ipv6), wanted.outside_guest)
          << "outside-guest";
    }
  }
  // As it is, applied again, and after somebody's flush.
  void expect_throughout(const NetworkDefinition& definition, const Matrix& ipv4, const Matrix& ipv6) const {
    apply(definition);
    const std::string first = rules();
    expect(ipv4, false, "applied");
    expect(ipv6, true, "applied");
    apply(definition);
    EXPECT_EQ(rules(), first);
    flush();
    apply(definition);
    EXPECT_EQ(rules(), first);
    expect(ipv4, false, "after a flush");
    expect(ipv6, true, "after a flush");
  }
  std::string seen_outside(bool ipv6, std::uint16_t* port = nullptr) const {
    SocketAddress seen;
    if (Probe::send(world_.first, world_.outside, SOCK_DGRAM, ipv6, &seen) != kReached) return "nothing";
    if (port != nullptr) *port = seen.port();
    return seen.text();
  }

  Topology world_;
};

TEST_F(NetworkRulesTest, WithoutRulesEverythingPasses) {
  expect({}, false, "no rules");
  expect({}, true, "no rules");
}

TEST_F(NetworkRulesTest, Nat) {
  // As libvirt has it: IPv6 is routed where nothing else is said.
  expect_throughout(network(ForwardMode::nat), {.outside_guest = kRejected}, {});
  EXPECT_EQ(seen_outside(false), "10.72.0.1");
  EXPECT_EQ(seen_outside(true), world_.first.ipv6);
  for (const char* kept : {"ip daddr 224.0.0.0/24 return", "ip daddr 255.255.255.255 return"})
    EXPECT_NE(rules().find(kept), std::string::npos) << kept << "\n" << rules();
}

TEST_F(NetworkRulesTest, NatOfIpv6) {
  NetworkDefinition definition = network(ForwardMode::nat);
  definition.forward->nat_ipv6 = true;
  expect_throughout(definition, {.outside_guest = kRejected}, {.outside_guest = kRejected});
  EXPECT_EQ(seen_outside(true), "2001:db8:72::1");
}

TEST_F(NetworkRulesTest, NatToAddressesAndPorts) {
  NetworkDefinition definition = network(ForwardMode::nat);
  definition.forward->nat_addresses = {*config::parse_ip_address("10.72.0.7"),
                                       *config::parse_ip_address("10.72.0.7")};
  definition.forward->nat_ports = {500, 505};
  // Whoever is asked for it has to have it.
  Topology::run(world_.router, "addr add 10.72.0.7/24 dev out0");
  apply(definition);
  std::uint16_t port = 0;
  EXPECT_EQ(seen_outside(false, &port), "10.72.0.7");
  EXPECT_GE(port, 500);
  EXPECT_LE(port, 505);
}

TEST_F(NetworkRulesTest, Route) {
  expect_throughout(network(ForwardMode::route), {}, {});
  EXPECT_EQ(seen_outside(false), world_.first.ipv4);
}

TEST_F(NetworkRulesTest, Isolated) {
  const Matrix alone{.guest_outside = kRejected, .outside_guest = kRejected};
  expect_throughout(network(ForwardMode::none), alone, alone);
}

TEST_F(NetworkRulesTest, IsolatedWithoutAddressesKeepsIpv6AmongGuests) {
  NetworkDefinition definition = network(ForwardMode::none);
  definition.addresses.clear();
  definition.ipv6 = true;
  const Matrix alone{.guest_outside = kRejected, .outside_guest = kRejected};
  expect_throughout(definition, alone, alone);
}

TEST_F(NetworkRulesTest, OpenHasNoRules) {
  EXPECT_TRUE(rules_of(network(ForwardMode::open)).empty());
  // Those it had as another mode are gone.
  apply(network(ForwardMode::none));
  apply(network(ForwardMode::open));
  EXPECT_EQ(rules().find(Topology::kBridge), std::string::npos) << rules();
  expect({}, false, "open");
  expect({}, true, "open");
}

TEST_F(NetworkRulesTest, OnlyByTheDeviceItNames) {
  for (ForwardMode mode : {ForwardMode::nat, ForwardMode::route}) {
    NetworkDefinition definition = network(mode);
    definition.forward->interfaces = {"out1", Topology::kOutward};
    apply(definition);
    EXPECT_EQ(Probe::send(world_.first, world_.outside, SOCK_STREAM, false), kReached);
    definition.forward->interfaces = {"out1"};
    apply(definition);
    expect({.guest_outside = kRejected, .outside_guest = kRejected}, false, "another device");
    expect({.guest_outside = kRejected, .outside_guest = kRejected}, true, "another device");
  }
}

TEST_F(NetworkRulesTest, OfGuestsThatSaySomeOtherSourceNothingIsForwarded) {
  apply(network(ForwardMode::route));
  Topology::run(world_.first, "addr add 10.99.0.1/32 dev eth0");
  Topology::run(world_.router, "route add 10.99.0.0/24 dev virbr7");
  Topology::run(world_.first, "route change default via 10.71.0.1 src 10.99.0.1");
  EXPECT_EQ(Probe::send(world_.first, world_.outside, SOCK_DGRAM, false), kRejected);
}

TEST_F(NetworkRulesTest, OneNetworksRulesAreNotAnothers) {
  NetworkDefinition other = network(ForwardMode::nat);
  other.bridge.name = "virbr8";
  other.addresses = {address("10.73.0.1", 24)};
  apply(other);
  const std::string alone = rules();
  apply(network(ForwardMode::route));
  EXPECT_NE(rules(), alone);
  const Inside inside(world_.router.place);
  auto bridges = [] { return bridges_with_rules(nftables::list("table inet warren_network")); };
  EXPECT_EQ(bridges(), (std::vector<std::string>{"virbr7", "virbr8"}));
  remove_rules(network(ForwardMode::route));
  EXPECT_EQ(rules(), alone);
  // There were none: nothing to do, and no error.
  remove_rules(network(ForwardMode::route));
  EXPECT_EQ(rules(), alone);

  // What a daemon that was killed left behind goes with the next start.
  const NetworkDefinition active = network(ForwardMode::none);
  const NetworkDefinition* all[] = {&active};
  apply_all_rules(all);
  EXPECT_EQ(bridges(), std::vector<std::string>{"virbr7"});
  apply_all_rules({});
  EXPECT_TRUE(bridges().empty());
}

TEST_F(NetworkRulesTest, BetweenNetworksBothHaveTheirSay) {
  // To the rules the device outside is a bridge as any other.
  NetworkDefinition other = network(ForwardMode::route);
  other.bridge.name = Topology::kOutward;
  other.addresses = {address("10.72.0.1", 24), address("2001:db8:72::1", 64)};
  apply(other);
  apply(network(ForwardMode::none));
  expect({.guest_outside = kRejected, .outside_guest = kRejected}, false, "isolated and routed");
  apply(network(ForwardMode::nat));
  expect({.outside_guest = kRejected}, false, "nat and routed");
  apply(network(ForwardMode::route));
  expect({}, false, "routed and routed");
  other.forward->mode = ForwardMode::nat;
  apply(other);
  expect({.guest_outside = kRejected}, false, "routed and nat");
  apply(network(ForwardMode::nat));
  expect({.guest_outside = kRejected, .outside_guest = kRejected}, false, "nat and nat");
  apply(network(ForwardMode::open));
  expect({.guest_outside = kRejected}, false, "open and nat");
}

TEST_F(NetworkRulesTest, RulesAreMadeWhereThereAreNone) {
  flush();
  const Inside inside(world_.router.place);
  remove_rules(network(ForwardMode::nat));
  EXPECT_TRUE(bridges_with_rules(nftables::list("ruleset")).empty());
}

TEST(NetworkRules, NamesThatWouldMeanSomethingElseAreRefused) {
  for (const char* name : {"", "virbr*", "a b", "x\"y", "sixteen-letters-", ".."}) {
    NetworkDefinition definition = network(ForwardMode::nat);
    definition.bridge.name = name;
    EXPECT_THROW(rules_of(definition), Error) << name;
    definition = network(ForwardMode::nat);
    definition.forward->interfaces = {name};
    EXPECT_THROW(rules_of(definition), Error) << name;
  }
}

TEST(NetworkRules, ModesWithoutABridgeOfOursHaveNone) {
  for (ForwardMode mode : {ForwardMode::bridge, ForwardMode::private_, ForwardMode::hostdev}) {
    EXPECT_TRUE(rules_of(network(mode)).empty());
    EXPECT_NO_THROW(apply_rules(network(mode)));
  }
}

}  // namespace
}  // namespace warren::driver::network
