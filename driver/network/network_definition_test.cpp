// <network>: documents beside what libvirt makes of them (tests/corpora/network-xml), what libvirt's test
// driver cannot show, and every refusal with its message (T18).

#include "driver/network/network_definition.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "driver/contract/error.h"

namespace warren::driver::network {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

std::vector<fs::path> corpus() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(NETWORK_CORPUS))
    if (entry.path().extension() == ".xml" && entry.path().stem().extension() != ".libvirt")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(NetworkCorpus, IsWrittenAsLibvirtWritesIt) {
  ASSERT_GE(corpus().size(), 14u);
  for (const fs::path& file : corpus()) {
    const NetworkDefinition definition = parse_network(read_file(file), true);
    EXPECT_EQ(format_network(definition, nullptr),
              read_file(fs::path(file).replace_extension(".libvirt.xml")))
        << file;
  }
}

TEST(NetworkCorpus, T18ParseAfterFormatIsIdentity) {
  for (const fs::path& file : corpus()) {
    NetworkDefinition definition = parse_network(read_file(file), true);
    EXPECT_EQ(parse_network(format_network(definition, nullptr), true), definition) << file;
    fill_defaults(definition);
    EXPECT_EQ(definition.mac.has_value(), definition.owns_bridge());
    EXPECT_EQ(parse_network(format_network(definition, nullptr), true), definition) << file;
  }
}

TEST(NetworkCorpus, LibvirtsSchemaTakesWhatIsWritten) {
  constexpr const char* kPath = "/usr/share/libvirt/schemas/network.rng";
  if (!fs::exists(kPath)) GTEST_SKIP() << kPath << " is not installed (package libvirt0)";
  std::unique_ptr<xmlRelaxNGParserCtxt, void (*)(xmlRelaxNGParserCtxtPtr)> parser(
      xmlRelaxNGNewParserCtxt(kPath), xmlRelaxNGFreeParserCtxt);
  std::unique_ptr<xmlRelaxNG, void (*)(xmlRelaxNGPtr)> schema(xmlRelaxNGParse(parser.get()), xmlRelaxNGFree);
  ASSERT_TRUE(schema);
  for (const fs::path& file : corpus()) {
    const std::string xml = format_network(parse_network(read_file(file), false), nullptr);
    std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
        xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "document", nullptr, XML_PARSE_NONET),
        xmlFreeDoc);
    std::unique_ptr<xmlRelaxNGValidCtxt, void (*)(xmlRelaxNGValidCtxtPtr)> validator(
        xmlRelaxNGNewValidCtxt(schema.get()), xmlRelaxNGFreeValidCtxt);
    EXPECT_EQ(xmlRelaxNGValidateDoc(validator.get(), document.get()), 0) << xml;
  }
}

// What libvirt 9.0.0's test driver does not know: titles, metadata as it is kept here, dnsmasq's options.
constexpr const char* kOurs =
    "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>\n"
    "  <name>n</name>\n"
    "  <uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>\n"
    "  <title>A &lt;title&gt;</title>\n"
    "  <description>two\nlines</description>\n"
    "  <metadata>\n"
    "    <app:note xmlns:app='urn:app'><app:of it='1'/></app:note>\n"
    "  </metadata>\n"
    "  <bridge name='virbr%d' stp='on' delay='0'/>\n"
    "  <ip address='10.0.0.1' prefix='24'>\n"
    "    <dhcp>\n"
    "      <bootp file='pxelinux.0'/>\n"
    "    </dhcp>\n"
    "  </ip>\n"
    "  <dnsmasq:options>\n"
    "    <dnsmasq:option value='foo=bar'/>\n"
    "    <dnsmasq:option value='cname=*.foo.example.com,master.example.com'/>\n"
    "  </dnsmasq:options>\n"
    "</network>\n";

TEST(NetworkDefinition, WhatTheTestDriverDoesNotKnow) {
  const NetworkDefinition definition = parse_network(kOurs, true);
  EXPECT_EQ(format_network(definition, nullptr), kOurs);
  EXPECT_EQ(definition.title, "A <title>");
  EXPECT_EQ(definition.metadata.size(), 1u);
  EXPECT_EQ(definition.dnsmasq_options.front(), "foo=bar");
  EXPECT_FALSE(definition.addresses.front().has_dhcp());
}

