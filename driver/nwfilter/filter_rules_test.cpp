// What filters become: the order of chains, variables, and that nft(8) and the kernel take every attribute.

#include "driver/nwfilter/filter_rules.h"

#include <map>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sched.h>

#include "driver/contract/error.h"
#include "driver/nftables/transaction.h"
#include "driver/nwfilter/stock_filters.h"

namespace warren::driver::nwfilter {
namespace {

namespace json = boost::json;

constexpr BridgeFeatures kAll{.connections = true, .reject = true};

class FilterRulesTest : public testing::Test {
 protected:
  FilterRulesTest() {
    for (const std::string_view xml : stock_filters()) define(std::string(xml));
    binding_.port_device = "vnet0";
    binding_.mac = *config::parse_mac_address("52:54:00:00:00:01");
    binding_.filter.filter = "test";
  }

  void define(const std::string& xml) {
    FilterDefinition filter = parse_filter(xml);
    filters_[filter.name] = std::move(filter);
  }
  void define_rules(const std::string& inside, const std::string& chain = "root") {
    define("<filter name='test' chain='" + chain + "'>" + inside + "</filter>");
  }
  void define_rule(const std::string& inside, const std::string& direction = "in",
                   const std::string& action = "accept") {
    define_rules("<rule action='" + action + "' direction='" + direction + "'>" + inside + "</rule>");
  }
  const FindFilter find_ = [this](std::string_view name) -> const FilterDefinition* {
    const auto found = filters_.find(name);
    return found == filters_.end() ? nullptr : &found->second;
  };
  TapFilter tap_filter(const std::vector<std::string>& learned = {}) {
    return instantiate(binding_, learned, find_);
  }
  TapChains chains(const BridgeFeatures& features = kAll) {
    return compile("vnet0", tap_filter(), features, nullptr);
  }
  // The rules of a chain as text, one a line.
  static std::string text(const TapChains& chains, std::string_view name) {
    for (const TapChain& chain : chains.chains) {
      if (chain.name != name) continue;
      std::string lines;
      for (const json::array& rule : chain.rules) lines += json::serialize(rule) + "\n";
      return lines;
    }
    return "none";
  }
  static std::size_t count(const std::string& text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }
  virErrorNumber refused() {
    try {
      chains();
    } catch (const Error& error) {
      EXPECT_EQ(error.domain(), VIR_FROM_NWFILTER) << error.detail();
      return error.code();
    }
    return VIR_ERR_OK;
  }

  std::map<std::string, FilterDefinition, std::less<>> filters_;
  config::FilterBinding binding_;
};

TEST_F(FilterRulesTest, RootLeadsToChainsInTheOrderOfPriorities) {
  define("<filter name='a' chain='arp-x' priority='-510'><rule action='drop' direction='out'/></filter>");
  define("<filter name='m' chain='mac'><rule action='drop' direction='out'/></filter>");
  define_rules(
      "<filterref filter='a'/><filterref filter='m'/>"
      "<rule action='accept' direction='out' priority='-510'><mac protocolid='arp'/></rule>"
      "<rule action='accept' direction='out' priority='-800'><mac protocolid='ipv6'/></rule>"
      "<rule action='accept' direction='out' priority='-900'><mac protocolid='ipv4'/></rule>");
  EXPECT_EQ(
      text(chains(), "vnet0/out"),
      R"([{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":2048}},{"accept":null}])"
      "\n"
      R"([{"jump":{"target":"vnet0/out/mac"}}])"
      "\n"
      R"([{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":34525}},{"accept":null}])"
      "\n"
      R"([{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":2054}},{"jump":{"target":"vnet0/out/arp-x"}}])"
      "\n"
      R"([{"match":{"op":"==","left":{"payload":{"protocol":"ether","field":"type"}},"right":2054}},{"accept":null}])"
      "\n");
  EXPECT_EQ(text(chains(), "vnet0/in"), "");
  EXPECT_EQ(text(chains(), "vnet0/in/mac"), "none");
}

TEST_F(FilterRulesTest, ARuleForBothWaysIsWrittenTowardsTheGuest) {
  define_rule("<ip srcipaddr='10.0.0.1' dstipaddr='10.0.0.2'/>", "inout");
  const std::string in = text(chains(), "vnet0/in"), out = text(chains(), "vnet0/out");
  EXPECT_NE(in.find(R"("field":"saddr"}},"right":"10.0.0.1")"), std::string::npos) << in;
  EXPECT_NE(out.find(R"("field":"saddr"}},"right":"10.0.0.2")"), std::string::npos) << out;
}

