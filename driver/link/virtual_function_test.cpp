// No kernel of the tests has such devices: what one would say, byte by byte, and who is refused.
#include "driver/link/virtual_function.h"

#include <cstring>
#include <vector>

#include <linux/if_link.h>
#include <linux/netlink.h>

#include "driver/link/link_fixture.h"

namespace warren::driver::link {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes attribute(std::uint16_t type, const void* data, std::size_t size) {
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
  Bytes bytes((header.nla_len + 3u) / 4 * 4);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, data, size);
  return bytes;
}
Bytes operator+(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}
Bytes function(std::uint32_t index, std::uint8_t last, std::uint32_t vlan) {
  ifla_vf_mac mac{};
  mac.vf = index;
  mac.mac[0] = 0x52;
  mac.mac[5] = last;
  const ifla_vf_vlan tag{.vf = index, .vlan = vlan, .qos = 3};
  const std::uint32_t unknown = 7;
  const Bytes parts = attribute(IFLA_VF_MAC, &mac, sizeof mac) + attribute(999, &unknown, sizeof unknown) +
                      attribute(IFLA_VF_VLAN, &tag, sizeof tag);
  return attribute(static_cast<std::uint16_t>(IFLA_VF_INFO | NLA_F_NESTED), parts.data(), parts.size());
}

TEST(VirtualFunctions, AreReadAsTheKernelWritesThem) {
  const auto found = parse_functions(function(0, 1, 0) + function(1, 2, 42));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at(0), (FunctionSettings{{0x52, 0, 0, 0, 0, 1}, 0, 3}));
  EXPECT_EQ(found.at(1), (FunctionSettings{{0x52, 0, 0, 0, 0, 2}, 42, 3}));
}

TEST(VirtualFunctions, WhatIsCutOffIsLeftOut) {
  const Bytes whole = function(0, 1, 0) + function(1, 2, 42);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_LT(parse_functions(std::span(whole).first(size)).size(), 2u) << size;
  // Lengths that lie: none at all, less than the header, more than there is.
  for (const std::uint16_t length : std::initializer_list<std::uint16_t>{0, 3, 0xffff}) {
    Bytes wrong = whole;
    std::memcpy(wrong.data(), &length, sizeof length);
    EXPECT_TRUE(parse_functions(wrong).empty());
  }
}

using VirtualFunctionTest = LinkTest;

TEST_F(VirtualFunctionTest, ADeviceWithoutThemSaysSo) {
  said("ip link add veth0 type veth peer name veth1");
  EXPECT_NE(refusal([] { read_function("veth0", 0); }).find("tells nothing of virtual function 0"),
            std::string::npos);
  EXPECT_NE(refusal([] { set_function("nothere", 0, {}); }).find("no link 'nothere'"), std::string::npos);
}

}  // namespace
}  // namespace warren::driver::link
