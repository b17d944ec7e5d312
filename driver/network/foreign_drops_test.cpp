#include "driver/network/foreign_drops.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "driver/network/network_rules.h"
#include "driver/network/network_topology.h"
#include "driver/nftables/transaction.h"

namespace warren::driver::network {
namespace {

namespace json = boost::json;

NetworkDefinition network(ForwardMode mode) {
  NetworkDefinition definition;
  definition.name = "default";
  definition.bridge.name = Topology::kBridge;
  definition.addresses = {
      {.address = config::parse_ip_address("10.71.0.1"), .prefix = 24, .hosts = {{.name = "one"}}}};
  if (mode != ForwardMode::none) {
    definition.forward.emplace();
    definition.forward->mode = mode;
  }
  return definition;
}

// Rules as the administrator types them, in a name space of their own.
class ForeignDropsTest : public testing::Test {
 protected:
  std::vector<ForeignDrop> find(const std::string& rules, const NetworkDefinition& definition) const {
    const Inside inside(place_);
    require_tool({.name = "nft", .arguments = {"-f", "-"}, .input = "flush ruleset\n" + rules});
    return find_foreign_drops(nftables::list("ruleset"), definition, false);
  }
  std::vector<ForeignDrop> find(const std::string& rules) const {
    return find(rules, network(ForwardMode::nat));
  }

 private:
  NameSpace place_;
};

using Words = std::vector<std::string>;

TEST_F(ForeignDropsTest, NothingWhereNobodyDrops) {
  EXPECT_TRUE(find("").empty());
  EXPECT_TRUE(find(R"(table inet filter {
    chain forward { type filter hook forward priority 0
      policy accept
    }
    chain unused { drop
    }
  })")
                  .empty());
}

TEST_F(ForeignDropsTest, DockersPolicy) {
  // As Docker has it with iptables-nft.
  const std::string docker = R"(table ip filter {
    chain DOCKER { oifname "docker0" iifname != "docker0" drop
    }
    chain DOCKER-ISOLATION-STAGE-1 { iifname "docker0" oifname != "docker0" jump DOCKER-ISOLATION-STAGE-2
      return
    }
    chain DOCKER-ISOLATION-STAGE-2 { oifname "docker0" drop
      return
    }
    chain DOCKER-USER { %
      return
    }
    chain FORWARD { type filter hook forward priority filter
      policy drop
      jump DOCKER-USER
      jump DOCKER-ISOLATION-STAGE-1
      oifname "docker0" ct state related,established counter accept
      oifname "docker0" jump DOCKER
      iifname "docker0" oifname != "docker0" accept
      iifname "docker0" oifname "docker0" accept
    }
  })";
  auto with = [&](const std::string& rule) {
    std::string text = docker;
    return text.replace(text.find('%'), 1, rule);
  };
  auto drops = find(with(""));
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].family, "ip");
  EXPECT_EQ(drops[0].table, "filter");
  EXPECT_EQ(drops[0].chain, "FORWARD");
  EXPECT_EQ(drops[0].cause, "policy drop");
  EXPECT_EQ(drops[0].traffic, (Words{"guests to outside (IPv4)", "answers from outside to guests (IPv4)"}));
  EXPECT_EQ(drops[0].remedy,
            "iptables -I DOCKER-USER -i virbr7 -j ACCEPT; iptables -I DOCKER-USER -o virbr7 -j ACCEPT");
  EXPECT_TRUE(describe(drops[0]).starts_with(
      "table ip filter, chain FORWARD drops guests to outside (IPv4), answers from outside to guests (IPv4) "
      "(policy drop)"))
      << describe(drops[0]);
  // The remedy is one, and half of it is half of one.
  EXPECT_TRUE(find(with("iifname \"virbr7\" accept\n oifname \"virbr7\" accept")).empty());
  drops = find(with("iifname \"virbr7\" accept"));
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].traffic, Words{"answers from outside to guests (IPv4)"});
  EXPECT_TRUE(find(with("iifname \"virbr*\" accept\n ip daddr 10.71.0.0/16 accept")).empty());
}