TEST_F(FilterRulesTest, AConnectionIsAnsweredForAsLongAsItLasts) {
  define_rule("<tcp dstportstart='22'/>");
  EXPECT_NE(text(chains(), "vnet0/in-packets").find(R"("offset":16,"len":16}},"right":22)"),
            std::string::npos);
  EXPECT_NE(text(chains(), "vnet0/in-packets").find(R"(["new","established"])"), std::string::npos);
  EXPECT_NE(text(chains(), "vnet0/out-packets").find(R"("offset":0,"len":16}},"right":22)"),
            std::string::npos);
  EXPECT_NE(text(chains(), "vnet0/out-packets").find(R"(["established"])"), std::string::npos);
  define_rule("<tcp/>", "in", "drop");
  EXPECT_EQ(text(chains(), "vnet0/out-packets"), "");
  EXPECT_EQ(text(chains(), "vnet0/in-packets").find("\"ct\""), std::string::npos);
  define_rule("<tcp state='RELATED'/>", "in", "accept");
  EXPECT_EQ(text(chains(), "vnet0/out-packets"), "");
  EXPECT_NE(text(chains(), "vnet0/in-packets").find(R"(["related"])"), std::string::npos);
}

TEST_F(FilterRulesTest, WithoutConnectionsAKernelRefusesWhatNeedsThem) {
  define_rule("<tcp dstportstart='22'/>");
  try {
    chains({});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_OPERATION_UNSUPPORTED);
    EXPECT_NE(error.detail().find("statematch='false'"), std::string::npos) << error.detail();
  }
  define_rules("<rule action='accept' direction='in' statematch='false'><tcp dstportstart='22'/></rule>");
  EXPECT_NE(text(chains({}), "vnet0/out-packets").find("\"right\":22"), std::string::npos);
}

TEST_F(FilterRulesTest, OneConnectionTooManyLeavesTheOthersAlone) {
  const std::string count = R"({"ct count":{"val":1,"inv":true}})";
  const std::string begins =
      R"({"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["new","related","invalid"]}})";
  define_rule("<tcp connlimit-above='1'/>", "in", "drop");
  // Counted first, so that those that were there before the rule are counted by what they say.
  EXPECT_NE(text(chains(), "vnet0/in-packets").find(count + "," + begins), std::string::npos)
      << text(chains(), "vnet0/in-packets");
  define_rule("<tcp connlimit-above='1' state='ESTABLISHED'/>", "in", "drop");
  EXPECT_EQ(text(chains(), "vnet0/in-packets").find(begins), std::string::npos);
  define_rule("<tcp connlimit-above='1' match='no'/>", "in", "accept");
  EXPECT_EQ(text(chains(), "vnet0/in-packets").find("related"), std::string::npos);
}

TEST_F(FilterRulesTest, ListsAreGoneThroughTogetherOrEachWithEach) {
  binding_.filter.parameters = {
      {"A", {"10.0.0.1", "10.0.0.2"}}, {"P", {"80", "8080"}}, {"L", {"1", "2", "3"}}};
  define_rule("<udp srcipaddr='$A' dstportstart='$P'/>");
  EXPECT_EQ(tap_filter().rules.size(), 2U);
  define_rule("<udp srcipaddr='$A[@1]' dstportstart='$P[@2]' dscp='$L[@3]'/>");
  EXPECT_EQ(tap_filter().rules.size(), 12U);
  define_rule("<udp srcipaddr='$A[1]' dstportstart='$P[0]'/>");
  EXPECT_EQ(tap_filter().rules.size(), 1U);
  EXPECT_NE(text(chains(), "vnet0/in-packets").find("10.0.0.2"), std::string::npos);
  for (const char* inside :
       {"<udp srcipaddr='$A' dscp='$L'/>", "<udp srcipaddr='$A[2]'/>", "<udp srcipaddr='$X'/>"}) {
    define_rule(inside);
    EXPECT_EQ(refused(), VIR_ERR_INTERNAL_ERROR) << inside;
  }
}

