// Addresses and networks of both families: texts that are addresses, texts that are not, and the arithmetic
// of prefixes.

#include "driver/config/ip_address.h"

#include <gtest/gtest.h>

namespace warren::driver::config {
namespace {

IpAddress ip(const char* text) {
  const auto address = parse_ip_address(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress{});
}

TEST(IpAddress, IsWrittenShortest) {
  for (const auto& [text, written] : {std::pair{"192.168.122.1", "192.168.122.1"},
                                      {"0.0.0.0", "0.0.0.0"},
                                      {"255.255.255.255", "255.255.255.255"},
                                      {"::", "::"},
                                      {"FE80:0:0:0:0:0:0:1", "fe80::1"},
                                      {"2001:0db8::0:10", "2001:db8::10"},
                                      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
                                      {"::ffff:1.2.3.4", "::ffff:1.2.3.4"}}) {
    EXPECT_EQ(format_ip_address(ip(text)), written);
    EXPECT_EQ(ip(written), ip(text));
  }
  EXPECT_FALSE(ip("1.2.3.4").is_ipv6);
  EXPECT_TRUE(ip("::1").is_ipv6);
  EXPECT_EQ(ip("1.2.3.4").bits(), 32u);
  EXPECT_EQ(ip("::1").bits(), 128u);
}

TEST(IpAddress, T18WhatIsNoAddress) {
  using namespace std::literals;
  for (const std::string_view text : {""sv,
                                      " 1.2.3.4"sv,
                                      "1.2.3.4 "sv,
                                      "1.2.3"sv,
                                      "1.2.3.4.5"sv,
                                      "1.2.3.256"sv,
                                      "0x1.2.3.4"sv,
                                      "a.b.c.d"sv,
                                      "16909060"sv,
                                      "-1.2.3.4"sv,
                                      ":"sv,
                                      ":::"sv,
                                      "1::2::3"sv,
                                      "fe80::1%eth0"sv,
                                      "[::1]"sv,
                                      "1:2:3:4:5:6:7"sv,
                                      "12345::1"sv,
                                      "::1/64"sv,
                                      "1.2.3.4\0"sv,
                                      "localhost"sv,
                                      "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"sv})
    EXPECT_FALSE(parse_ip_address(text)) << text;
}

TEST(IpAddress, NetmasksAndPrefixes) {
  for (unsigned prefix = 0; prefix <= 32; ++prefix)
    EXPECT_EQ(prefix_of_netmask(netmask_of_prefix(false, prefix)), prefix);
  for (unsigned prefix = 0; prefix <= 128; ++prefix)
    EXPECT_EQ(prefix_of_netmask(netmask_of_prefix(true, prefix)), prefix);
  EXPECT_EQ(format_ip_address(netmask_of_prefix(false, 20)), "255.255.240.0");
  EXPECT_EQ(format_ip_address(netmask_of_prefix(true, 44)), "ffff:ffff:fff0::");
  EXPECT_EQ(prefix_of_netmask(ip("255.255.255.0")), 24u);
  EXPECT_FALSE(prefix_of_netmask(ip("255.0.255.0")));
  EXPECT_FALSE(prefix_of_netmask(ip("0.0.0.1")));
  EXPECT_FALSE(prefix_of_netmask(ip("ffff::1")));
}

TEST(IpAddress, NetworksOfAddresses) {
  EXPECT_EQ(format_ip_address(first_address(ip("192.168.122.77"), 24)), "192.168.122.0");
  EXPECT_EQ(format_ip_address(last_address(ip("192.168.122.77"), 24)), "192.168.122.255");
  EXPECT_EQ(format_ip_address(last_address(ip("10.1.2.3"), 30)), "10.1.2.3");
  EXPECT_EQ(last_address(ip("10.1.2.3"), 32), ip("10.1.2.3"));
  EXPECT_EQ(first_address(ip("10.1.2.3"), 0), ip("0.0.0.0"));
  EXPECT_EQ(last_address(ip("10.1.2.3"), 0), ip("255.255.255.255"));
  EXPECT_EQ(format_ip_address(last_address(ip("2001:db8::1"), 120)), "2001:db8::ff");
  EXPECT_TRUE(in_same_network(ip("192.168.1.1"), ip("192.168.1.200"), 24));
  EXPECT_FALSE(in_same_network(ip("192.168.1.1"), ip("192.168.2.1"), 24));
  EXPECT_FALSE(in_same_network(ip("0.0.0.0"), ip("::"), 0));
  EXPECT_LT(ip("10.0.0.2"), ip("10.0.0.10"));
}

TEST(IpAddress, SpecialAddresses) {
  EXPECT_TRUE(is_unspecified(ip("0.0.0.0")));
  EXPECT_TRUE(is_unspecified(ip("::")));
  EXPECT_FALSE(is_unspecified(ip("::1")));
  for (const char* text : {"224.0.0.1", "239.255.255.255", "ff02::1"}) EXPECT_TRUE(is_multicast(ip(text)));
  for (const char* text : {"223.255.255.255", "240.0.0.1", "fe80::1"}) EXPECT_FALSE(is_multicast(ip(text)));
}

}  // namespace
}  // namespace warren::driver::config
