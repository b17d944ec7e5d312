// <vlan>, <virtualport>, <bandwidth> and host PCI addresses: what is taken and how it is written, what is
// refused and how (T18). The texts on the right are libvirt 9.0.0's own for the texts on the left.

#include "driver/config/port_xml.h"

#include <gtest/gtest.h>

namespace warren::driver::config {
namespace {

constexpr const char* kUuid = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f";

std::string rewritten(const std::string& xml) {
  XmlDocument document(xml, "part");
  XmlElement& root = document.root();
  XmlWriter writer;
  if (root.name() == "vlan") {
    format_vlan(writer, parse_vlan(root));
  } else if (root.name() == "virtualport") {
    format_virtual_port(writer, parse_virtual_port(root, true));
  } else if (root.name() == "bandwidth") {
    format_bandwidth(writer, parse_bandwidth(&root, true), 0);
  } else {
    format_host_pci_address(writer, parse_host_pci_address(root));
  }
  root.refuse_unread();
  return writer.take();
}

struct Pair {
  std::string given, written;
};

TEST(PortXml, IsWrittenAsLibvirtDoes) {
  const std::string uuid = kUuid;
  for (const auto& [given, written] : {
           Pair{"<vlan><tag id='5'/></vlan>", "<vlan>\n  <tag id='5'/>\n</vlan>\n"},
           Pair{"<vlan trunk='no'><tag id='0'/></vlan>", "<vlan>\n  <tag id='0'/>\n</vlan>\n"},
           Pair{"<vlan trunk='yes'><tag id='4095'/></vlan>",
                "<vlan trunk='yes'>\n  <tag id='4095'/>\n</vlan>\n"},
           Pair{"<vlan><tag id='7'/><tag id='5' nativeMode='tagged'/></vlan>",
                "<vlan trunk='yes'>\n  <tag id='7'/>\n  <tag id='5' nativeMode='tagged'/>\n</vlan>\n"},
           Pair{"<vlan><tag id='7' nativeMode='untagged'/></vlan>",
                "<vlan trunk='yes'>\n  <tag id='7' nativeMode='untagged'/>\n</vlan>\n"},
           Pair{"<virtualport type='openvswitch'/>", "<virtualport type='openvswitch'/>\n"},
           Pair{"<virtualport type='openvswitch'><parameters/></virtualport>",
                "<virtualport type='openvswitch'/>\n"},
           Pair{"<virtualport type='openvswitch'><parameters profileid='p' interfaceid='" + uuid +
                    "'/></virtualport>",
                "<virtualport type='openvswitch'>\n  <parameters interfaceid='" + uuid +
                    "' profileid='p'/>\n</virtualport>\n"},
           Pair{"<virtualport type='midonet'><parameters interfaceid='" + uuid + "'/></virtualport>",
                "<virtualport type='midonet'>\n  <parameters interfaceid='" + uuid + "'/>\n</virtualport>\n"},
           Pair{"<virtualport type='802.1Qbg'><parameters instanceid='" + uuid +
                    "' managerid='0x1' typeid='0xff' typeidversion='3'/></virtualport>",
                "<virtualport type='802.1Qbg'>\n  <parameters managerid='1' typeid='255' typeidversion='3' "
                "instanceid='" +
                    uuid + "'/>\n</virtualport>\n"},
           Pair{"<virtualport type='802.1Qbh'><parameters profileid=''/></virtualport>",
                "<virtualport type='802.1Qbh'/>\n"},
           Pair{"<bandwidth/>", ""},
           Pair{"<bandwidth><outbound average='9'/><inbound average='4' peak='5' burst='6' "
                "floor='7'/></bandwidth>",
                "<bandwidth>\n  <inbound average='4' peak='5' floor='7' burst='6'/>\n"
                "  <outbound average='9'/>\n</bandwidth>\n"},
           Pair{"<bandwidth><inbound floor='7'/></bandwidth>",
                "<bandwidth>\n  <inbound floor='7'/>\n</bandwidth>\n"},
           Pair{"<bandwidth><inbound average='4' peak='0' floor='0'/></bandwidth>",
                "<bandwidth>\n  <inbound average='4'/>\n</bandwidth>\n"},
           Pair{"<address type='pci' domain='0x0001' bus='4' slot='0x1f' function='7'/>",
                "<address type='pci' domain='0x0001' bus='0x04' slot='0x1f' function='0x7'/>\n"},
           Pair{"<address bus='1'/>",
                "<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"},
       }) {
    EXPECT_EQ(rewritten(given), written);
    if (!written.empty()) {
      EXPECT_EQ(rewritten(written), written);
    }
  }
}

TEST(PortXml, T18WhatIsRefused) {
  struct Case {
    const char* xml;
    int code;
    const char* says;
  };
  for (const Case& c : {
           Case{"<vlan/>", VIR_ERR_XML_ERROR, "at least one <tag"},
           Case{"<vlan trunk='x'><tag id='5'/></vlan>", VIR_ERR_XML_ERROR, "/vlan/@trunk"},
           Case{"<vlan trunk='no'><tag id='5'/><tag id='6'/></vlan>", VIR_ERR_XML_ERROR, "makes a trunk"},
           Case{"<vlan trunk='no'><tag id='5' nativeMode='tagged'/></vlan>", VIR_ERR_XML_ERROR,
                "makes a trunk"},
           Case{"<vlan><tag/></vlan>", VIR_ERR_XML_ERROR, "/vlan/tag/@id"},
           Case{"<vlan><tag id='4096'/></vlan>", VIR_ERR_XML_ERROR, "4095"},
           Case{"<vlan><tag id='1' nativeMode='x'/></vlan>", VIR_ERR_XML_ERROR, "nativeMode"},
           Case{"<vlan><tag id='1' nativeMode='tagged'/><tag id='2' nativeMode='untagged'/></vlan>",
                VIR_ERR_XML_ERROR, "/vlan/tag[2]/@nativeMode"},
           Case{"<vlan><tag id='1' gold='1'/></vlan>", VIR_ERR_CONFIG_UNSUPPORTED, "gold"},
           Case{"<virtualport/>", VIR_ERR_XML_ERROR, "/virtualport/@type"},
           Case{"<virtualport type='gold'/>", VIR_ERR_XML_ERROR, "openvswitch"},
           Case{"<virtualport type='openvswitch'><parameters managerid='4'/></virtualport>",
                VIR_ERR_XML_ERROR, "managerid"},
           Case{"<virtualport type='openvswitch'><parameters interfaceid='x'/></virtualport>",
                VIR_ERR_XML_ERROR, "not a UUID"},
           Case{"<virtualport type='midonet'><parameters profileid='p'/></virtualport>", VIR_ERR_XML_ERROR,
                "profileid"},
           Case{"<virtualport type='802.1Qbg'><parameters managerid='256'/></virtualport>", VIR_ERR_XML_ERROR,
                "255"},
           Case{"<virtualport type='802.1Qbg'><parameters typeid='16777216'/></virtualport>",
                VIR_ERR_XML_ERROR, "16777215"},
           Case{"<virtualport type='802.1Qbg'><parameters typeidversion='256'/></virtualport>",
                VIR_ERR_XML_ERROR, "255"},
           Case{"<virtualport type='802.1Qbg'><parameters profileid='p'/></virtualport>", VIR_ERR_XML_ERROR,
                "profileid"},
           Case{"<virtualport type='802.1Qbh'><parameters "
                "profileid='1234567890123456789012345678901234567890'/></virtualport>",
                VIR_ERR_XML_ERROR, "39 bytes"},
           Case{"<bandwidth><inbound/></bandwidth>", VIR_ERR_XML_ERROR, "average"},
           Case{"<bandwidth><inbound average='0'/></bandwidth>", VIR_ERR_XML_ERROR, "average"},
           Case{"<bandwidth><inbound average='4294967296'/></bandwidth>", VIR_ERR_XML_ERROR, "average"},
           Case{"<bandwidth><inbound floor='7' peak='4'/></bandwidth>", VIR_ERR_CONFIG_UNSUPPORTED,
                "need 'average'"},
           Case{"<bandwidth><outbound average='4' floor='7'/></bandwidth>", VIR_ERR_CONFIG_UNSUPPORTED,
                "/bandwidth/outbound/@floor"},
           Case{"<bandwidth classID='5'/>", VIR_ERR_CONFIG_UNSUPPORTED, "classID"},
           Case{"<address type='usb'/>", VIR_ERR_CONFIG_UNSUPPORTED, "usb"},
           Case{"<address slot='32'/>", VIR_ERR_XML_ERROR, "slot"},
       }) {
    try {
      rewritten(c.xml);
      FAIL() << c.xml;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), c.code) << error.message();
      EXPECT_NE(error.message().find(c.says), std::string::npos) << error.message();
    }
  }
}

TEST(PortXml, WithoutATypeAVirtualPortHasAnyParameters) {
  const std::string xml = "<virtualport>\n  <parameters managerid='1' interfaceid='" + std::string(kUuid) +
                          "' profileid='p'/>\n</virtualport>\n";
  XmlDocument document(xml, "part");
  XmlWriter writer;
  format_virtual_port(writer, parse_virtual_port(document.root(), false));
  EXPECT_EQ(writer.take(), xml);
}

TEST(PortXml, OnlyANetworkGuaranteesARate) {
  XmlDocument document("<bandwidth><inbound average='4' floor='7'/></bandwidth>", "part");
  try {
    parse_bandwidth(&document.root());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED);
    EXPECT_NE(error.message().find("/bandwidth/inbound/@floor"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace warren::driver::config
