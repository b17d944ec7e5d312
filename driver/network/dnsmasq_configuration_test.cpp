#include "driver/network/dnsmasq_configuration.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"

namespace warren::driver::network {
namespace {

IpAddress ip(const char* text) {
  return *config::parse_ip_address(text);
}

NetworkDefinition plain() {
  NetworkDefinition definition;
  definition.name = "default";
  definition.bridge.name = "virbr0";
  definition.forward.emplace();
  definition.addresses = {{.address = ip("192.168.122.1"),
                           .netmask = ip("255.255.255.0"),
                           .ranges = {{.addresses = {ip("192.168.122.2"), ip("192.168.122.254")}}}}};
  return definition;
}

class DnsmasqConfigurationTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-dnsmasq-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
    settings_ = {directory_ / "run", directory_ / "leases", {}};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> lines(const NetworkDefinition& definition) const {
    std::vector<std::string> result;
    // dnsmasq's own opinion of it, first.
    write_dnsmasq_files(settings_, definition);
    const std::string path = dnsmasq_files(settings_, definition).configuration;
    const ToolResult said = run_tool({.name = "dnsmasq", .arguments = {"--test", "--conf-file=" + path}});
    EXPECT_EQ(said.status, 0) << said.errors;
    const std::string text = dnsmasq_texts(settings_, definition).configuration;
    for (std::string_view line : split_lines(text)) result.emplace_back(line);
    return result;
  }
  static bool has(const std::vector<std::string>& lines, const std::string& line) {
    return std::ranges::find(lines, line) != lines.end();
  }
  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string refusal(const NetworkDefinition& definition) const {
    try {
      dnsmasq_texts(settings_, definition);
    } catch (const Error& error) {
      return error.detail();
    }
    return "";
  }

