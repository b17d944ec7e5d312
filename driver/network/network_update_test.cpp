// virNetworkUpdate on data: what each section and command does, and what is refused. Which entries match,
// which codes are answered and where an entry goes was observed at libvirt 9.0.0's test driver.

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include "driver/contract/error.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {
namespace {

constexpr unsigned int kModify = VIR_NETWORK_UPDATE_COMMAND_MODIFY;
constexpr unsigned int kDelete = VIR_NETWORK_UPDATE_COMMAND_DELETE;
constexpr unsigned int kLast = VIR_NETWORK_UPDATE_COMMAND_ADD_LAST;
constexpr unsigned int kFirst = VIR_NETWORK_UPDATE_COMMAND_ADD_FIRST;

NetworkDefinition network(const std::string& inside) {
  return parse_network("<network><name>n</name>" + inside + "</network>", false);
}

NetworkDefinition leased() {
  return network(
      "<ip address='192.168.5.1' prefix='24'><dhcp><range start='192.168.5.20' end='192.168.5.30'/>"
      "<host mac='52:54:00:00:00:AA' name='a' ip='192.168.5.4'/></dhcp></ip>"
      "<ip address='192.168.6.1' prefix='24'/><ip family='ipv6' address='fd00::1' prefix='64'/>");
}

// One section of one network.
class Editor {
 public:
  Editor(NetworkDefinition definition, unsigned int section)
      : definition_(std::move(definition)), section_(section) {}

  NetworkDefinition change(unsigned int command, const std::string& xml, int parent_index = -1) const {
    return updated(definition_,
                   {.command = command, .section = section_, .parent_index = parent_index, .xml = xml});
  }
  void expect_refused(unsigned int command, const std::string& xml, int code, const std::string& says,
                      int parent_index = -1) const {
    try {
      change(command, xml, parent_index);
      ADD_FAILURE() << "taken: " << command << ' ' << xml;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.message();
      EXPECT_EQ(error.domain(), VIR_FROM_NETWORK) << error.message();
      EXPECT_NE(error.message().find(says), std::string::npos) << error.message();
    }
  }

