// Documents of filters and bindings: every protocol and attribute, round trips, refusals.

#include "driver/nwfilter/filter_definition.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "driver/config/filter_binding.h"
#include "driver/contract/error.h"

namespace warren::driver::nwfilter {
namespace {

constexpr std::string_view kUuid = "<uuid>5c6d49af-b071-6127-b4ec-6f8ed4b55335</uuid>";

std::string filter_of(std::string_view inside, std::string_view attributes = "chain='root'") {
  return "<filter name='test' " + std::string(attributes) + ">" + std::string(kUuid) + std::string(inside) +
         "</filter>";
}

std::string rule_of(std::string_view inside) {
  return filter_of("<rule action='accept' direction='in'>" + std::string(inside) + "</rule>");
}

Error refused(std::string_view xml) {
  try {
    parse_filter(xml);
  } catch (const Error& error) {
    EXPECT_EQ(error.domain(), VIR_FROM_NWFILTER) << error.message();
    return error;
  }
  ADD_FAILURE() << "taken: " << xml;
  return internal_error("taken");
}

void expect_round_trip(const std::string& xml) {
  const FilterDefinition filter = parse_filter(xml);
  const std::string written = format_filter(filter);
  EXPECT_EQ(parse_filter(written, true), filter) << written;
  EXPECT_EQ(format_filter(parse_filter(written)), written);
}

// A value that the attribute takes.
std::string example(const AttributeSpec& attribute) {
  switch (attribute.kind) {
    case ValueKind::number:
      return attribute.names.empty() ? std::to_string(attribute.maximum)
                                     : std::string(attribute.names[0].name);
    case ValueKind::boolean:
      return "false";
    case ValueKind::mac:
      return "52:54:00:12:34:56";
    case ValueKind::mac_mask:
      return "ff:ff:ff:f0:00:00";
    case ValueKind::ip:
      return "10.1.2.3";
    case ValueKind::ip_mask:
      return "255.255.128.0";
    case ValueKind::ipv6:
      return "2001:db8::1";
    case ValueKind::ipv6_mask:
      return "61";
    case ValueKind::tcp_flags:
      return "SYN,ACK/SYN";
    case ValueKind::state:
      return "NEW,ESTABLISHED";
    case ValueKind::comment:
      return "it's <fine>";
    case ValueKind::kernel_set:
      break;
  }
  return {};
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '\'' ? "&apos;" : std::string(1, c);
  return out;
}

// Attributes that cannot stand alone come with what they need.
std::string with_needs(const ProtocolSpec& protocol, const AttributeSpec& attribute, bool as_variable) {
  std::string text;
  const bool of_ip = protocol.name == "ip" || protocol.name == "ipv6";
  if (of_ip && attribute.name.find("port") != std::string_view::npos) text += " protocol='udp'";
  if (of_ip && (attribute.name.starts_with("type") || attribute.name.starts_with("code")))
    text += " protocol='icmpv6'";
  if (!attribute.needs.empty())
    text += " " + std::string(attribute.needs) + "='" + example(*protocol.attribute(attribute.needs)) + "'";
  return text + " " + std::string(attribute.name) + "='" +
         (as_variable ? "$A_1[@2]" : escaped(example(attribute))) + "'";
}

TEST(FilterDefinitionTest, EveryAttributeOfEveryProtocolIsWrittenAsItWasRead) {
  std::size_t count = 0;
  for (const ProtocolSpec& protocol : protocols()) {
    expect_round_trip(rule_of("<" + std::string(protocol.name) + "/>"));
    for (const AttributeSpec& attribute : protocol.attributes) {
      if (attribute.kind == ValueKind::kernel_set) continue;
      for (const bool variable : {false, true}) {
        if (variable && !attribute.takes_variables()) continue;
        const std::string xml =
            rule_of("<" + std::string(protocol.name) + with_needs(protocol, attribute, variable) + "/>");
        SCOPED_TRACE(xml);
        expect_round_trip(xml);
        ++count;
      }
    }
  }
  EXPECT_EQ(protocols().size(), 24U);
  EXPECT_GT(count, 500U);
}

TEST(FilterDefinitionTest, IsPrintedAsLibvirtPrintsIt) {
  const std::string xml =
      "<filter name='test' chain='ipv4-test' priority='-700'>\n"
      "  <uuid>5c6d49af-b071-6127-b4ec-6f8ed4b55335</uuid>\n"
      "  <filterref filter='other'>\n"
      "    <parameter name='IP' value='10.0.0.1'/>\n"
      "    <parameter name='IP' value='10.0.0.2'/>\n"
      "  </filterref>\n"
      "  <rule action='accept' direction='out' priority='100' statematch='false'>\n"
      "    <ip srcipaddr='0.0.0.0' srcipmask='32' protocol='udp' srcportstart='68'/>\n"
      "  </rule>\n"
      "  <rule action='drop' direction='inout' priority='1000'/>\n"
      "</filter>\n";
  EXPECT_EQ(format_filter(parse_filter(xml)), xml);
}

TEST(FilterDefinitionTest, ChainsHaveTheirPriorities) {
  const auto priority = [](std::string_view chain) {
    return parse_filter(filter_of("", "chain='" + std::string(chain) + "'")).priority;
  };
  EXPECT_EQ(priority("root"), 0);
  EXPECT_EQ(priority("mac"), -800);
  EXPECT_EQ(priority("stp-x"), -810);
  EXPECT_EQ(priority("vlan"), -750);
  EXPECT_EQ(priority("ipv4-ip"), -700);
  EXPECT_EQ(priority("ipv6"), -600);
  EXPECT_EQ(priority("arp.y"), -500);
  EXPECT_EQ(priority("rarp"), -400);
  EXPECT_EQ(parse_filter(filter_of("", "chain='arp' priority='-1000'")).priority, -1000);
  EXPECT_EQ(chain_protocol("arp-mac"), "arp");
}

TEST(FilterDefinitionTest, WhatHoldsAndWhatMustNotAreOneRule) {
  const FilterDefinition filter =
      parse_filter(rule_of("<arp opcode='Reply'/><arp match='no' arpdstmacaddr='$MAC'/>"));
  const FilterRule& rule = std::get<FilterRule>(filter.entries.at(0));
  EXPECT_FALSE(rule.match("opcode")->negated);
  EXPECT_TRUE(rule.match("arpdstmacaddr")->negated);
  expect_round_trip(format_filter(filter));
}

TEST(FilterDefinitionTest, PacketsHaveAllThatIsDocumentedOfThem) {
  // libvirt reads these nowhere, and says nothing; its formatnwfilter lists them.
  for (const char* protocol : {"icmp", "igmp", "esp", "ah", "udplite", "all"}) {
    const std::string xml = fmt::format(
        "<filter name='a'><rule action='drop' direction='in'><{} srcmacaddr='$MAC' "
        "srcmacmask='ff:ff:ff:00:00:00' "
        "dstmacaddr='52:54:00:00:00:02' dstmacmask='ff:ff:ff:00:00:00'/></rule></filter>",
        protocol);
    EXPECT_EQ(std::get<FilterRule>(parse_filter(xml, true).entries.at(0)).matches.size(), 4) << protocol;
  }
  const FilterDefinition filter = parse_filter(
      "<filter name='a'><rule action='drop' direction='in'><tcp-ipv6 flags='SYN,ACK/SYN'/></rule></filter>",
      true);
  EXPECT_EQ(std::get<FilterRule>(filter.entries.at(0)).match("flags")->attribute->kind, ValueKind::tcp_flags);
}

TEST(FilterDefinitionTest, VariablesAreNamedIteratedAndIndexed) {
  const FilterDefinition filter =
      parse_filter(rule_of("<tcp srcipaddr='$A[@1]' dstportstart='$B[7]' dscp='$C[@0]'/>"));
  const FilterRule& rule = std::get<FilterRule>(filter.entries.at(0));
  EXPECT_EQ(std::get<VariableAccess>(rule.match("srcipaddr")->value), (VariableAccess{"A", false, 1}));
  EXPECT_EQ(std::get<VariableAccess>(rule.match("dstportstart")->value), (VariableAccess{"B", true, 7}));
  EXPECT_NE(format_filter(filter).find("dscp='$C'"), std::string::npos);
}

TEST(FilterDefinitionTest, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(refused(rule_of("<tcp ipset='x'/>")).code(), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(refused(rule_of("<arp gratuitous='true'/>")).code(), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(refused(rule_of("<dccp/>")).code(), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(refused(rule_of("<tcp port='1'/>")).code(), VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(refused(filter_of("<other/>")).code(), VIR_ERR_CONFIG_UNSUPPORTED);
  for (const char* inside : {"<tcp srcportstart='65536'/>",
                             "<tcp srcportstart='-1'/>",
                             "<tcp srcportstart=''/>",
                             "<tcp dscp='64'/>",
                             "<mac srcmacaddr='1:2:3:4:5'/>",
                             "<mac srcmacaddr='1:2:3:4:5:6' srcmacmask='ff:00:ff:00:00:00'/>",
                             "<mac srcmacmask='ff:00:00:00:00:00'/>",
                             "<mac protocolid='0x5ff'/>",
                             "<vlan vlanid='4096'/>",
                             "<tcp srcipaddr='::1'/>",
                             "<tcp-ipv6 srcipaddr='10.0.0.1'/>",
                             "<tcp srcipto='10.0.0.1'/>",
                             "<ip srcipaddr='10.0.0.1' srcipmask='255.0.255.0'/>",
                             "<ip srcipaddr='10.0.0.1' srcipmask='33'/>",
                             "<tcp flags='SYN'/>",
                             "<tcp flags='SYN/XYZ'/>",
                             "<tcp state='OLD'/>",
                             "<tcp state='$A'/>",
                             "<ip srcportstart='1'/>",
                             "<ip protocol='icmp' srcportstart='1'/>",
                             "<ipv6 type='1'/>",
                             "<tcp srcipaddr='$'/>",
                             "<tcp srcipaddr='$A['/>",
                             "<tcp srcipaddr='$A[]'/>",
                             "<tcp srcipaddr='$A[@]'/>",
                             "<tcp srcipaddr='$A[99999999999]'/>",
                             "<tcp srcipaddr='$A-B'/>",
                             "<tcp/><udp/>",
                             "<tcp dscp='1'/><tcp dscp='2'/>",
                             "<tcp match='maybe'/>"}) {
    EXPECT_EQ(refused(rule_of(inside)).code(), VIR_ERR_XML_ERROR) << inside;
  }
  for (const char* attributes : {"chain='rooted'", "chain='tcp'", "chain='arp/x'", "priority='1001'",
                                 "priority='x'", "chain='arp-0123456789012345678901234567'"})
    EXPECT_EQ(refused(filter_of("", attributes)).code(), VIR_ERR_XML_ERROR) << attributes;
  EXPECT_EQ(refused("<filter/>").code(), VIR_ERR_XML_ERROR);
  EXPECT_EQ(refused("<filter name='../x'/>").code(), VIR_ERR_XML_ERROR);
  EXPECT_EQ(refused(filter_of("<rule action='accept'/>")).code(), VIR_ERR_XML_ERROR);
  EXPECT_EQ(refused(filter_of("<rule action='log' direction='in'/>")).code(), VIR_ERR_XML_ERROR);
}

TEST(FilterDefinitionTest, ARefusalNamesWhereAndWhatToDo) {
  const Error error = refused(rule_of("<tcp dscp='64'/>"));
  EXPECT_NE(error.detail().find("/filter/rule/tcp/@dscp"), std::string::npos) << error.detail();
  EXPECT_NE(error.detail().find("a number from 0 to 63"), std::string::npos) << error.detail();
}

constexpr const char* kBinding =
    "<filterbinding>\n"
    "  <owner>\n"
    "    <name>guest</name>\n"
    "    <uuid>5c6d49af-b071-6127-b4ec-6f8ed4b55335</uuid>\n"
    "  </owner>\n"
    "  <portdev name='vnet0'/>\n"
    "  <linkdev name='eth0'/>\n"
    "  <mac address='52:54:00:7b:35:93'/>\n"
    "  <filterref filter='clean-traffic'>\n"
    "    <parameter name='MAC' value='52:54:00:7b:35:93'/>\n"
    "  </filterref>\n"
    "</filterbinding>\n";

TEST(FilterBindingTest, IsPrintedAsLibvirtPrintsIt) {
  const config::FilterBinding binding = config::parse_binding(kBinding, true);
  EXPECT_EQ(binding.handle(), (FilterBindingHandle{"vnet0", "clean-traffic"}));
  EXPECT_EQ(config::format_binding(binding), kBinding);
}

TEST(FilterBindingTest, RefusesWhatIsNoDeviceOrMissing) {
  for (const char* device : {"", "a/b", "..", "0123456789abcdef", "a b", "tap*"}) {
    std::string xml = kBinding;
    xml.replace(xml.find("vnet0"), 5, device);
    EXPECT_THROW(config::parse_binding(xml), Error) << device;
  }
  for (const char* part :
       {"<portdev name='vnet0'/>", "<mac address='52:54:00:7b:35:93'/>", "<name>guest</name>"}) {
    std::string xml = kBinding;
    xml.erase(xml.find(part), std::string_view(part).size());
    EXPECT_THROW(config::parse_binding(xml), Error) << part;
  }
}

}  // namespace
}  // namespace warren::driver::nwfilter