TEST(NetworkDefinition, ConnectionsAreOfARunningNetworkOnly) {
  const NetworkDefinition definition = parse_network(
      "<network><name>n</name><forward mode='vepa'><interface dev='a'/><interface "
      "dev='b'/></forward></network>",
      false);
  const LiveFigures live{.connections = 3, .interface_connections = {3, 0}};
  const std::string text = format_network(definition, &live);
  EXPECT_TRUE(text.starts_with("<network connections='3'>\n")) << text;
  EXPECT_NE(text.find("<interface dev='a' connections='3'/>"), std::string::npos) << text;
  EXPECT_NE(text.find("<interface dev='b'/>"), std::string::npos) << text;
  EXPECT_EQ(parse_network(text, true), definition);
  EXPECT_EQ(format_network(definition, nullptr).find("connections"), std::string::npos);
  const LiveFigures idle;
  EXPECT_EQ(format_network(definition, &idle), format_network(definition, nullptr));
}

TEST(NetworkDefinition, AListBesideThePhysicalFunctionIsKept) {
  const std::string text =
      "  <forward mode='hostdev' managed='yes'>\n"
      "    <pf dev='ens1'/>\n"
      "    <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x1'/>\n"
      "  </forward>\n";
  const NetworkDefinition definition = parse_network("<network><name>n</name>" + text + "</network>", true);
  EXPECT_NE(format_network(definition, nullptr).find(text), std::string::npos);
  EXPECT_EQ(definition.forward->physical_function, "ens1");
  EXPECT_EQ(definition.forward->addresses.size(), 1u);
}

TEST(NetworkDefinition, DefaultsAreAnAddressOfTheBridge) {
  NetworkDefinition definition = parse_network("<network><name>n</name></network>", false);
  EXPECT_FALSE(definition.uuid.is_nil());
  EXPECT_FALSE(definition.mac);
  fill_defaults(definition);
  ASSERT_TRUE(definition.mac);
  EXPECT_EQ(config::format_mac_address(*definition.mac).substr(0, 9), "52:54:00:");
  const NetworkDefinition filled = definition;
  fill_defaults(definition);
  EXPECT_EQ(definition, filled);
  NetworkDefinition foreign =
      parse_network("<network><name>n</name><forward mode='private'/></network>", false);
  fill_defaults(foreign);
  EXPECT_FALSE(foreign.mac);
}

TEST(NetworkDefinition, PrefixesThatAreNotSaid) {
  const auto prefix = [](const std::string& attributes) {
    return parse_network("<network><name>n</name><ip " + attributes + "/></network>", false)
        .addresses.front()
        .effective_prefix();
  };
  EXPECT_EQ(prefix("address='10.0.0.1'"), 8u);
  EXPECT_EQ(prefix("address='127.255.0.1'"), 8u);
  EXPECT_EQ(prefix("address='128.0.0.1'"), 16u);
  EXPECT_EQ(prefix("address='192.168.0.1'"), 24u);
  EXPECT_EQ(prefix("address='192.168.0.1' prefix='0'"), 24u);
  EXPECT_EQ(prefix("address='192.168.0.1' netmask='255.255.255.252'"), 30u);
  EXPECT_EQ(prefix("family='ipv6' address='fd00::1'"), 64u);
  EXPECT_EQ(prefix("family='ipv6' address='fd00::1' prefix='48'"), 48u);
}

struct Refusal {
  std::string inside;  // of <network><name>n</name>…</network>
  int code;
  const char* says;
};

void expect_refused(const std::string& xml, int code, const std::string& says) {
  try {
    parse_network(xml, false);
    ADD_FAILURE() << "taken: " << xml;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message() << xml;
    EXPECT_EQ(error.domain(), VIR_FROM_NETWORK) << error.message();
    EXPECT_NE(error.message().find(says), std::string::npos) << error.message();
  }
}

void expect_all_refused(const std::vector<Refusal>& refusals) {
  for (const Refusal& one : refusals)
    expect_refused("<network><name>n</name>" + one.inside + "</network>", one.code, one.says);
}