 private:
  NetworkDefinition definition_;
  unsigned int section_;
};

TEST(NetworkUpdate, SectionsThatCannotBeChanged) {
  for (const unsigned int section :
       {VIR_NETWORK_SECTION_NONE, VIR_NETWORK_SECTION_BRIDGE, VIR_NETWORK_SECTION_DOMAIN,
        VIR_NETWORK_SECTION_IP, VIR_NETWORK_SECTION_FORWARD, VIR_NETWORK_SECTION_FORWARD_PF})
    Editor(leased(), section).expect_refused(kLast, "<x/>", VIR_ERR_OPERATION_UNSUPPORTED, "network 'n'");
  Editor(leased(), 4000).expect_refused(kLast, "<x/>", VIR_ERR_OPERATION_UNSUPPORTED, "section 4000");
}

TEST(NetworkUpdate, CommandsAndDocumentsThereAreNot) {
  const Editor hosts(leased(), VIR_NETWORK_SECTION_IP_DHCP_HOST);
  hosts.expect_refused(0, "<host/>", VIR_ERR_OPERATION_UNSUPPORTED, "0 is no command");
  hosts.expect_refused(5, "<host/>", VIR_ERR_OPERATION_UNSUPPORTED, "5 is no command");
  hosts.expect_refused(kLast, "<x/>", VIR_ERR_XML_ERROR, "to be <host>, not <x>");
  hosts.expect_refused(kLast, "", VIR_ERR_XML_DETAIL, "network_update_xml");
  hosts.expect_refused(kLast, "host", VIR_ERR_XML_DETAIL, "network_update_xml");
  hosts.expect_refused(kLast, "<host name='b' ip='192.168.5.5' gold='1'/>", VIR_ERR_CONFIG_UNSUPPORTED,
                       "/host/@gold");
  hosts.expect_refused(kLast, "<host name='b' ip='192.168.5.5'><gold/></host>", VIR_ERR_CONFIG_UNSUPPORTED,
                       "gold");
}

TEST(NetworkUpdate, DhcpHostsAreAdded) {
  const Editor hosts(leased(), VIR_NETWORK_SECTION_IP_DHCP_HOST);
  const std::string second = "<host mac='52:54:00:00:00:02' name='b' ip='192.168.5.5'/>";
  for (const int index : {-1, -2, 0}) {
    EXPECT_EQ(hosts.change(kLast, second, index).addresses[0].hosts[1].name, "b");
    EXPECT_EQ(hosts.change(kFirst, second, index).addresses[0].hosts[0].name, "b");
  }
  // Of an IPv4 network the one IPv6 address may have <dhcp>, too.
  const NetworkDefinition six = hosts.change(kLast, "<host name='q' ip='fd00::7'/>", 2);
  EXPECT_EQ(six.addresses[2].hosts.size(), 1u);
  hosts.expect_refused(kLast, second, VIR_ERR_OPERATION_INVALID, "192.168.5.1 has it", 1);
  hosts.expect_refused(kLast, second, VIR_ERR_OPERATION_INVALID, "no <ip> number 5", 5);
  for (const char* like : {"<host mac='52:54:00:00:00:aa' name='z' ip='192.168.5.9'/>",
                           "<host mac='52:54:00:00:00:09' name='a' ip='192.168.5.9'/>",
                           "<host mac='52:54:00:00:00:09' name='z' ip='192.168.5.4'/>"})
    hosts.expect_refused(kLast, like, VIR_ERR_OPERATION_INVALID, "already");
  hosts.expect_refused(kLast, "<host ip='192.168.5.9'/>", VIR_ERR_XML_ERROR, "'mac' or 'name'");
  EXPECT_NO_THROW(hosts.change(kLast, "<host mac='52:54:00:00:00:09' ip='10.0.0.1'/>"));
}

TEST(NetworkUpdate, DhcpHostsAreDeletedByAllThatIsSaid) {
  const Editor hosts(leased(), VIR_NETWORK_SECTION_IP_DHCP_HOST);
  for (const char* xml : {"<host mac='52:54:00:00:00:aa'/>", "<host name='a'/>", "<host ip='192.168.5.4'/>",
                          "<host mac='52:54:00:00:00:AA' name='a' ip='192.168.5.4'/>"})
    EXPECT_TRUE(hosts.change(kDelete, xml).addresses[0].hosts.empty()) << xml;
  for (const char* xml : {"<host mac='52:54:00:00:00:aa' name='z'/>", "<host name='z' ip='192.168.5.4'/>",
                          "<host mac='52:54:00:00:00:09'/>"})
    hosts.expect_refused(kDelete, xml, VIR_ERR_OPERATION_INVALID, "network 'n' has no DHCP host with");
  hosts.expect_refused(kDelete, "<host/>", VIR_ERR_XML_ERROR, "which host");
}

TEST(NetworkUpdate, DhcpHostsAreModifiedByAnythingThatIsSaid) {
  const Editor hosts(leased(), VIR_NETWORK_SECTION_IP_DHCP_HOST);
  for (const char* xml : {"<host mac='52:54:00:00:00:aa' name='new' ip='192.168.5.99'/>",
                          "<host mac='52:54:00:00:00:07' name='a' ip='192.168.5.77'/>",
                          "<host name='new' ip='192.168.5.4'><lease expiry='2' unit='hours'/></host>"}) {
    const NetworkDefinition changed = hosts.change(kModify, xml);
    ASSERT_EQ(changed.addresses[0].hosts.size(), 1u);
    EXPECT_NE(changed, leased()) << xml;
  }
  hosts.expect_refused(kModify, "<host mac='52:54:00:00:00:07' name='q' ip='192.168.5.77'/>",
                       VIR_ERR_OPERATION_INVALID,
                       "no DHCP host with any of mac='52:54:00:00:00:07' name='q'");
  hosts.expect_refused(kModify, "<host name='a'/>", VIR_ERR_XML_ERROR, "host/@ip");
}

TEST(NetworkUpdate, TheResultIsCheckedAsAWhole) {
  const NetworkDefinition two = updated(leased(), {.command = kLast,
                                                   .section = VIR_NETWORK_SECTION_IP_DHCP_HOST,
                                                   .xml = "<host name='b' ip='192.168.5.5'/>"});
  // The first of them gets the address of the second.
  Editor(two, VIR_NETWORK_SECTION_IP_DHCP_HOST)
      .expect_refused(kModify, "<host mac='52:54:00:00:00:aa' ip='192.168.5.5'/>", VIR_ERR_XML_ERROR,
                      "would be wrong after the change");
  Editor(network("<forward mode='bridge'/><bridge name='b'/>"), VIR_NETWORK_SECTION_FORWARD_INTERFACE)
      .expect_refused(kLast, "<interface dev='e'/>", VIR_ERR_XML_ERROR, "not both");
  Editor(network("<dns enable='no'/>"), VIR_NETWORK_SECTION_DNS_TXT)
      .expect_refused(kLast, "<txt name='a' value='b'/>", VIR_ERR_XML_ERROR, "nothing to answer");
}

TEST(NetworkUpdate, TheAddressThatIsMeant) {
  const std::string host = "<host mac='52:54:00:00:00:02' ip='192.168.5.5'/>";
  Editor(network(""), VIR_NETWORK_SECTION_IP_DHCP_HOST)
      .expect_refused(kLast, host, VIR_ERR_OPERATION_INVALID, "has no <ip>");
  const NetworkDefinition second =
      Editor(network("<ip family='ipv6' address='fd00::1'/><ip address='192.168.5.1' prefix='24'/>"),
             VIR_NETWORK_SECTION_IP_DHCP_HOST)
          .change(kLast, host);
  EXPECT_EQ(second.addresses[1].hosts.size(), 1u);
  const NetworkDefinition only =
      Editor(network("<ip family='ipv6' address='fd00::1'/>"), VIR_NETWORK_SECTION_IP_DHCP_HOST)
          .change(kLast, "<host name='q' ip='fd00::7'/>");
  EXPECT_EQ(only.addresses[0].hosts.size(), 1u);
}

TEST(NetworkUpdate, DhcpRanges) {
  const Editor ranges(leased(), VIR_NETWORK_SECTION_IP_DHCP_RANGE);
  const std::string second = "<range start='192.168.5.40' end='192.168.5.50'/>";
  const std::string first = "<range start='192.168.5.20' end='192.168.5.30'/>";
  EXPECT_EQ(ranges.change(kLast, second).addresses[0].ranges[1].addresses.begin,
            *config::parse_ip_address("192.168.5.40"));
  EXPECT_EQ(ranges.change(kFirst, second).addresses[0].ranges[0].addresses.begin,
            *config::parse_ip_address("192.168.5.40"));
  EXPECT_TRUE(ranges.change(kDelete, first).addresses[0].ranges.empty());
  EXPECT_TRUE(
      ranges
          .change(kDelete,
                  "<range start='192.168.5.20' end='192.168.5.30'><lease expiry='4' unit='hours'/></range>")
          .addresses[0]
          .ranges.empty());
  ranges.expect_refused(kModify, first, VIR_ERR_OPERATION_UNSUPPORTED, "a DHCP range cannot be modified");
  ranges.expect_refused(kLast, first, VIR_ERR_OPERATION_INVALID,
                        "start='192.168.5.20' end='192.168.5.30' already");
  ranges.expect_refused(kDelete, second, VIR_ERR_OPERATION_INVALID,
                        "no DHCP range with start='192.168.5.40'");
  ranges.expect_refused(kLast, second, VIR_ERR_XML_ERROR, "not within the network 192.168.6.1/24", 1);
  ranges.expect_refused(kLast, "<range start='192.168.6.4' end='192.168.6.9'/>", VIR_ERR_OPERATION_INVALID,
                        "192.168.5.1 has it", 1);
  ranges.expect_refused(kLast, "<range start='192.168.5.40'/>", VIR_ERR_XML_ERROR, "range/@end");
}

TEST(NetworkUpdate, ForwardInterfaces) {
  const std::string pool = "<forward mode='vepa'><interface dev='e0'/><interface dev='e1'/></forward>";
  const Editor interfaces(network(pool), VIR_NETWORK_SECTION_FORWARD_INTERFACE);
  using Names = std::vector<std::string>;
  EXPECT_EQ(interfaces.change(kLast, "<interface dev='e2'/>").forward->interfaces, (Names{"e0", "e1", "e2"}));
  EXPECT_EQ(interfaces.change(kFirst, "<interface dev='e2'/>", 3).forward->interfaces,
            (Names{"e2", "e0", "e1"}));
  EXPECT_EQ(interfaces.change(kDelete, "<interface dev='e0'/>").forward->interfaces, (Names{"e1"}));
  interfaces.expect_refused(kLast, "<interface dev='e0'/>", VIR_ERR_OPERATION_INVALID, "dev='e0' already");
  interfaces.expect_refused(kDelete, "<interface dev='e2'/>", VIR_ERR_OPERATION_INVALID,
                            "no forward interface with dev='e2'");
  interfaces.expect_refused(kModify, "<interface dev='e0'/>", VIR_ERR_OPERATION_UNSUPPORTED,
                            "cannot be modified");
  interfaces.expect_refused(kLast, "<interface/>", VIR_ERR_XML_ERROR, "interface/@dev");
  Editor(network(""), VIR_NETWORK_SECTION_FORWARD_INTERFACE)
      .expect_refused(kLast, "<interface dev='e0'/>", VIR_ERR_OPERATION_INVALID, "isolated");
}

TEST(NetworkUpdate, PortGroups) {
  const Editor groups(network("<portgroup name='a' default='yes'/><portgroup name='b'/>"),
                      VIR_NETWORK_SECTION_PORTGROUP);
  EXPECT_EQ(groups.change(kLast, "<portgroup name='c'/>").port_groups[2].name, "c");
  EXPECT_EQ(groups.change(kFirst, "<portgroup name='c'/>").port_groups[0].name, "c");
  EXPECT_EQ(groups.change(kDelete, "<portgroup name='a'/>").port_groups.size(), 1u);
  EXPECT_FALSE(groups.change(kModify, "<portgroup name='a'/>").port_groups[0].is_default);
  const NetworkDefinition limited =
      groups.change(kModify, "<portgroup name='b'><bandwidth><inbound average='9'/></bandwidth></portgroup>");
  EXPECT_EQ(limited.port_groups[1].bandwidth->inbound->average, 9u);
  for (const unsigned int command : {kLast, kFirst}) {
    groups.expect_refused(command, "<portgroup name='a'/>", VIR_ERR_OPERATION_INVALID, "name='a' already");
    groups.expect_refused(command, "<portgroup name='c' default='yes'/>", VIR_ERR_OPERATION_INVALID,
                          "'a' of network 'n' is the default");
  }
  groups.expect_refused(kModify, "<portgroup name='b' default='yes'/>", VIR_ERR_OPERATION_INVALID,
                        "is the default already");
  for (const unsigned int command : {kModify, kDelete})
    groups.expect_refused(command, "<portgroup name='c'/>", VIR_ERR_OPERATION_INVALID,
                          "no portgroup with name='c'");
  groups.expect_refused(kLast, "<portgroup/>", VIR_ERR_XML_ERROR, "portgroup/@name");
}

constexpr const char* kDns =
    "<dns><host ip='1.2.3.4'><hostname>a</hostname><hostname>b</hostname></host><txt name='t' value='v'/>"
    "<srv service='s' protocol='tcp'/><srv service='s' protocol='udp' domain='d' target='t' port='5'/></dns>";

TEST(NetworkUpdate, DnsHosts) {
  const Editor hosts(network(kDns), VIR_NETWORK_SECTION_DNS_HOST);
  const std::string second = "<host ip='1.2.3.5'><hostname>a</hostname></host>";
  EXPECT_EQ(hosts.change(kLast, second).dns->hosts[1].names.front(), "a");
  EXPECT_EQ(hosts.change(kFirst, second).dns->hosts[0].ip, *config::parse_ip_address("1.2.3.5"));
  for (const char* xml : {"<host ip='1.2.3.4'/>", "<host><hostname>b</hostname></host>",
                          "<host ip='1.2.3.4'><hostname>other</hostname></host>",
                          "<host ip='9.9.9.9'><hostname>b</hostname></host>"})
    EXPECT_TRUE(hosts.change(kDelete, xml).dns->hosts.empty()) << xml;
  hosts.expect_refused(kLast, "<host ip='1.2.3.4'><hostname>c</hostname></host>", VIR_ERR_OPERATION_INVALID,
                       "ip='1.2.3.4' already");
  hosts.expect_refused(kLast, "<host ip='1.2.3.5'/>", VIR_ERR_XML_ERROR, "<hostname> is missing");
  hosts.expect_refused(kDelete, "<host ip='9.9.9.9'/>", VIR_ERR_OPERATION_INVALID,
                       "no DNS host with ip='9.9.9.9'");
  hosts.expect_refused(kDelete, "<host/>", VIR_ERR_XML_ERROR, "which host");
  hosts.expect_refused(kModify, second, VIR_ERR_OPERATION_UNSUPPORTED, "cannot be modified");
  Editor(hosts.change(kLast, second), VIR_NETWORK_SECTION_DNS_HOST)
      .expect_refused(kDelete, "<host><hostname>a</hostname></host>", VIR_ERR_OPERATION_INVALID,
                      "more than one");
}

TEST(NetworkUpdate, DnsTexts) {
  const Editor texts(network(kDns), VIR_NETWORK_SECTION_DNS_TXT);
  EXPECT_EQ(texts.change(kLast, "<txt name='n' value='x'/>").dns->texts[1].name, "n");
  EXPECT_EQ(texts.change(kFirst, "<txt name='n' value='x'/>").dns->texts[0].name, "n");
  EXPECT_TRUE(texts.change(kDelete, "<txt name='t'/>").dns->texts.empty());
  EXPECT_TRUE(texts.change(kDelete, "<txt name='t' value='other'/>").dns->texts.empty());
  texts.expect_refused(kLast, "<txt name='t' value='x'/>", VIR_ERR_OPERATION_INVALID, "name='t' already");
  texts.expect_refused(kLast, "<txt name='n'/>", VIR_ERR_XML_ERROR, "txt/@value");
  texts.expect_refused(kDelete, "<txt name='n'/>", VIR_ERR_OPERATION_INVALID,
                       "no DNS TXT record with name='n'");
  texts.expect_refused(kDelete, "<txt value='v'/>", VIR_ERR_XML_ERROR, "txt/@name");
  texts.expect_refused(kModify, "<txt name='t' value='x'/>", VIR_ERR_OPERATION_UNSUPPORTED,
                       "cannot be modified");
  // The last record takes <dns> with it, and the first brings it.
  const Editor none(network(""), VIR_NETWORK_SECTION_DNS_TXT);
  EXPECT_EQ(none.change(kLast, "<txt name='n' value='x'/>").dns->texts.size(), 1u);
  EXPECT_FALSE(Editor(none.change(kLast, "<txt name='n' value='x'/>"), VIR_NETWORK_SECTION_DNS_TXT)
                   .change(kDelete, "<txt name='n'/>")
                   .dns);
}

TEST(NetworkUpdate, DnsServices) {
  const Editor services(network(kDns), VIR_NETWORK_SECTION_DNS_SRV);
  EXPECT_EQ(services.change(kLast, "<srv service='q' protocol='tcp'/>").dns->services[2].service, "q");
  EXPECT_EQ(services.change(kFirst, "<srv service='s' protocol='tcp' target='t'/>").dns->services[0].target,
            "t");
  for (const char* xml : {"<srv service='s' protocol='udp'/>", "<srv protocol='udp'/>", "<srv target='t'/>",
                          "<srv service='s' protocol='udp' domain='d' target='t' port='5'/>"}) {
    const NetworkDefinition changed = services.change(kDelete, xml);
    ASSERT_EQ(changed.dns->services.size(), 1u) << xml;
    EXPECT_EQ(changed.dns->services[0].protocol, "tcp");
  }
  services.expect_refused(kLast, "<srv service='s' protocol='tcp'/>", VIR_ERR_OPERATION_INVALID, "already");
  services.expect_refused(kLast, "<srv service='s' protocol='udp' domain='d'/>", VIR_ERR_OPERATION_INVALID,
                          "already");
  services.expect_refused(kLast, "<srv service='s'/>", VIR_ERR_XML_ERROR, "srv/@protocol");
  services.expect_refused(kDelete, "<srv service='s'/>", VIR_ERR_OPERATION_INVALID,
                          "more than one DNS SRV record");
  services.expect_refused(kDelete, "<srv service='q' protocol='tcp'/>", VIR_ERR_OPERATION_INVALID,
                          "no DNS SRV record with service='q' protocol='tcp'");
  services.expect_refused(kDelete, "<srv/>", VIR_ERR_XML_ERROR, "which service");
  services.expect_refused(kModify, "<srv service='s' protocol='tcp'/>", VIR_ERR_OPERATION_UNSUPPORTED,
                          "cannot be modified");
}

}  // namespace
}  // namespace warren::driver::network