TEST_F(ForeignDropsTest, Firewalld) {
  const std::string rules = R"(table inet firewalld {
    chain filter_INPUT { type filter hook input priority filter + 10
      policy accept
      ct state { established, related } accept
      ct status dnat accept
      iifname "lo" accept
      jump filter_INPUT_ZONES
      ct state invalid drop
      reject with icmpx admin-prohibited
    }
    chain filter_FORWARD { type filter hook forward priority filter + 10
      policy accept
      ct state { established, related } accept
      ct status dnat accept
      iifname "lo" accept
      ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 addr-unreachable
      jump filter_FORWARD_ZONES
      ct state invalid drop
      reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES { iifname "eth0" goto filter_IN_public
      goto filter_IN_public
    }
    chain filter_IN_public { tcp dport 22 accept
      udp dport 53 ip daddr 10.71.0.1 accept
    }
    chain filter_FORWARD_ZONES { iifname vmap { "eth0" : goto filter_FWD_public }
      goto filter_FWD_public
    }
    chain filter_FWD_public { meta l4proto { icmp, ipv6-icmp } accept
    }
  })";
  auto drops = find(rules);
  ASSERT_EQ(drops.size(), 2u);
  const auto& input = drops[0].hook == "input" ? drops[0] : drops[1];
  const auto& forward = drops[0].hook == "input" ? drops[1] : drops[0];
  EXPECT_EQ(input.chain, "filter_INPUT");
  EXPECT_TRUE(input.cause.ends_with("of chain filter_INPUT: reject")) << input.cause;
  // DNS is let in there.
  EXPECT_EQ(input.traffic, (Words{"DHCP (IPv4)", "DNS over TCP (IPv4)"}));
  EXPECT_EQ(forward.traffic, Words{"guests to outside (IPv4)"});
  EXPECT_GT(forward.may_be_accepted, 0u);
  EXPECT_TRUE(forward.remedy.starts_with("firewall-cmd --zone=libvirt --add-interface=virbr7"));
  NetworkDefinition zoned = network(ForwardMode::nat);
  zoned.bridge.zone = "lab";
  EXPECT_EQ(find(rules, zoned)[0].remedy, "firewall-cmd --zone=lab --add-interface=virbr7");
}

TEST_F(ForeignDropsTest, WhatAnAdministratorsInputPolicyHits) {
  NetworkDefinition definition = network(ForwardMode::nat);
  definition.addresses.push_back(
      {.address = config::parse_ip_address("2001:db8:71::1"), .prefix = 64, .hosts = {{.name = "one"}}});
  const char* rules = R"(table inet mine {
    set allowed { type inet_service
      elements = { 22, 67 }
    }
    chain in { type filter hook input priority 0
      policy drop
      ct state vmap { established : accept, related : accept, invalid : drop }
      udp dport @allowed accept
    }
  })";
  auto drops = find(rules, definition);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].traffic, (Words{"DNS (IPv4)", "DNS over TCP (IPv4)", "neighbour discovery (IPv6)",
                                     "DHCPv6 (IPv6)", "DNS (IPv6)", "DNS over TCP (IPv6)"}));
  EXPECT_EQ(drops[0].remedy,
            "nft insert rule inet mine in iifname \"virbr7\" udp dport { 53,547 } accept; "
            "nft insert rule inet mine in iifname \"virbr7\" tcp dport { 53 } accept; "
            "nft insert rule inet mine in iifname \"virbr7\" meta l4proto ipv6-icmp accept");
}

TEST_F(ForeignDropsTest, NeighbourDiscoveryIsWhatIpv6LivesOn) {
  NetworkDefinition definition = network(ForwardMode::nat);
  definition.addresses = {{.address = config::parse_ip_address("2001:db8:71::1"), .prefix = 64}};
  auto input = [&](const std::string& rules) {
    return find(
        "table ip6 filter {\n chain INPUT { type filter hook input priority 0\n policy drop\n"
        "meta l4proto { tcp, udp } accept\n" +
            rules + "\n}\n}",
        definition);
  };
  // Those who have tried know that it is of no connection.
  for (const char* nothing :
       {"", "ct state established,related accept", "icmpv6 type echo-request accept",
        "icmpv6 type nd-neighbor-solicit accept", "iifname \"eth0\" meta l4proto ipv6-icmp accept"}) {
    const auto drops = input(nothing);
    ASSERT_EQ(drops.size(), 1u) << nothing;
    EXPECT_EQ(drops[0].traffic, Words{"neighbour discovery (IPv6)"});
    EXPECT_EQ(drops[0].remedy, "ip6tables -I INPUT -i virbr7 -p ipv6-icmp -j ACCEPT");
  }
  for (const char* enough :
       {"meta l4proto ipv6-icmp accept", "ip6 nexthdr icmpv6 accept", "ct state untracked accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept"})
    EXPECT_TRUE(input(enough).empty()) << enough;
}

