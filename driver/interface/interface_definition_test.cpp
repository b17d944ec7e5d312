#include "driver/interface/interface_definition.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/interface/ifupdown.h"

namespace warren::driver::interface {
namespace {

using testing::HasSubstr;

constexpr const char* kEthernet = R"(<interface type='ethernet' name='enp1s0'>
  <start mode='hotplug'/>
  <mtu size='1492'/>
  <protocol family='ipv4'>
    <dhcp/>
    <ip address='10.20.0.7' prefix='22'/>
    <route gateway='10.20.0.1'/>
  </protocol>
  <protocol family='ipv6'>
    <autoconf/>
    <dhcp/>
  </protocol>
  <link speed='2500' state='up'/>
  <mac address='02:11:22:33:44:55'/>
</interface>
)";
constexpr const char* kBridge = R"(<interface type='bridge' name='br-lan'>
  <start mode='onboot'/>
  <protocol family='ipv4'>
    <ip address='172.20.1.1' prefix='24'/>
  </protocol>
  <bridge stp='on' delay='2.50'>
    <interface type='ethernet' name='enp1s0'>
      <mac address='02:11:22:33:44:55'/>
    </interface>
    <interface type='vlan' name='enp2s0.77'>
      <vlan tag='77'>
        <interface name='enp2s0'/>
      </vlan>
    </interface>
    <interface type='bond' name='bond7'>
      <bond mode='active-backup'>
        <interface type='ethernet' name='enp3s0'>
        </interface>
      </bond>
    </interface>
  </bridge>
</interface>
)";
constexpr const char* kBond = R"(<interface type='bond' name='bond0'>
  <bond mode='802.3ad'>
    <miimon freq='80' downdelay='10' updelay='20' carrier='netif'/>
    <interface type='ethernet' name='enp1s0'>
    </interface>
    <interface type='ethernet' name='enp2s0'>
    </interface>
  </bond>
</interface>
)";
constexpr const char* kArpBond = R"(<interface type='bond' name='bond0'>
  <bond mode='balance-rr'>
    <arpmon interval='100' target='10.20.0.1' validate='active'/>
  </bond>
</interface>
)";
constexpr const char* kVlan = R"(<interface type='vlan' name='enp1s0.4094'>
  <link state='lowerlayerdown'/>
  <vlan tag='4094'>
    <interface name='enp1s0'/>
  </vlan>
</interface>
)";

std::string refusal(const std::string& xml, bool validate = false) {
  try {
    (void)parse_interface(xml, validate);
  } catch (const Error& error) {
    EXPECT_EQ(error.domain(), VIR_FROM_INTERFACE);
    return error.message();
  }
  ADD_FAILURE() << "it was not refused: " << xml;
  return {};
}

TEST(InterfaceDefinition, IsWrittenAsItWasRead) {
  for (const char* xml : {kEthernet, kBridge, kBond, kArpBond, kVlan})
    EXPECT_EQ(format_interface(parse_interface(xml, /*validate=*/true)), xml);
}

TEST(InterfaceDefinition, RefusesWhatItDoesNotKnow) {
  const auto ethernet = [](const char* inside) {
    return fmt::format("<interface type='ethernet' name='e0'>{}</interface>", inside);
  };
  EXPECT_THAT(refusal("<network/>"), HasSubstr("is to be <interface>"));
  EXPECT_THAT(refusal("<interface name='e0'/>"), HasSubstr("type"));
  EXPECT_THAT(refusal("<interface type='ethernet' name='a/b'/>"), HasSubstr("'a/b' cannot be"));
  EXPECT_THAT(refusal("<interface type='tunnel' name='e0'/>"), HasSubstr("'tunnel'"));
  EXPECT_THAT(refusal(ethernet("<wifi/>")), HasSubstr("wifi"));
  EXPECT_THAT(refusal(ethernet("<protocol family='ipx'/>")), HasSubstr("neither ipv4 nor ipv6"));
  EXPECT_THAT(refusal(ethernet("<protocol family='ipv4'><ip address='fd00::1'/></protocol>")),
              HasSubstr("is no IPv4 address"));
  EXPECT_THAT(refusal(ethernet("<protocol family='ipv4'><ip address='1.2.3.4' prefix='33'/></protocol>")),
              HasSubstr("prefix"));
  EXPECT_THAT(refusal(ethernet("<protocol family='ipv4'/><protocol family='ipv4'/>")), HasSubstr("already"));
  EXPECT_THAT(refusal(ethernet("<protocol family='ipv4'><autoconf/></protocol>")), HasSubstr("autoconf"));
  EXPECT_THAT(refusal(ethernet("<mtu size='0'/>")), HasSubstr("mtu"));
  EXPECT_THAT(refusal("<interface type='bridge' name='b0'/>"), HasSubstr("it needs <bridge>"));
  EXPECT_THAT(refusal("<interface type='bridge' name='b0'><bridge delay='1.234'/></interface>"),
              HasSubstr("'1.234' is no number of seconds"));
  EXPECT_THAT(
      refusal("<interface type='bridge' name='b0'><bridge delay='18446744073709551615'/></interface>"),
      HasSubstr("is no number of seconds"));
  EXPECT_THAT(refusal("<interface type='bridge' name='b0'><bridge><interface type='bridge' name='b1'>"
                      "<bridge/></interface></bridge></interface>"),
              HasSubstr("a bridge cannot be in a bridge"));
  EXPECT_THAT(
      refusal("<interface type='vlan' name='v0'><vlan tag='4095'><interface name='e0'/></vlan></interface>"),
      HasSubstr("tag"));
  EXPECT_THAT(refusal("<interface type='bond' name='b0'><bond><miimon freq='1'/><arpmon interval='1' "
                      "target='1.2.3.4'/></bond></interface>"),
              HasSubstr("not by both"));
  EXPECT_THAT(refusal(ethernet("<start mode='later'/>"), /*validate=*/true), HasSubstr("start"));
}