TEST_F(FilterRulesTest, ProductsAndTreesHaveAnEnd) {
  binding_.filter.parameters["A"] = std::vector<std::string>(256, "1");
  define_rule("<udp dscp='$A[@1]' srcportstart='$A[@2]' dstportstart='$A[@3]'/>");
  EXPECT_EQ(refused(), VIR_ERR_OPERATION_FAILED);
  std::string inside = "<filterref filter='f1'/><filterref filter='f1'/>";
  define_rules(inside);
  for (int i = 1; i < 40; ++i)
    define("<filter name='f" + std::to_string(i) + "'><filterref filter='f" + std::to_string(i + 1) +
           "'/><filterref filter='f" + std::to_string(i + 1) + "'/></filter>");
  define("<filter name='f40'/>");
  EXPECT_EQ(refused(), VIR_ERR_OPERATION_FAILED);
}

TEST_F(FilterRulesTest, LoopsAndMissingFiltersAreRefused) {
  define("<filter name='b'><filterref filter='test'/></filter>");
  define_rules("<filterref filter='b'/>");
  EXPECT_THROW(refuse_loop(filters_.at("b"), find_), Error);
  EXPECT_EQ(refused(), VIR_ERR_OPERATION_FAILED);
  EXPECT_NO_THROW(refuse_loop(filters_.at("clean-traffic"), find_));
  define_rules("<filterref filter='nowhere'/>");
  EXPECT_EQ(refused(), VIR_ERR_NO_NWFILTER);
}

TEST_F(FilterRulesTest, AnUnknownAddressLetsNothingThrough) {
  define_rules(
      "<rule action='accept' direction='out'><ip srcipaddr='$IP'/></rule>"
      "<rule action='drop' direction='out'><arp match='no' arpsrcipaddr='$IP' arpsrcipmask='24'/></rule>");
  const TapFilter filter = tap_filter();
  EXPECT_TRUE(filter.misses_ip);
  ASSERT_EQ(filter.rules.size(), 1U);
  EXPECT_EQ(filter.rules[0].action, Action::drop);
  EXPECT_TRUE(filter.rules[0].matches.empty());
  EXPECT_EQ(tap_filter({"10.0.0.5"}).rules.size(), 2U);
  EXPECT_FALSE(tap_filter({"10.0.0.5"}).misses_ip);
  binding_.filter.parameters["CTRL_IP_LEARNING"] = {"none"};
  EXPECT_EQ(refused(), VIR_ERR_INTERNAL_ERROR);
  binding_.filter.parameters["CTRL_IP_LEARNING"] = {"some"};
  EXPECT_EQ(refused(), VIR_ERR_INVALID_ARG);
}

TEST_F(FilterRulesTest, AnEmptyMaskIsEverything) {
  define_rule("<ip srcipaddr='10.0.0.1' srcipmask='0'/>");
  EXPECT_EQ(text(chains(), "vnet0/in").find("saddr"), std::string::npos);
  define_rule("<ip match='no' srcipaddr='10.0.0.1' srcipmask='0'/>");
  EXPECT_EQ(text(chains(), "vnet0/in"), "");
}

std::string example(const AttributeSpec& attribute) {
  switch (attribute.kind) {
    case ValueKind::number:
      return attribute.name == "protocol" ? "udp" : std::to_string(attribute.maximum / 2 + 1);
    case ValueKind::mac:
      return "52:54:00:12:34:56";
    case ValueKind::mac_mask:
      return "ff:ff:ff:f0:00:00";
    case ValueKind::ip:
      return "10.1.2.3";
    case ValueKind::ip_mask:
      return "17";
    case ValueKind::ipv6:
      return "2001:db8::1";
    case ValueKind::ipv6_mask:
      return "61";
    case ValueKind::tcp_flags:
      return "SYN,ACK/SYN";
    case ValueKind::state:
      return "NONE";  // so that every kernel takes it
    case ValueKind::comment:
      return "what it is for, and why";
    case ValueKind::boolean:
    case ValueKind::kernel_set:
      break;
  }
  return {};
}

