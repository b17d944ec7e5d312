// What the documents say of interfaces that no link of the host is behind, and of who moves packets.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string domain(std::string_view interface, std::string_view backing = {}) {
  return fmt::format(
      "<domain type='kvm'><name>d</name><memory>65536</memory>{}<os><type arch='x86_64' machine='q35'>hvm"
      "</type><kernel>/k</kernel></os><devices>{}</devices></domain>",
      backing, interface);
}

constexpr std::string_view kShared = "<memoryBacking><access mode='shared'/></memoryBacking>";

std::string user(std::string_view elements) {
  return fmt::format("<interface type='user'>{}</interface>", elements);
}
std::string bridge(std::string_view elements) {
  return fmt::format("<interface type='bridge'><source bridge='br0'/>{}</interface>", elements);
}
std::string vhost_user(std::string_view attributes, std::string_view inside = {},
                       std::string_view elements = {}) {
  return fmt::format("<interface type='vhostuser'><source type='unix' {}>{}</source>{}</interface>",
                     attributes, inside, elements);
}

std::string refusal(const std::string& text) {
  try {
    parse_domain(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

// As it is written again, which reads the same.
std::string written(const std::string& text) {
  const DomainDefinition definition = parse_domain(text, {.validate = true});
  std::string result = format_domain(definition);
  EXPECT_EQ(parse_domain(result, {.validate = true}), definition);
  return result;
}

TEST(InterfaceDriver, SaysWhoMovesPackets) {
  EXPECT_EQ(parse_domain(domain(bridge(""))).devices.interfaces.at(0).driver.name, std::nullopt);
  const std::string text = written(domain(bridge(
      "<driver name='vhost' txmode='iothread' ioeventfd='on' event_idx='on' queues='4' rx_queue_size='512'/>"
      "<backend tap='/dev/net/tun' vhost='/dev/vhost-net'/>")));
  EXPECT_THAT(text, HasSubstr("<driver name='vhost' txmode='iothread' ioeventfd='on' event_idx='on' "
                              "queues='4' rx_queue_size='512'/>"));
  EXPECT_THAT(text, HasSubstr("<backend tap='/dev/net/tun' vhost='/dev/vhost-net'/>"));
  EXPECT_THAT(written(domain(bridge("<driver name='qemu'/>"))), HasSubstr("<driver name='qemu'/>"));
}

TEST(InterfaceDriver, WhatHasNoEffectIsRefusedByName) {
  for (const auto& [elements, name] :
       {std::pair("<driver txmode='timer'/>", "@txmode"),
        std::pair("<driver ioeventfd='off'/>", "@ioeventfd"),
        std::pair("<driver event_idx='off'/>", "@event_idx"),
        std::pair("<driver name='vhost' packed='on'/>", "@packed"), std::pair("<driver rss='on'/>", "@rss"),
        std::pair("<backend tap='/dev/tap9'/>", "@tap"),
        std::pair("<backend vhost='/dev/vhost-net'/>", "@vhost"),
        std::pair("<backend type='passt'/>", "@type"), std::pair("<backend logFile='/l'/>", "@logFile")})
    EXPECT_THAT(refusal(domain(bridge(elements))), HasSubstr(name));
  EXPECT_THAT(refusal(domain(bridge("<driver name='xen'/>"))), HasSubstr("qemu, vhost"));
}

TEST(UserInterface, IsReadAndWrittenAsLibvirtHasIt) {
  const std::string text = written(domain(
      user("<source dev='eth0'/><backend type='passt' logFile='/var/log/passt.log'/>"
           "<ip family='ipv4' address='172.17.2.4' prefix='24'/><ip family='ipv6' address='2001:db8::4'/>"
           "<portForward proto='tcp' address='2001:db8::1' dev='eth1'><range start='2022' to='22'/>"
           "<range start='5000' end='5020' to='6000'/><range start='5010' exclude='yes'/></portForward>"
           "<portForward proto='udp'/>")));
  EXPECT_THAT(
      text, AllOf(HasSubstr("<interface type='user'>"), HasSubstr("<source dev='eth0'/>"),
                  HasSubstr("<backend type='passt' logFile='/var/log/passt.log'/>"),
                  HasSubstr("<ip address='172.17.2.4' family='ipv4' prefix='24'/>"),
                  HasSubstr("<ip address='2001:db8::4' family='ipv6'/>"),
                  HasSubstr("<portForward proto='tcp' address='2001:db8::1' dev='eth1'>"),
                  HasSubstr("<range start='5000' end='5020' to='6000'/>"),
                  HasSubstr("<range start='5010' exclude='yes'/>"), HasSubstr("<portForward proto='udp'/>")));
  EXPECT_THAT(written(domain(user(""))), Not(HasSubstr("<backend")));
}

TEST(UserInterface, PortsAreChecked) {
  const auto forward = [](std::string_view range) {
    return domain(user(fmt::format("<portForward proto='tcp'><range {}/></portForward>", range)));
  };
  for (const auto& [range, name] :
       {std::pair("start='0'", "@start"), std::pair("start='65536'", "@start"),
        std::pair("end='5'", "@start"), std::pair("start='9' end='8'", "@end"),
        std::pair("start='1' end='3' to='65534'", "@to"), std::pair("start='1' to='0'", "@to"),
        std::pair("start='1' to='2' exclude='yes'", "@to"),
        std::pair("start='1' exclude='maybe'", "@exclude")})
    EXPECT_THAT(refusal(forward(range)), HasSubstr(name)) << range;
  EXPECT_EQ(refusal(forward("start='1' end='3' to='65533'")), "accepted");
  EXPECT_THAT(refusal(domain(user("<portForward/>"))), HasSubstr("@proto"));
  EXPECT_THAT(refusal(domain(user("<portForward proto='tcp' address='192.0.2.1'/>"))),
              HasSubstr("say which ports"));
  EXPECT_THAT(refusal(domain(user("<portForward proto='tcp' address='host'/>"))), HasSubstr("'host'"));
  EXPECT_THAT(refusal(domain(user("<portForward proto='tcp' dev='a/b'/>"))), HasSubstr("@dev"));
}

TEST(UserInterface, HasOneAddressOfEachFamily) {
  for (const auto& [elements, name] :
       {std::pair("<ip address='10.0.0.1'/><ip address='10.0.0.2'/>", "one address of each family"),
        std::pair("<ip address='10.0.0.1' family='ipv6'/>", "@family"),
        std::pair("<ip address='10.0.0.1' prefix='33'/>", "@prefix"),
        std::pair("<ip address='2001:db8::1' family='ipv6' prefix='48'/>", "prefix of 64"),
        std::pair("<ip address='ten'/>", "@address")})
    EXPECT_THAT(refusal(domain(user(elements))), HasSubstr(name)) << elements;
}

TEST(UserInterface, HasNoLink) {
  for (const char* element :
       {"<target dev='tap0'/>", "<vlan><tag id='1'/></vlan>", "<port isolated='yes'/>",
        "<filterref filter='clean-traffic'/>", "<bandwidth><inbound average='9'/></bandwidth>",
        "<driver name='vhost'/>", "<backend tap='/dev/net/tun'/>"})
    EXPECT_THAT(refusal(domain(user(element))), HasSubstr("no")) << element;
  EXPECT_THAT(refusal(domain(user("<driver queues='2'/>"))), HasSubstr("@queues"));
  EXPECT_EQ(refusal(domain(user("<driver name='qemu' packed='on' rx_queue_size='1024'/>"))), "accepted");
}

TEST(VhostUserInterface, IsReadAndWrittenAsLibvirtHasIt) {
  const std::string text = written(domain(
      vhost_user("path='/run/a.sock' mode='client'", "<reconnect enabled='no'/>", "<driver queues='4'/>"),
      kShared));
  EXPECT_THAT(text, HasSubstr("<source type='unix' path='/run/a.sock' mode='client'/>"));
}

TEST(VhostUserInterface, WhatCannotBeIsRefusedByName) {
  EXPECT_THAT(refusal(domain(vhost_user("path='/a' mode='client'"))), HasSubstr("requires shared memory"));
  EXPECT_THAT(refusal(domain(vhost_user("path='/a' mode='server'"), kShared)), HasSubstr("@mode"));
  EXPECT_THAT(refusal(domain(vhost_user("path='/a'"), kShared)), HasSubstr("@mode"));
  EXPECT_THAT(refusal(domain(vhost_user("path='a' mode='client'"), kShared)), HasSubstr("@path"));
  EXPECT_THAT(refusal(domain(vhost_user("path='/a' mode='client'", "<reconnect enabled='yes' timeout='9'/>"),
                             kShared)),
              HasSubstr("@enabled"));
  EXPECT_THAT(refusal(domain(vhost_user("path='/a' mode='client'", "", "<driver packed='on'/>"), kShared)),
              HasSubstr("@packed"));
  EXPECT_THAT(refusal(domain("<interface type='vhostuser'/>", kShared)), HasSubstr("<source type='unix'"));
}

}  // namespace
}  // namespace warren::driver::config