  std::filesystem::path directory_;
  DnsmasqSettings settings_;
};

TEST_F(DnsmasqConfigurationTest, OfLibvirtsDefaultNetwork) {
  const std::string run = settings_.run_directory.native();
  EXPECT_EQ(lines(plain()), (std::vector<std::string>{
                                "# Written by Warren for the network default: changes are lost.",
                                "strict-order",
                                "pid-file=\"" + run + "/virbr0.dnsmasq.pid\"",
                                "except-interface=lo",
                                "bind-dynamic",
                                "interface=virbr0",
                                "addn-hosts=\"" + run + "/virbr0.dns-hosts\"",
                                "dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0",
                                "dhcp-no-override",
                                "dhcp-authoritative",
                                "dhcp-leasefile=\"" + settings_.lease_directory.native() + "/virbr0.leases\"",
                                "dhcp-hostsfile=\"" + run + "/virbr0.dhcp-hosts\"",
                                "dhcp-lease-max=253",
                            }));
}

TEST_F(DnsmasqConfigurationTest, NamesAndWhoIsAskedForThem) {
  NetworkDefinition definition = plain();
  definition.domain_name = "lab.example";
  definition.domain_local_only = true;
  definition.addresses[0].local_ptr = true;
  definition.addresses.push_back({.address = ip("2001:db8:ca2:2::1"), .prefix = 64, .local_ptr = true});
  definition.dns =
      Dns{.forward_plain_names = false,
          .forwarders = {{ip("8.8.8.8"), ""}, {ip("2001:db8::53"), "a.example"}, {{}, "b.example"}},
          .texts = {{"greeting", "v=1, \"a\\b\" # all of it"}},
          .hosts = {{ip("192.168.122.1"), {"gateway", "gate.lab.example"}}},
          .services = {{"sip", "tcp", "", "", {}, {}, {}},
                       {"ldap", "tcp", "lab.example", "server.lab.example", 389, {}, 10},
                       {"kerberos", "udp", "", "kdc", {}, {}, {}}}};
  const auto found = lines(definition);
  for (const char* line :
       {"domain=lab.example", "expand-hosts", "local=/lab.example/", "domain-needed", "local=//",
        "server=8.8.8.8", "server=/a.example/2001:db8::53", "server=/b.example/#", "no-resolv",
        "txt-record=greeting,\"v=1, \\\"a\\\\b\\\" # all of it\"", "srv-host=_sip._tcp",
        "srv-host=_ldap._tcp.lab.example,server.lab.example,389,0,10", "srv-host=_kerberos._udp,kdc",
        "local=/122.168.192.in-addr.arpa/", "local=/2.0.0.0.2.a.c.0.8.b.d.0.1.0.0.2.ip6.arpa/",
        "dhcp-range=2001:db8:ca2:2::1,ra-only"})
    EXPECT_TRUE(has(found, line)) << line;
  EXPECT_EQ(dnsmasq_texts(settings_, definition).dns_hosts, "192.168.122.1\tgateway\tgate.lab.example\n");
  definition.dns->enable = false;
  EXPECT_TRUE(has(lines(definition), "port=0"));
}

TEST_F(DnsmasqConfigurationTest, AddressesAndHosts) {
  NetworkDefinition definition = plain();
  definition.mtu = 9000;
  NetworkAddress& four = definition.addresses[0];
  four.ranges[0].lease = DhcpLeaseTime{.expiry = 2, .unit = DhcpLeaseTime::Unit::hours};
  four.hosts = {{.mac = "52:54:00:00:00:01", .name = "one", .ip = ip("192.168.122.10"), .lease = {}},
                {.mac = "52:54:00:00:00:0A", .lease = DhcpLeaseTime{}},
                {.name = "three", .ip = ip("192.168.122.12"), .lease = DhcpLeaseTime{.expiry = 45}}};
  definition.addresses.push_back(
      {.address = ip("2001:db8::1"),
       .prefix = 64,
       .ranges = {{.addresses = {ip("2001:db8::100"), ip("2001:db8::1ff")}}},
       .hosts = {{.id = "0:3:0:1:0:16:3e:11:22:33", .name = "six", .ip = ip("2001:db8::9")}}});
  const auto found = lines(definition);
  for (const char* line : {"dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0,2h", "dhcp-option=26,9000",
                           "dhcp-range=2001:db8::100,2001:db8::1ff,64", "enable-ra", "dhcp-lease-max=65788"})
    EXPECT_TRUE(has(found, line)) << line;
  EXPECT_EQ(dnsmasq_texts(settings_, definition).dhcp_hosts,
            "52:54:00:00:00:01,one,192.168.122.10\n"
            "52:54:00:00:00:0A,infinite\n"
            "three,192.168.122.12,45m\n"
            "id:0:3:0:1:0:16:3e:11:22:33,six,[2001:db8::9]\n");
}

TEST_F(DnsmasqConfigurationTest, LeasesAreAsManyAsThereAreAddresses) {
  NetworkDefinition definition = plain();
  auto leases_of = [&](const char* begin, const char* end) {
    definition.addresses[0].ranges = {{.addresses = {ip(begin), ip(end)}}};
    const std::string text = dnsmasq_texts(settings_, definition).configuration;
    for (std::string_view line : split_lines(text))
      if (line.starts_with("dhcp-lease-max=")) return std::string(line.substr(15));
    return std::string();
  };
  EXPECT_EQ(leases_of("10.0.0.9", "10.0.0.9"), "1");
  EXPECT_EQ(leases_of("10.0.0.255", "10.0.1.0"), "2");
  EXPECT_EQ(leases_of("10.0.0.0", "10.255.255.255"), "65535");
  EXPECT_EQ(leases_of("2001:db8::ffff", "2001:db8::1:0"), "2");
  EXPECT_EQ(leases_of("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"), "65535");
  EXPECT_EQ(leases_of("2001:db8::", "2001:db8:0:1::"), "65535");
}

TEST_F(DnsmasqConfigurationTest, IsolatedGuestsHaveNoRouter) {
  NetworkDefinition definition = plain();
  definition.forward.reset();
  definition.addresses[0].ranges.clear();
  definition.addresses[0].hosts = {{.mac = "52:54:00:00:00:01", .ip = ip("192.168.122.10")}};
  definition.addresses[0].tftp_root = "/srv/boot files, all";
  definition.addresses[0].boot_file = "pxelinux.0";
  definition.addresses[0].boot_server = ip("192.168.122.9");
  definition.dnsmasq_options = {"log-queries", "address=/#/192.168.122.1"};
  const auto found = lines(definition);
  for (const char* line : {"no-resolv", "dhcp-option=3", "dhcp-range=192.168.122.1,static,255.255.255.0",
                           "dhcp-lease-max=256", "enable-tftp", "tftp-root=\"/srv/boot files, all\"",
                           "dhcp-boot=\"pxelinux.0\",,192.168.122.9", "log-queries"})
    EXPECT_TRUE(has(found, line)) << line;
  EXPECT_EQ(found.back(), "address=/#/192.168.122.1");
}

TEST_F(DnsmasqConfigurationTest, IsNeededWhereThereIsSomethingToDo) {
  NetworkDefinition definition = plain();
  EXPECT_TRUE(needs_dnsmasq(definition));
  definition.dns = Dns{.enable = false};
  EXPECT_TRUE(needs_dnsmasq(definition));
  definition.addresses[0].ranges.clear();
  EXPECT_FALSE(needs_dnsmasq(definition));
  definition.dns.reset();
  EXPECT_TRUE(needs_dnsmasq(definition));
  definition.addresses.clear();
  EXPECT_FALSE(needs_dnsmasq(definition));
}

TEST_F(DnsmasqConfigurationTest, NoValueSaysMoreThanItsPlaceDoes) {
  auto expect = [&](const char* element, auto change) {
    NetworkDefinition definition = plain();
    definition.dns.emplace();
    definition.addresses[0].hosts = {{.mac = "52:54:00:00:00:01", .name = "one"}};
    EXPECT_EQ(refusal(definition), "");
    change(definition);
    const std::string said = refusal(definition);
    EXPECT_TRUE(said.starts_with(std::string("network default: ") + element)) << element << ": " << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  };
  for (const char* bad : {"a\ndhcp-script=/bin/x", "a,b", "a b", "a/b", "#", "a\"b"}) {
    expect("<domain name>", [&](auto& d) { d.domain_name = bad; });
    expect("<host name>", [&](auto& d) { d.addresses[0].hosts[0].name = bad; });
    expect("<host mac>", [&](auto& d) { d.addresses[0].hosts[0].mac = bad; });
    expect("<host id>", [&](auto& d) { d.addresses[0].hosts[0].id = bad + std::string("!"); });
    expect("<forwarder domain>", [&](auto& d) { d.dns->forwarders = {{ip("8.8.8.8"), bad}}; });
    expect("<txt name>", [&](auto& d) { d.dns->texts = {{bad, "x"}}; });
    expect("<hostname>", [&](auto& d) { d.dns->hosts = {{ip("8.8.8.8"), {bad}}}; });
    expect("<srv service>", [&](auto& d) { d.dns->services = {{bad, "tcp", "", "", {}, {}, {}}}; });
    expect("<srv protocol>", [&](auto& d) { d.dns->services = {{"a", bad, "", "", {}, {}, {}}}; });
    expect("<srv domain>", [&](auto& d) { d.dns->services = {{"a", "b", bad, "", {}, {}, {}}}; });
    expect("<srv target>", [&](auto& d) { d.dns->services = {{"a", "b", "", bad, {}, {}, {}}}; });
    expect("<bridge name>", [&](auto& d) { d.bridge.name = bad; });
  }
  // Words that mean something of their own there.
  for (const char* bad : {"ignore", "infinite", "45m", "7200", "192.168.122.7"})
    expect("<host name>", [&](auto& d) { d.addresses[0].hosts[0].name = bad; });
  for (const char* bad : {"a\nb", "a\rb"}) {
    expect("<txt value>", [&](auto& d) { d.dns->texts = {{"x", bad}}; });
    expect("<tftp root>", [&](auto& d) { d.addresses[0].tftp_root = bad; });
    expect("<bootp file>", [&](auto& d) { d.addresses[0].boot_file = bad; });
    expect("<dnsmasq:option>", [&](auto& d) { d.dnsmasq_options = {bad}; });
  }
  expect("<txt value>", [&](auto& d) { d.dns->texts = {{"x", std::string(256, 'x')}}; });
  expect("<lease>", [&](auto& d) {
    d.addresses[0].ranges[0].lease = DhcpLeaseTime{.expiry = ~0ull, .unit = DhcpLeaseTime::Unit::hours};
  });
  expect("<ip localPtr>", [&](auto& d) {
    d.addresses[0].netmask = ip("255.255.255.128");
    d.addresses[0].local_ptr = true;
  });
  NetworkDefinition strange = plain();
  strange.name = "a\nport=0";
  EXPECT_FALSE(has(lines(strange), "port=0"));
}

TEST_F(DnsmasqConfigurationTest, WhatChangesSaysWhatIsToBeDone) {
  NetworkDefinition definition = plain();
  EXPECT_EQ(write_dnsmasq_files(settings_, definition), DnsmasqChange::restart);
  EXPECT_EQ(write_dnsmasq_files(settings_, definition), DnsmasqChange::none);
  const DnsmasqFiles files = dnsmasq_files(settings_, definition);
  definition.addresses[0].hosts = {{.mac = "52:54:00:00:00:01", .ip = ip("192.168.122.10")}};
  EXPECT_EQ(write_dnsmasq_files(settings_, definition), DnsmasqChange::reload);
  EXPECT_EQ(read(files.dhcp_hosts), "52:54:00:00:00:01,192.168.122.10\n");
  definition.dns = Dns{.hosts = {{ip("192.168.122.1"), {"gate"}}}};
  EXPECT_EQ(write_dnsmasq_files(settings_, definition), DnsmasqChange::reload);
  definition.dns->texts = {{"x", "y"}};
  EXPECT_EQ(write_dnsmasq_files(settings_, definition), DnsmasqChange::restart);
  // dnsmasq reads them again when it is no longer root (T20).
  struct stat status{};
  ASSERT_EQ(::stat(files.dhcp_hosts.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644u);
  // Nothing is written of what is refused.
  const std::string before = read(files.configuration);
  definition.domain_name = "a\nb";
  EXPECT_THROW(write_dnsmasq_files(settings_, definition), Error);
  EXPECT_EQ(read(files.configuration), before);
  remove_dnsmasq_files(files);
  EXPECT_TRUE(std::filesystem::is_empty(settings_.run_directory));
}

TEST_F(DnsmasqConfigurationTest, AFullOrMissingDiskIsToldOf) {
  settings_.run_directory = "/proc/nowhere";
  EXPECT_THROW(write_dnsmasq_files(settings_, plain()), Error);
}

}  // namespace
}  // namespace warren::driver::network