class AppliedRulesTest : public FilterRulesTest {
 protected:
  void SetUp() override { ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root"; }
};

TEST_F(AppliedRulesTest, TheKernelTakesEveryAttributeOfEveryProtocol) {
  const BridgeFeatures features = probe_features();
  std::vector<TapChains> all;
  std::size_t number = 0;
  for (const ProtocolSpec& protocol : protocols()) {
    for (const char* match : {"yes", "no"}) {
      std::string rules;
      for (const AttributeSpec& attribute : protocol.attributes) {
        if (example(attribute).empty() || attribute.name == "connlimit-above") continue;
        std::string matches;
        const bool of_header = protocol.name == "ip" || protocol.name == "ipv6";
        const bool of_message = attribute.name.starts_with("type") || attribute.name.starts_with("code");
        if (of_header && attribute.name != "protocol")
          matches =
              "<" + std::string(protocol.name) + " protocol='" + (of_message ? "icmpv6" : "udp") + "'/>";
        matches += "<" + std::string(protocol.name) + " match='" + match + "' ";
        if (!attribute.needs.empty()) {
          const AttributeSpec& main = *protocol.attribute(attribute.needs);
          const std::string start = main.kind == ValueKind::number ? "3" : example(main);
          matches += std::string(attribute.needs) + "='" + start + "' ";
        }
        matches += std::string(attribute.name) + "='" + example(attribute) + "'/>";
        for (const char* direction : {"in", "out", "inout"})
          rules += "<rule action='accept' statematch='false' direction='" + std::string(direction) + "'>" +
                   matches + "</rule>";
      }
      define_rules(rules);
      binding_.port_device = "tap" + std::to_string(number++);
      all.push_back(compile(binding_.port_device, tap_filter(), features, nullptr));
    }
  }
  std::vector<const TapChains*> taps;
  for (const TapChains& tap : all) taps.push_back(&tap);
  ASSERT_NO_THROW(nftables::apply(replace_all(taps), "test"));
  std::size_t applied = 0, compiled = 0;
  for (const json::value& element : nftables::list("table bridge warren_nwfilter"))
    applied += element.as_object().contains("rule") ? 1U : 0U;
  for (const TapChains& tap : all)
    for (const TapChain& chain : tap.chains) compiled += chain.rules.size();
  EXPECT_EQ(applied, compiled + 4);
  EXPECT_GT(compiled, 1500U);
}

TEST_F(AppliedRulesTest, ChainsOfATapComeChangeAndGoWhole) {
  binding_.filter.filter = "clean-traffic";
  binding_.filter.parameters["IP"] = {"10.0.0.1"};
  const TapChains first = chains(probe_features());
  json::array commands;
  add_table(commands);
  add_tap(commands, first, {});
  nftables::apply(commands, "test");
  EXPECT_FALSE(nftables::list("chain bridge warren_nwfilter vnet0/out/arp-mac").empty());
  define_rule("<mac/>");
  binding_.filter.filter = "test";
  const TapChains second = chains();
  commands.clear();
  add_table(commands);
  add_tap(commands, second, first.names());
  nftables::apply(commands, "test");
  EXPECT_TRUE(nftables::list("chain bridge warren_nwfilter vnet0/out/arp-mac").empty());
  EXPECT_FALSE(nftables::list("chain bridge warren_nwfilter vnet0/in").empty());
  commands.clear();
  remove_tap(commands, "vnet0", second.names());
  nftables::apply(commands, "test");
  std::size_t left = 0;
  for (const json::value& element : nftables::list("table bridge warren_nwfilter"))
    left += json::serialize(element).find("vnet0") != std::string::npos ? 1U : 0U;
  EXPECT_EQ(left, 0U);
}

TEST_F(AppliedRulesTest, EveryStockFilterIsTaken) {
  ASSERT_EQ(stock_filters().size(), 24U);
  binding_.filter.parameters = {
      {"IP", {"10.0.0.1"}}, {"IPV6", {"2001:db8::1"}}, {"GATEWAY_MAC", {"52:54:00:00:00:fe"}}};
  std::vector<TapChains> all;
  for (const std::string_view xml : stock_filters()) {
    const FilterDefinition filter = parse_filter(xml, true);
    binding_.filter.filter = filter.name;
    binding_.port_device = "tap" + std::to_string(all.size());
    binding_.filter.parameters["DHCPSERVER"] = {filter.name.find("v6") == std::string::npos ? "10.0.0.1"
                                                                                            : "fe80::1"};
    all.push_back(compile(binding_.port_device, tap_filter(), probe_features(), nullptr));
  }
  std::vector<const TapChains*> taps;
  for (const TapChains& tap : all) taps.push_back(&tap);
  EXPECT_NO_THROW(nftables::apply(replace_all(taps), "test"));
}

}  // namespace
}  // namespace warren::driver::nwfilter