TEST(NetworkRefusals, Identity) {
  expect_refused("<domain/>", VIR_ERR_XML_ERROR, "<network>");
  expect_refused("<network/>", VIR_ERR_NO_NAME, "<name>");
  expect_refused("<network><name/></network>", VIR_ERR_NO_NAME, "<name>");
  expect_refused("<network><name>a/b</name></network>", VIR_ERR_XML_DETAIL, "'a/b' cannot name a network");
  expect_refused("<network><name>..</name></network>", VIR_ERR_XML_DETAIL, "'..'");
  expect_refused("<network><name>" + std::string(241, 'n') + "</name></network>", VIR_ERR_XML_ERROR, "240");
  expect_refused("<network gold='1'><name>n</name></network>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/@gold");
  expect_refused("<network ipv6='x'><name>n</name></network>", VIR_ERR_XML_ERROR, "/network/@ipv6 (line 1)");
  expect_refused("<network trustGuestRxFilters='x'><name>n</name></network>", VIR_ERR_XML_ERROR,
                 "trustGuest");
  expect_all_refused({
      {"<uuid>x</uuid>", VIR_ERR_XML_ERROR, "no UUID"},
      {"<gold/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/gold"},
      {"<title>a\nb</title>", VIR_ERR_XML_ERROR, "/network/title"},
      {"<metadata><a/></metadata>", VIR_ERR_XML_ERROR, "namespace"},
      {"<metadata><a xmlns='urn:a'/><b xmlns='urn:a'/></metadata>", VIR_ERR_XML_ERROR, "two elements"},
      {"<domain/>", VIR_ERR_XML_ERROR, "/network/domain/@name"},
      {"<domain name='a b'/>", VIR_ERR_XML_ERROR, "not a name that DNS can have"},
      {"<domain name='a&#10;dhcp-script=/x'/>", VIR_ERR_XML_ERROR, "/network/domain/@name"},
      {"<domain name='a' localOnly='x'/>", VIR_ERR_XML_ERROR, "localOnly"},
      {"<domain name='a' register='yes'/>", VIR_ERR_CONFIG_UNSUPPORTED, "register"},
      {"<mtu/>", VIR_ERR_XML_ERROR, "/network/mtu/@size"},
      {"<mtu size='67'/>", VIR_ERR_XML_ERROR, "68"},
      {"<mtu size='65536'/>", VIR_ERR_XML_ERROR, "65535"},
      {"<mac address='x'/>", VIR_ERR_XML_ERROR, "not a MAC address"},
      {"<mac address='01:00:00:00:00:01'/>", VIR_ERR_XML_ERROR, "multicast"},
      {"<port isolated='x'/>", VIR_ERR_XML_ERROR, "isolated"},
      {"<bandwidth><inbound average='1' floor='1'/></bandwidth>", VIR_ERR_CONFIG_UNSUPPORTED, "floor"},
      {"<dnsmasq:options xmlns:dnsmasq='d'><dnsmasq:option value='a&#10;b'/></dnsmasq:options>",
       VIR_ERR_XML_ERROR, "control character"},
      {"<dnsmasq:options xmlns:dnsmasq='d'><dnsmasq:option/></dnsmasq:options>", VIR_ERR_XML_ERROR, "@value"},
  });
}

