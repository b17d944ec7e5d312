// <networkport>: round trips of each plug, what is refused, and that the schema agrees (T18).

#include "driver/config/network_port.h"

#include <string>

#include <gtest/gtest.h>

#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

// Elements in libvirt's order, with everything but the plug.
std::string document(const std::string& plug) {
  return "<networkport>\n"
         "  <uuid>5c1a5a2d-8a0b-4e0c-9d3c-1f1b0c9b7a01</uuid>\n"
         "  <owner>\n"
         "    <name>web &amp; mail</name>\n"
         "    <uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>\n"
         "  </owner>\n"
         "  <group>office</group>\n"
         "  <mac address='52:54:00:7b:35:93'/>\n"
         "  <virtualport type='802.1Qbg'>\n"
         "    <parameters managerid='11' typeid='1193047' typeidversion='2'/>\n"
         "  </virtualport>\n"
         "  <bandwidth classID='4'>\n"
         "    <inbound average='1000' peak='5000' floor='200' burst='1024'/>\n"
         "    <outbound average='128' peak='256' burst='256'/>\n"
         "  </bandwidth>\n"
         "  <vlan trunk='yes'>\n"
         "    <tag id='42' nativeMode='tagged'/>\n"
         "    <tag id='47'/>\n"
         "  </vlan>\n"
         "  <port isolated='yes'/>\n"
         "  <rxfilters trustGuest='no'/>\n" +
         plug + "</networkport>\n";
}

TEST(NetworkPort, EveryPlugIsWrittenAsItWasRead) {
  for (const std::string plug :
       {"", "  <plug type='network' bridge='virbr0' macTableManager='libvirt'/>\n",
        "  <plug type='bridge' bridge='br0'/>\n", "  <plug type='direct' dev='eth0' mode='passthrough'/>\n",
        "  <plug type='direct' dev='eth0' mode='vepa'/>\n",
        "  <plug type='direct' dev='eth0' mode='private'/>\n",
        "  <plug type='direct' dev='eth0' mode='bridge'/>\n",
        "  <plug type='hostdev-pci' managed='yes'>\n"
        "    <driver name='vfio'/>\n"
        "    <address type='pci' domain='0x0001' bus='0x02' slot='0x03' function='0x4'/>\n"
        "  </plug>\n"}) {
    const std::string text = document(plug);
    const NetworkPort port = parse_network_port(text, true);
    EXPECT_EQ(format_network_port(port), text);
    EXPECT_EQ(parse_network_port(format_network_port(port), true), port);
    EXPECT_EQ(port.owner_name, "web & mail");
    EXPECT_EQ(port.group, "office");
    EXPECT_EQ(port.class_id, 4u);
    EXPECT_EQ(port.bandwidth->inbound->floor, 200u);
  }
}

constexpr const char* kLeast =
    "<networkport>\n"
    "  <uuid>5c1a5a2d-8a0b-4e0c-9d3c-1f1b0c9b7a01</uuid>\n"
    "  <owner>\n"
    "    <name>web</name>\n"
    "    <uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>\n"
    "  </owner>\n"
    "  <mac address='52:54:00:7b:35:93'/>\n"
    "</networkport>\n";

TEST(NetworkPort, TheLeastThereIs) {
  const NetworkPort port = parse_network_port(kLeast, true);
  EXPECT_EQ(format_network_port(port), kLeast);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(port.plug));
  EXPECT_FALSE(port.isolated || port.trust_guest_rx_filters || port.bandwidth || port.vlan);
}

TEST(NetworkPort, T18WhatIsRefused) {
  struct Case {
    std::string from, to;
    int code;
    const char* says;
  };
  const std::string least = kLeast;
  for (const Case& c : {
           Case{"networkport>", "port>", VIR_ERR_XML_ERROR, "<networkport>"},
           Case{"5c1a5a2d", "x", VIR_ERR_XML_ERROR, "no UUID"},
           Case{"<name>web</name>", "", VIR_ERR_XML_ERROR, "<name> is missing"},
           Case{"<name>web</name>", "<name/>", VIR_ERR_XML_ERROR, "<name> is empty"},
           Case{"0a81f5b2", "x", VIR_ERR_XML_ERROR, "/networkport/owner/uuid"},
           Case{"<mac address='52:54:00:7b:35:93'/>", "", VIR_ERR_XML_ERROR, "<mac> is missing"},
           Case{"52:54:00:7b:35:93", "52:54", VIR_ERR_XML_ERROR, "not a MAC address"},
           Case{"52:54", "53:54", VIR_ERR_XML_ERROR, "multicast"},
           Case{"<mac", "<gold/><mac", VIR_ERR_CONFIG_UNSUPPORTED, "gold"},
           Case{"<mac", "<plug/><mac", VIR_ERR_XML_ERROR, "/networkport/plug/@type"},
           Case{"<mac", "<plug type='gold'/><mac", VIR_ERR_XML_ERROR, "hostdev-pci"},
           Case{"<mac", "<plug type='bridge'/><mac", VIR_ERR_XML_ERROR, "@bridge"},
           Case{"<mac", "<plug type='bridge' bridge='b' dev='e'/><mac", VIR_ERR_CONFIG_UNSUPPORTED, "@dev"},
           Case{"<mac", "<plug type='bridge' bridge='b' macTableManager='x'/><mac", VIR_ERR_XML_ERROR,
                "macTableManager"},
           Case{"<mac", "<plug type='direct'/><mac", VIR_ERR_XML_ERROR, "@dev"},
           Case{"<mac", "<plug type='direct' dev='e' mode='x'/><mac", VIR_ERR_XML_ERROR, "@mode"},
           Case{"<mac", "<plug type='hostdev-pci'/><mac", VIR_ERR_XML_ERROR, "<address> is missing"},
           Case{"<mac", "<plug type='hostdev-pci'><driver name='xen'/><address/></plug><mac",
                VIR_ERR_CONFIG_UNSUPPORTED, "xen"},
           Case{"<mac", "<bandwidth classID='0'><inbound average='1'/></bandwidth><mac", VIR_ERR_XML_ERROR,
                "classID"},
           Case{"<mac", "<rxfilters trustGuest='x'/><mac", VIR_ERR_XML_ERROR, "trustGuest"},
           Case{"<mac", "<port isolated='x'/><mac", VIR_ERR_XML_ERROR, "isolated"},
           Case{"<mac", "<virtualport/><mac", VIR_ERR_XML_ERROR, "virtualport"},
       }) {
    std::string text = least;
    for (std::size_t at = text.find(c.from); at != std::string::npos;
         at = text.find(c.from, at + c.to.size()))
      text.replace(at, c.from.size(), c.to);
    try {
      parse_network_port(text, false);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), c.code) << error.message();
      EXPECT_EQ(error.domain(), VIR_FROM_NETWORK) << error.message();
      EXPECT_NE(error.message().find(c.says), std::string::npos) << error.message();
    }
  }
}

TEST(NetworkPort, TheSchemaRefusesWhatIsNotOfIt) {
  for (const char* element : {"<gold/>", "<plug/>", "<plug type='bridge'/>", "<plug type='hostdev-pci'/>"}) {
    std::string text = kLeast;
    text.replace(text.find("<mac"), 0, element);
    try {
      parse_network_port(text, true);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_XML_INVALID_SCHEMA) << error.message();
    }
  }
}

}  // namespace
}  // namespace warren::driver::config