TEST_F(ForeignDropsTest, OnlyWhatItSurelyHits) {
  auto forward = [&](const std::string& rule) {
    return find("table inet t {\n chain f { type filter hook forward priority 0\n policy accept\n" + rule +
                "\n}\n}");
  };
  EXPECT_TRUE(forward("iifname \"eth0\" drop").empty());
  EXPECT_TRUE(forward("ip daddr 192.0.2.1 drop").empty());
  EXPECT_TRUE(forward("tcp dport 25 reject").empty());
  EXPECT_TRUE(forward("limit rate 5/second drop").empty());
  EXPECT_TRUE(forward("meta nfproto ipv6 drop").empty());
  EXPECT_TRUE(forward("ip saddr 10.70.0.0/16 drop").empty());
  EXPECT_EQ(forward("ip saddr 10.64.0.0/10 drop").size(), 1u);
  EXPECT_EQ(forward("ip saddr 10.71.0.0-10.71.0.255 drop").size(), 1u);
  EXPECT_EQ(forward("iifname { \"virbr7\", \"br0\" } counter log reject").size(), 1u);
  EXPECT_EQ(forward("iifname != \"eth0\" oifname \"virbr7\" drop").size(), 0u);
  EXPECT_EQ(forward("meta nfproto ipv4 oifname \"virbr*\" drop")[0].traffic,
            Words{"answers from outside to guests (IPv4)"});
}

TEST_F(ForeignDropsTest, OurOwnAreNotForeign) {
  const NameSpace place;
  const Inside inside(place);
  apply_rules(network(ForwardMode::none));
  EXPECT_TRUE(find_foreign_drops(network(ForwardMode::nat)).empty());
}

TEST_F(ForeignDropsTest, GuestToGuestWhereBridgedTrafficIsFiltered) {
  const char* rules = R"(table ip filter {
    chain FORWARD { type filter hook forward priority 0
      policy drop
    }
  })";
  EXPECT_TRUE(find(rules, network(ForwardMode::none)).empty());
  const NameSpace place;
  const Inside inside(place);
  require_tool({.name = "nft", .arguments = {"-f", "-"}, .input = rules});
  auto drops = find_foreign_drops(nftables::list("ruleset"), network(ForwardMode::none), true);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].traffic, Words{"guest to guest (IPv4)"});
  EXPECT_EQ(drops[0].remedy,
            "iptables -I FORWARD -i virbr7 -j ACCEPT; iptables -I FORWARD -o virbr7 -j ACCEPT");
}

// What it says is so: nothing gets through before the remedy, everything after it.
TEST(ForeignDrops, AreRealAndSoIsTheRemedy) {
  const Topology world;
  const Inside inside(world.router.place);
  apply_rules(network(ForwardMode::nat));
  require_tool({.name = "nft", .arguments = {"-f", "-"}, .input = R"(table inet guard {
    chain forward { type filter hook forward priority 0
      policy drop
    }
  })"});
  EXPECT_EQ(Probe::send(world.first, world.outside, SOCK_DGRAM, false), Fate::lost);
  auto drops = find_foreign_drops(network(ForwardMode::nat));
  ASSERT_EQ(drops.size(), 1u);
  // Several commands of nft's are one file of it.
  std::string commands = drops[0].remedy;
  for (std::size_t at = commands.find("nft "); at != std::string::npos; at = commands.find("nft "))
    commands.erase(at, 4);
  require_tool({.name = "nft", .arguments = {"-f", "-"}, .input = commands + "\n"});
  EXPECT_EQ(Probe::send(world.first, world.outside, SOCK_DGRAM, false), Fate::reached);
  EXPECT_EQ(Probe::send(world.outside, world.first, SOCK_DGRAM, false), Fate::rejected);
  EXPECT_TRUE(find_foreign_drops(network(ForwardMode::nat)).empty());
}

TEST(ForeignDrops, RulesetsOfAnyShapeAreJudged) {
  // Chains that jump to the next twice each, and back to themselves.
  json::array ruleset;
  auto add = [&](const char* text) { ruleset.push_back(json::parse(text)); };
  add(R"({"chain":{"family":"inet","table":"t","name":"c","type":"filter","hook":"forward","policy":"drop"}})");
  for (int times = 0; times < 4; ++times)
    add(R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[{"jump":{"target":"c"}}]}})");
  add(R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[{"match":5},{},7,{"vmap":{"key":1}}]}})");
  add(R"({"rule":{"family":"inet","table":"t","chain":"c","expr":[{"match":{"op":"==","left":{"payload":
      {"protocol":"ip","field":"saddr"}},"right":{"prefix":{"addr":"10.0.0.0","len":-1}}}},{"accept":null}]}})");
  add("5");
  add("{\"rule\":{}}");
  EXPECT_NO_THROW(find_foreign_drops(ruleset, network(ForwardMode::nat), true));
}

}  // namespace
}  // namespace warren::driver::network