TEST(NetworkRefusals, Forward) {
  const std::string ip = "<ip address='10.0.0.1' prefix='24'/>";
  expect_all_refused({
      {"<forward mode='gold'/>", VIR_ERR_XML_ERROR, "hostdev"},
      {"<forward/>", VIR_ERR_XML_ERROR, "mode 'nat' needs <ip>"},
      {"<forward mode='route'/>", VIR_ERR_XML_ERROR, "mode 'route' needs <ip>"},
      {"<forward mode='open'/>", VIR_ERR_XML_ERROR, "mode 'open' needs <ip>"},
      {"<forward/><forward/>" + ip, VIR_ERR_XML_ERROR, "there may be only one"},
      {"<forward mode='none' dev='e'/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/forward/@dev"},
      {"<forward dev='a/b'/>" + ip, VIR_ERR_XML_ERROR, "not the name of a network interface"},
      {"<forward><interface/></forward>" + ip, VIR_ERR_XML_ERROR, "/network/forward/interface/@dev"},
      {"<forward mode='open' dev='e'/>" + ip, VIR_ERR_XML_ERROR, "not bound to an interface"},
      {"<forward><interface dev='e'/><interface dev='f'/></forward>" + ip, VIR_ERR_XML_ERROR,
       "one interface at most"},
      {"<forward mode='vepa'><interface dev='e'/><interface dev='e'/></forward>", VIR_ERR_XML_ERROR,
       "listed twice"},
      {"<forward mode='vepa' dev='f'><interface dev='e'/></forward>", VIR_ERR_XML_ERROR,
       "first <interface>, 'e'"},
      {"<forward mode='vepa' dev='f'><pf dev='e'/></forward>", VIR_ERR_XML_ERROR, "beside <pf>"},
      {"<forward mode='vepa'><pf dev='e'/><pf dev='f'/></forward>", VIR_ERR_XML_ERROR,
       "there may be only one"},
      {"<forward><pf dev='e'/></forward>" + ip, VIR_ERR_XML_ERROR, "no pool of virtual functions"},
      {"<forward mode='vepa'><address bus='1'/></forward>", VIR_ERR_CONFIG_UNSUPPORTED, "'hostdev'"},
      {"<forward mode='hostdev'><address type='usb'/></forward>", VIR_ERR_CONFIG_UNSUPPORTED, "usb"},
      {"<forward mode='hostdev'><address bus='1'/><address bus='1'/></forward>", VIR_ERR_XML_ERROR,
       "0000:01:00.0"},
      {"<forward mode='hostdev'><interface dev='e'/><address bus='1'/></forward>", VIR_ERR_XML_ERROR,
       "of interfaces already"},
      {"<forward mode='hostdev'><driver name='xen'/></forward>", VIR_ERR_CONFIG_UNSUPPORTED, "xen"},
      {"<forward mode='hostdev' managed='x'/>", VIR_ERR_XML_ERROR, "managed"},
      {"<forward managed='yes'/>" + ip, VIR_ERR_CONFIG_UNSUPPORTED, "managed"},
      {"<forward mode='route'><nat/></forward>" + ip, VIR_ERR_XML_ERROR, "only a network of mode 'nat'"},
      {"<forward><nat/><nat/></forward>" + ip, VIR_ERR_XML_ERROR, "there may be only one"},
      {"<forward><nat><address start='1.2.3.4'/></nat></forward>" + ip, VIR_ERR_XML_ERROR, "address/@end"},
      {"<forward><nat><address start='1.2.3.4' end='1.2.3.3'/></nat></forward>" + ip, VIR_ERR_XML_ERROR,
       "ends before it starts"},
      {"<forward><nat><address start='::1' end='::2'/></nat></forward>" + ip, VIR_ERR_XML_ERROR, "IPv4"},
      {"<forward><nat><port start='1'/></nat></forward>" + ip, VIR_ERR_XML_ERROR, "port/@end"},
      {"<forward><nat><port start='5' end='4'/></nat></forward>" + ip, VIR_ERR_XML_ERROR,
       "ends before it starts"},
      {"<forward><nat><port start='5' end='65536'/></nat></forward>" + ip, VIR_ERR_XML_ERROR, "65535"},
      {"<forward><nat ipv6='x'/></forward>" + ip, VIR_ERR_XML_ERROR, "ipv6"},
  });
}

TEST(NetworkRefusals, Bridge) {
  expect_all_refused({
      {"<bridge name='a-very-long-bridge'/>", VIR_ERR_XML_ERROR, "not the name of a network interface"},
      {"<bridge name='a b'/>", VIR_ERR_XML_ERROR, "/network/bridge/@name"},
      {"<bridge name='%s'/>", VIR_ERR_XML_ERROR, "/network/bridge/@name"},
      {"<bridge name='%d%d'/>", VIR_ERR_XML_ERROR, "/network/bridge/@name"},
      {"<bridge stp='no'/>", VIR_ERR_XML_ERROR, "on, off"},
      {"<bridge delay='-1'/>", VIR_ERR_XML_ERROR, "delay"},
      {"<bridge macTableManager='x'/>", VIR_ERR_XML_ERROR, "kernel, libvirt"},
      {"<forward mode='vepa'/><bridge name='b'/>", VIR_ERR_XML_ERROR, "mode 'vepa' has no bridge"},
      {"<forward mode='vepa'/><bridge macTableManager='kernel'/>", VIR_ERR_XML_ERROR,
       "mode 'vepa' has no bridge"},
      {"<forward mode='bridge'/><bridge name='b' stp='on'/>", VIR_ERR_XML_ERROR, "does not make its own"},
      {"<forward mode='bridge'/><bridge name='b' delay='1'/>", VIR_ERR_XML_ERROR, "does not make its own"},
      {"<forward mode='bridge'/><bridge name='b' zone='z'/>", VIR_ERR_XML_ERROR, "does not make its own"},
      {"<forward mode='bridge' dev='e'/><bridge name='b'/>", VIR_ERR_XML_ERROR, "not both"},
      {"<forward mode='bridge'><pf dev='e'/></forward><bridge name='b'/>", VIR_ERR_XML_ERROR, "not both"},
  });
  // What only a network with a bridge of its own can have.
  for (const char* mode : {"bridge", "private", "vepa", "passthrough", "hostdev"}) {
    const std::string forward = fmt::format("<forward mode='{}'/>", mode);
    expect_all_refused({
        {forward + "<ip address='10.0.0.1' prefix='24'/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/ip"},
        {forward + "<mac address='52:54:00:00:00:01'/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/mac"},
        {forward + "<dns enable='no'/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/dns"},
        {forward + "<domain name='d'/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/domain"},
        {forward + "<bandwidth><inbound average='1'/></bandwidth>", VIR_ERR_CONFIG_UNSUPPORTED,
         "/network/bandwidth"},
        {forward + "<mtu size='1500'/>", VIR_ERR_XML_ERROR, "/network/mtu"},
    });
  }
}