TEST(IfupdownText, SaysWhatIsDefined) {
  EXPECT_EQ(ifupdown_text(parse_interface(kBridge, false)),
            "iface enp2s0.77 inet manual\n"
            "  vlan-raw-device enp2s0\n"
            "iface bond7 inet manual\n"
            "  bond-slaves enp3s0\n"
            "  bond-mode 1\n"
            "auto br-lan\n"
            "iface br-lan inet static\n"
            "  address 172.20.1.1/24\n"
            "  bridge_ports enp1s0 enp2s0.77 bond7\n"
            "  bridge_stp on\n"
            "  bridge_fd 2.50\n");
  EXPECT_EQ(ifupdown_text(parse_interface(kEthernet, false)),
            "allow-hotplug enp1s0\n"
            "iface enp1s0 inet dhcp\n"
            "  hwaddress ether 02:11:22:33:44:55\n"
            "  mtu 1492\n"
            "iface enp1s0 inet static\n"
            "  address 10.20.0.7/22\n"
            "  gateway 10.20.0.1\n"
            "iface enp1s0 inet6 auto\n"
            "  dhcp 1\n");
  EXPECT_EQ(ifupdown_text(parse_interface(kVlan, false)),
            "iface enp1s0.4094 inet manual\n"
            "  vlan-raw-device enp1s0\n");
}

TEST(IfupdownText, RefusesWhatItCannotSay) {
  const auto refused = [](const std::string& xml) -> std::string {
    try {
      (void)ifupdown_text(parse_interface(xml, false));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED);
      return error.detail();
    }
    return "nothing";
  };
  EXPECT_THAT(refused("<interface type='ethernet' name='e#0'/>"), HasSubstr("no name that ifupdown takes"));
  EXPECT_THAT(
      refused("<interface type='ethernet' name='e0'><protocol family='ipv4'><dhcp peerdns='no'/></protocol>"
              "</interface>"),
      HasSubstr("peerdns"));
  EXPECT_THAT(refused("<interface type='ethernet' name='e0'><protocol family='ipv4'><ip address='1.2.3.4'/>"
                      "</protocol></interface>"),
              HasSubstr("1.2.3.4 needs a prefix"));
  EXPECT_THAT(
      refused("<interface type='vlan' name='v0'><vlan tag='5'><interface name='e0'/></vlan></interface>"),
      HasSubstr("call it e0.5 or vlan5"));
  for (const char* name : {"all", "none", "regex", "noregex"}) {
    const std::string member = fmt::format("<interface type='ethernet' name='{}'/>", name);
    EXPECT_THAT(refused("<interface type='bridge' name='b0'><bridge>" + member + "</bridge></interface>"),
                HasSubstr(fmt::format("'{}' is a keyword", name)));
    EXPECT_THAT(refused("<interface type='bond' name='b0'><bond>" + member + "</bond></interface>"),
                HasSubstr(fmt::format("'{}' is a keyword", name)));
  }
}

}  // namespace
}  // namespace warren::driver::interface