TEST(NetworkRefusals, Addresses) {
  expect_all_refused({
      {"<ip/>", VIR_ERR_XML_ERROR, "/network/ip/@address"},
      {"<ip address='10.0.0'/>", VIR_ERR_XML_ERROR, "not an IP address"},
      {"<ip address='fe80::1%eth0' family='ipv6'/>", VIR_ERR_XML_ERROR, "not an IP address"},
      {"<ip address='230.0.0.1'/>", VIR_ERR_XML_ERROR, "no host can have"},
      {"<ip address='0.0.0.0'/>", VIR_ERR_XML_ERROR, "no host can have"},
      {"<ip address='fd00::1'/>", VIR_ERR_XML_ERROR, "needs family='ipv6'"},
      {"<ip family='ipv4' address='fd00::1'/>", VIR_ERR_XML_ERROR, "it is 'ipv4', but fd00::1 is not"},
      {"<ip family='ipv6' address='10.0.0.1'/>", VIR_ERR_XML_ERROR, "it is 'ipv6', but 10.0.0.1 is not"},
      {"<ip family='gold' address='10.0.0.1'/>", VIR_ERR_XML_ERROR, "ipv4, ipv6"},
      {"<ip address='10.0.0.1' prefix='33'/>", VIR_ERR_XML_ERROR, "from 0 to 32"},
      {"<ip family='ipv6' address='fd00::1' prefix='129'/>", VIR_ERR_XML_ERROR, "from 0 to 128"},
      {"<ip address='10.0.0.1' prefix='24' netmask='255.255.255.0'/>", VIR_ERR_XML_ERROR, "a prefix already"},
      {"<ip address='10.0.0.1' netmask='255.0.255.0'/>", VIR_ERR_XML_ERROR, "not an IPv4 netmask"},
      {"<ip address='10.0.0.1' netmask='::1'/>", VIR_ERR_XML_ERROR, "not an IPv4 netmask"},
      {"<ip family='ipv6' address='fd00::1' netmask='255.0.0.0'/>", VIR_ERR_XML_ERROR, "a prefix instead"},
      {"<ip address='10.0.0.1' localPtr='x'/>", VIR_ERR_XML_ERROR, "localPtr"},
      {"<ip address='10.0.0.1'/><ip address='10.0.0.1'/>", VIR_ERR_XML_ERROR, "/network/ip[2]/@address"},
      {"<ip address='10.0.0.1'><tftp/></ip>", VIR_ERR_XML_ERROR, "tftp/@root"},
      {"<ip address='10.0.0.1'><tftp root='srv'/></ip>", VIR_ERR_XML_ERROR, "not an absolute path"},
      {"<ip family='ipv6' address='fd00::1'><tftp root='/srv'/></ip>", VIR_ERR_CONFIG_UNSUPPORTED, "tftp"},
      {"<route/>", VIR_ERR_XML_ERROR, "/network/route/@address"},
      {"<route address='10.1.0.0' prefix='16'/>", VIR_ERR_XML_ERROR, "/network/route/@gateway"},
      {"<route address='10.1.0.0' prefix='16' gateway='10.0.0.9'/>", VIR_ERR_CONFIG_UNSUPPORTED,
       "in no network"},
      {"<route address='10.1.0.1' prefix='16' gateway='10.0.0.9'/>", VIR_ERR_XML_ERROR,
       "not the address of a network"},
      {"<route address='10.1.0.0' gateway='10.0.0.9'/>", VIR_ERR_XML_ERROR, "10.1.0.0/0"},
      {"<route address='10.1.0.0' prefix='16' gateway='fd00::1'/>", VIR_ERR_XML_ERROR, "family of the route"},
      {"<route address='10.1.0.0' prefix='16' gateway='10.0.0.9' metric='0'/>", VIR_ERR_XML_ERROR, "metric"},
      {"<route address='fd01::' prefix='16' gateway='fd00::1'/>", VIR_ERR_XML_ERROR, "needs family='ipv6'"},
  });
}

void expect_dhcp_refused(const std::vector<Refusal>& refusals, bool ipv6 = false) {
  for (const Refusal& one : refusals)
    expect_all_refused(
        {{fmt::format("<ip {}><dhcp>{}</dhcp></ip>",
                      ipv6 ? "family='ipv6' address='fd00::1' prefix='64'" : "address='10.0.0.1' prefix='24'",
                      one.inside),
          one.code, one.says}});
}

TEST(NetworkRefusals, DhcpRanges) {
  const auto lease = [](const char* attributes) {
    return fmt::format("<range start='10.0.0.2' end='10.0.0.9'><lease {}/></range>", attributes);
  };
  expect_dhcp_refused({
      {"<range end='10.0.0.9'/>", VIR_ERR_XML_ERROR, "range/@start"},
      {"<range start='10.0.0.9'/>", VIR_ERR_XML_ERROR, "range/@end"},
      {"<range start='10.0.0.9' end='10.0.0.8'/>", VIR_ERR_XML_ERROR, "ends before it starts"},
      {"<range start='10.0.1.2' end='10.0.1.8'/>", VIR_ERR_XML_ERROR, "not within the network 10.0.0.1/24"},
      {"<range start='10.0.0.2' end='10.0.1.8'/>", VIR_ERR_XML_ERROR, "not within the network 10.0.0.1/24"},
      {"<range start='10.0.0.0' end='10.0.0.8'/>", VIR_ERR_XML_ERROR, "address of the network itself"},
      {"<range start='10.0.0.2' end='10.0.0.255'/>", VIR_ERR_XML_ERROR, "broadcast"},
      {"<range start='fd00::2' end='fd00::3'/>", VIR_ERR_XML_ERROR, "family of the <ip>"},
      {lease(""), VIR_ERR_XML_ERROR, "lease/@expiry"},
      {lease("expiry='-1'"), VIR_ERR_XML_ERROR, "not a number"},
      {lease("expiry='9' unit='days'"), VIR_ERR_XML_ERROR, "seconds, minutes, hours"},
      {lease("expiry='1'"), VIR_ERR_CONFIG_UNSUPPORTED, "two minutes"},
      {lease("expiry='119' unit='seconds'"), VIR_ERR_CONFIG_UNSUPPORTED, "two minutes"},
      {lease("expiry='4294967295' unit='seconds'"), VIR_ERR_CONFIG_UNSUPPORTED, "longer than DHCP can say"},
      {lease("expiry='18446744073709551615' unit='hours'"), VIR_ERR_CONFIG_UNSUPPORTED,
       "longer than DHCP can say"},
      {"<gold/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/ip/dhcp/gold"},
  });
  expect_dhcp_refused(
      {{"<range start='fd00::2' end='fd00::1:2'/>", VIR_ERR_XML_ERROR, "65535"},
       {"<range start='fd00::2' end='fd00::1:0:0:2'/>", VIR_ERR_XML_ERROR, "65535"},
       {"<range start='fd00::9' end='fd00::8'/>", VIR_ERR_XML_ERROR, "ends before it starts"}},
      true);
  expect_all_refused(
      {{"<ip address='10.0.0.1'><dhcp><range start='10.0.0.2' end='10.1.0.1'/></dhcp></ip>",
        VIR_ERR_XML_ERROR, "more than 65535"},
       {"<ip address='10.0.0.1' prefix='24'><dhcp><range start='10.0.0.2' end='10.0.0.9'/></dhcp></ip>"
        "<ip address='10.0.1.1' prefix='24'><dhcp><range start='10.0.1.2' end='10.0.1.9'/></dhcp></ip>",
        VIR_ERR_CONFIG_UNSUPPORTED, "/network/ip[2]"}});
}

TEST(NetworkDefinition, ARangeOfTheMostAddressesThereMayBe) {
  const auto parse = [](const char* end) {
    parse_network(fmt::format("<network><name>n</name><ip family='ipv6' address='fd00::1'><dhcp>"
                              "<range start='fd00::2' end='{}'/></dhcp></ip></network>",
                              end),
                  true);
  };
  EXPECT_NO_THROW(parse("fd00::1:0"));
  EXPECT_THROW(parse("fd00::1:1"), Error);
}

TEST(NetworkRefusals, DhcpHosts) {
  const std::string mac = "mac='52:54:00:00:00:01'";
  expect_dhcp_refused({
      {"<host/>", VIR_ERR_XML_ERROR, "'mac' or 'name'"},
      {"<host ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "'mac' or 'name'"},
      {"<host " + mac + "/>", VIR_ERR_XML_ERROR, "host/@ip"},
      {"<host " + mac + " ip='x'/>", VIR_ERR_XML_ERROR, "not an IP address"},
      {"<host " + mac + " ip='fd00::9'/>", VIR_ERR_XML_ERROR, "family of the <ip>"},
      {"<host mac='x' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "'x' is not a MAC address"},
      {"<host mac='01:00:00:00:00:01' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "multicast"},
      {"<host name='' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "not the name of a host"},
      {"<host name='-a' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "not the name of a host"},
      {"<host name='a b' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "DNS"},
      {"<host name='a,b' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "DNS"},
      {"<host id='0:1' name='a' ip='10.0.0.9'/>", VIR_ERR_CONFIG_UNSUPPORTED, "only for IPv6"},
      {"<host name='a' ip='10.0.0.9'/><host name='b' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR,
       "10.0.0.9 is given to two"},
      {"<bootp/>", VIR_ERR_XML_ERROR, "bootp/@file"},
      {"<bootp file='a&#10;b'/>", VIR_ERR_XML_ERROR, "control character"},
      {"<bootp file='a' server='host'/>", VIR_ERR_XML_ERROR, "not an IP address"},
      {"<bootp file='a' server='::1'/>", VIR_ERR_XML_ERROR, "not an IPv4 address"},
      {"<bootp file='a'/><bootp file='b'/>", VIR_ERR_XML_ERROR, "only one"},
  });
  expect_dhcp_refused({{"<host ip='fd00::9'/>", VIR_ERR_XML_ERROR, "'id' or 'name'"},
                       {"<host " + mac + " ip='fd00::9'/>", VIR_ERR_XML_ERROR, "by 'id'"},
                       {"<host id='0:g' ip='fd00::9'/>", VIR_ERR_XML_ERROR, "hexadecimal"},
                       {"<host id='0:1' ip='10.0.0.9'/>", VIR_ERR_XML_ERROR, "family of the <ip>"},
                       {"<bootp file='a'/>", VIR_ERR_CONFIG_UNSUPPORTED, "bootp"}},
                      true);
}

TEST(NetworkRefusals, Dns) {
  for (const Refusal& one : std::vector<Refusal>{
           {"<txt value='a'/>", VIR_ERR_XML_ERROR, "txt/@name"},
           {"<txt name='a'/>", VIR_ERR_XML_ERROR, "txt/@value"},
           {"<txt name='a,b' value='c'/>", VIR_ERR_XML_ERROR, "comma"},
           {"<txt name='a' value='b&#10;c'/>", VIR_ERR_XML_ERROR, "control character"},
           {"<host><hostname>a</hostname></host>", VIR_ERR_XML_ERROR, "host/@ip"},
           {"<host ip='x'><hostname>a</hostname></host>", VIR_ERR_XML_ERROR, "not an IP address"},
           {"<host ip='1.2.3.4'/>", VIR_ERR_XML_ERROR, "<hostname> is missing"},
           {"<host ip='1.2.3.4'><hostname/></host>", VIR_ERR_XML_ERROR, "host/hostname"},
           {"<host ip='1.2.3.4'><hostname>a b</hostname></host>", VIR_ERR_XML_ERROR, "host/hostname"},
           {"<srv/>", VIR_ERR_XML_ERROR, "srv/@service"},
           {"<srv service='s'/>", VIR_ERR_XML_ERROR, "srv/@protocol"},
           {"<srv service='a b' protocol='tcp'/>", VIR_ERR_XML_ERROR, "srv/@service"},
           {"<srv service='a.b' protocol='tcp'/>", VIR_ERR_XML_ERROR, "not the name of a service"},
           {"<srv service='s' protocol='a.b'/>", VIR_ERR_XML_ERROR, "srv/@protocol"},
           {"<srv service='s' protocol='tcp' port='1'/>", VIR_ERR_XML_ERROR, "srv/@target"},
           {"<srv service='s' protocol='tcp' target='t' port='0'/>", VIR_ERR_XML_ERROR, "srv/@port"},
           {"<srv service='s' protocol='tcp' target='t' port='65536'/>", VIR_ERR_XML_ERROR, "65535"},
           {"<srv service='s' protocol='tcp' target='t' weight='65536'/>", VIR_ERR_XML_ERROR, "srv/@weight"},
           {"<srv service='s' protocol='tcp' target='t' priority='x'/>", VIR_ERR_XML_ERROR, "srv/@priority"},
           {"<srv service='s' protocol='tcp' target='t&#10;'/>", VIR_ERR_XML_ERROR, "srv/@target"},
           {"<forwarder/>", VIR_ERR_XML_ERROR, "'addr' or 'domain'"},
           {"<forwarder addr='host'/>", VIR_ERR_XML_ERROR, "forwarder/@addr"},
           {"<forwarder domain='a/b'/>", VIR_ERR_XML_ERROR, "forwarder/@domain"},
           {"<gold/>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/dns/gold"},
       })
    expect_all_refused({{"<dns>" + one.inside + "</dns>", one.code, one.says}});
  expect_all_refused(
      {{"<dns enable='no'><txt name='a' value='b'/></dns>", VIR_ERR_XML_ERROR, "/network/dns/@enable"},
       {"<dns forwardPlainNames='x'/>", VIR_ERR_XML_ERROR, "forwardPlainNames"}});
}

TEST(NetworkRefusals, PortGroupsAndVlans) {
  expect_all_refused({
      {"<portgroup/>", VIR_ERR_XML_ERROR, "/network/portgroup/@name"},
      {"<portgroup name='a'/><portgroup name='a'/>", VIR_ERR_XML_ERROR, "two portgroups 'a'"},
      {"<portgroup name='a' default='yes'/><portgroup name='b' default='yes'/>", VIR_ERR_CONFIG_UNSUPPORTED,
       "'a' is the default portgroup already"},
      {"<portgroup name='a'><port isolated='yes'/></portgroup>", VIR_ERR_CONFIG_UNSUPPORTED,
       "portgroup/port"},
      {"<portgroup name='a'><bandwidth><inbound average='1' floor='2'/></bandwidth></portgroup>",
       VIR_ERR_CONFIG_UNSUPPORTED, "floor"},
      {"<forward mode='hostdev'/><portgroup name='a'><bandwidth><inbound "
       "average='1'/></bandwidth></portgroup>",
       VIR_ERR_CONFIG_UNSUPPORTED, "/network/portgroup/bandwidth"},
      {"<forward mode='vepa' dev='eth0'/><vlan><tag id='1'/></vlan>", VIR_ERR_CONFIG_UNSUPPORTED,
       "/network/vlan"},
      {"<forward mode='bridge'/><vlan><tag id='1'/></vlan>", VIR_ERR_CONFIG_UNSUPPORTED, "/network/vlan"},
      {"<forward mode='private' dev='eth0'/><portgroup name='a'><vlan><tag id='1'/></vlan></portgroup>",
       VIR_ERR_CONFIG_UNSUPPORTED, "/network/portgroup/vlan"},
      {"<virtualport/>", VIR_ERR_XML_ERROR, "/network/virtualport/@type"},
  });
}

TEST(NetworkRefusals, T18LargeDocuments) {
  const auto many = [](int count, auto element) {
    std::string text;
    for (int i = 0; i < count; ++i) text += element(i);
    return text;
  };
  expect_all_refused(
      {{many(257,
             [](int i) { return fmt::format("<ip address='10.{}.{}.1' prefix='24'/>", i / 200, i % 200); }),
        VIR_ERR_CONFIG_UNSUPPORTED, "/network/ip[257] (line 1): a network has at most 256"},
       {many(50'001, [](int) { return "<ip address='10.0.0.1'/>"; }), VIR_ERR_XML_ERROR, "more than 100000"},
       {"<description>" + std::string(4u << 20, 'x') + "</description>", VIR_ERR_XML_ERROR,
        "more than 4194304"}});
  // As many hosts as there are addresses.
  const std::string hosts = many(20'000, [](int i) {
    return fmt::format("<host name='h{}' ip='10.1.{}.{}'/>", i, i / 250 + 1, i % 250 + 1);
  });
  EXPECT_EQ(
      parse_network("<network><name>n</name><ip address='10.0.0.1'><dhcp>" + hosts + "</dhcp></ip></network>",
                    true)
          .addresses.front()
          .hosts.size(),
      20'000u);
}

TEST(NetworkRefusals, TheSchemaRefusesThemToo) {
  for (const char* inside :
       {"<gold/>", "<forward mode='gold'/>", "<bridge stp='no'/>", "<mtu/>", "<ip/>", "<dns><srv/></dns>",
        "<portgroup/>", "<ip address='10.0.0.1' prefix='24' netmask='255.255.255.0'/>", "<vlan/>"}) {
    try {
      parse_network(fmt::format("<network><name>n</name>{}</network>", inside), true);
      ADD_FAILURE() << inside;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_XML_INVALID_SCHEMA) << error.message();
    }
  }
}

}  // namespace
}  // namespace warren::driver::network
