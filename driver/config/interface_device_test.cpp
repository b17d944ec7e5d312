// Interfaces that are devices of the host (type hostdev), and those of Open vSwitch's bridges.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kSource =
    "<source><address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x2'/></source>";
constexpr std::string_view kBridge = "<source bridge='ovsbr0'/>";

std::string interface(std::string_view type, std::string_view content) {
  return fmt::format("<interface type='{}'><mac address='52:54:00:00:00:01'/>{}</interface>", type, content);
}

DomainDefinition complete(std::string_view devices) {
  DomainDefinition definition = parse_domain(
      fmt::format("<domain type='kvm'><name>d</name><memory>262144</memory><vcpu>1</vcpu><os><type>hvm</type>"
                  "<kernel>/k</kernel></os><devices>{}</devices></domain>",
                  devices));
  fill_defaults(definition, {});
  return definition;
}

std::pair<int, std::string> refusal(std::string_view type, std::string_view content) {
  try {
    complete(interface(type, content));
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {};
}

std::string shown(const DomainDefinition& definition, bool live = false) {
  return format_domain(definition, {.inactive = !live, .secure = true});
}

TEST(InterfaceOfTheHost, IsReadAndWrittenAsLibvirtDoes) {
  const std::string managed = fmt::format(
      "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:01'/><driver name='vfio'/>"
      "{}<vlan><tag id='42'/></vlan><boot order='2'/></interface>",
      kSource);
  const DomainDefinition definition = complete(managed);
  const Interface& nic = definition.devices.interfaces.at(0);
  EXPECT_TRUE(nic.source_device.managed);
  EXPECT_FALSE(nic.model_virtio);
  const std::string text = shown(definition);
  EXPECT_THAT(
      text, HasSubstr("    <interface type='hostdev' managed='yes'>\n"
                      "      <mac address='52:54:00:00:00:01'/>\n"
                      "      <driver name='vfio'/>\n"
                      "      <source>\n"
                      "        <address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x2'/>\n"
                      "      </source>\n"
                      "      <vlan>\n"
                      "        <tag id='42'/>\n"
                      "      </vlan>\n"));
  EXPECT_EQ(shown(parse_domain(text)), text);
  const auto assigned = assigned_devices(definition.devices);
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(format_pci_address(assigned[0].source), "0000:05:10.2");
  EXPECT_TRUE(assigned[0].managed);
  EXPECT_EQ(assigned[0].network, (NetworkFunction{{0x52, 0x54, 0, 0, 0, 1}, 42}));
}

TEST(InterfaceOfTheHost, HasNothingOfATap) {
  for (const char* element :
       {"<target dev='tap7'/>", "<mtu size='1400'/>", "<link state='down'/>",
        "<filterref filter='clean-traffic'/>", "<bandwidth><inbound average='9'/></bandwidth>",
        "<port isolated='yes'/>", "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>"}) {
    EXPECT_EQ(refusal("hostdev", std::string(kSource) + element).first, VIR_ERR_CONFIG_UNSUPPORTED)
        << element;
  }
  EXPECT_EQ(refusal("hostdev", "").first, VIR_ERR_XML_ERROR);
  EXPECT_EQ(refusal("hostdev", "<source/>").first, VIR_ERR_XML_ERROR);
  EXPECT_THAT(refusal("hostdev", std::string(kSource) + "<driver name='kvm'/>").second, HasSubstr("VFIO"));
  EXPECT_THAT(refusal("hostdev", std::string(kSource) + "<driver name='qemu'/>").second, HasSubstr("qemu"));
  const std::string trunk = "<vlan trunk='yes'><tag id='4'/><tag id='5'/></vlan>";
  EXPECT_THAT(refusal("hostdev", std::string(kSource) + trunk).second,
              HasSubstr("vlan trunking is not supported"));
  EXPECT_EQ(refusal("hostdev", std::string(kSource) + "<vlan><tag id='4095'/></vlan>").first,
            VIR_ERR_CONFIG_UNSUPPORTED);
}

TEST(InterfaceOfTheHost, IsInADomainOnceWhateverItIsCalled) {
  const std::string nic = interface("hostdev", kSource);
  const std::string device = fmt::format("<hostdev type='pci'>{}</hostdev>", kSource);
  for (const std::string& both : {nic + nic, nic + device}) {
    try {
      complete(both);
      ADD_FAILURE() << both;
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr("0000:05:10.2 is assigned twice"));
    }
  }
  DomainDefinition definition = complete(nic);
  EXPECT_THROW(add_device(definition, parse_device(device, DeviceUse::change, true)), Error);
  definition = complete(device);
  EXPECT_THROW(add_device(definition, parse_device(nic, DeviceUse::change, true)), Error);
}

TEST(InterfaceOfTheHost, IsNumberedWithTheHostsDevices) {
  DomainDefinition definition =
      complete(interface("bridge", "<source bridge='b'/>") + interface("hostdev", kSource) +
               "<hostdev type='pci'><source><address bus='9' slot='0' function='0'/></source></hostdev>");
  assign_live(definition, {.id = 1,
                           .serial_ptys = {},
                           .console_ptys = {},
                           .interface_targets = {"vnet0", ""},
                           .channel_paths = {}});
  EXPECT_EQ(definition.devices.interfaces.at(0).info.alias, "net0");
  EXPECT_EQ(definition.devices.interfaces.at(1).info.alias, "hostdev0");
  EXPECT_EQ(definition.devices.host_devices.at(0).info.alias, "hostdev1");
  EXPECT_THAT(shown(definition, true),
              HasSubstr("<driver name='vfio'/>\n      <source>\n        <address type='pci'"));
  Device another =
      parse_device(interface("hostdev", "<source><address bus='9' slot='0' function='1'/></source>"),
                   DeviceUse::change, true);
  assign_hot_plugged(definition, another);
  EXPECT_EQ(info_of(another).alias, "hostdev2");
}

// A status is read as it was written: the network and its port are known again.
TEST(InterfaceOfTheHost, OfANetworkShowsWhatTheNetworkGave) {
  DomainDefinition definition = complete(interface("network", "<source network='pool' portgroup='g'/>"));
  Interface& nic = definition.devices.interfaces.at(0);
  const std::string inactive = shown(definition);
  definition.id = 1;
  nic.port = InterfacePort{.id = Uuid::random(),
                           .plug = HostDevicePlug{.managed = true, .address = {.bus = 5, .slot = 16}}};
  const std::string live = shown(definition, true);
  EXPECT_THAT(live, HasSubstr("<interface type='hostdev' managed='yes'>"));
  EXPECT_THAT(live, HasSubstr(fmt::format("<source network='pool' portgroup='g' portid='{}'>",
                                          nic.port->id.to_string())));
  EXPECT_EQ(shown(definition), inactive);
  const DomainDefinition again = parse_domain(live, {.inactive = false});
  EXPECT_EQ(again.devices.interfaces.at(0), nic);
  EXPECT_EQ(assigned_devices(again.devices).size(), 1u);
  // What it has no place for is not forgotten in silence.
  nic.mtu = 1400;
  EXPECT_THROW(assigned_devices(definition.devices), Error);
}

TEST(InterfaceOfOpenVSwitch, IsReadAndWrittenAsLibvirtDoes) {
  const DomainDefinition definition = complete(
      interface("bridge", std::string(kBridge) +
                              "<vlan trunk='yes'><tag id='42'/><tag id='123' nativeMode='untagged'/></vlan>"
                              "<virtualport type='openvswitch'><parameters profileid='menial' "
                              "interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/></virtualport>"));
  const std::string text = shown(definition);
  EXPECT_THAT(text, HasSubstr("      <virtualport type='openvswitch'>\n"
                              "        <parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f' "
                              "profileid='menial'/>\n"
                              "      </virtualport>\n"));
  EXPECT_THAT(text, HasSubstr("<tag id='123' nativeMode='untagged'/>"));
  EXPECT_EQ(shown(parse_domain(text)), text);
  EXPECT_TRUE(is_on_open_vswitch(definition.devices.interfaces.at(0)));
}

// Controllers find it by that from one start to the next.
TEST(InterfaceOfOpenVSwitch, HasAnInterfaceIdForGood) {
  DomainDefinition definition =
      complete(interface("bridge", std::string(kBridge) + "<virtualport type='openvswitch'/>"));
  const auto id = definition.devices.interfaces.at(0).virtual_port.value().interface_id;
  ASSERT_TRUE(id);
  fill_defaults(definition, {});
  EXPECT_EQ(definition.devices.interfaces.at(0).virtual_port->interface_id, id);
  replace_device(definition,
                 parse_device(interface("bridge", std::string(kBridge) + "<virtualport type='openvswitch'/>"),
                              DeviceUse::change, true));
  EXPECT_EQ(definition.devices.interfaces.at(0).virtual_port->interface_id, id);
}

TEST(InterfaceOfOpenVSwitch, OtherSwitchesAreRefusedByName) {
  for (const char* type : {"802.1Qbg", "802.1Qbh", "midonet"}) {
    const auto [code, text] = refusal("bridge", fmt::format("{}<virtualport type='{}'/>", kBridge, type));
    EXPECT_EQ(code, VIR_ERR_CONFIG_UNSUPPORTED) << type;
    EXPECT_THAT(text, HasSubstr("Open vSwitch alone"));
  }
  EXPECT_THAT(refusal("direct", "<source dev='eth0'/><virtualport type='openvswitch'/>").second,
              HasSubstr("bridge and network"));
  // A network says which it is.
  EXPECT_EQ(
      refusal("network", "<source network='n'/><virtualport><parameters profileid='p'/></virtualport>").first,
      0);
  EXPECT_THAT(shown(complete(interface("network", "<source network='n'/>"))), Not(HasSubstr("virtualport")));
}

TEST(InterfaceOnAMacvtap, DoesNotFollowItsGuest) {
  const auto trusting = [](std::string_view type, std::string_view trust) {
    return fmt::format("<interface type='{}' trustGuestRxFilters='{}'><source {}/></interface>", type, trust,
                       type == "direct" ? "dev='eth0'" : "bridge='br0'");
  };
  EXPECT_THAT(shown(complete(trusting("direct", "no"))), HasSubstr("type='direct' trustGuestRxFilters='no'"));
  EXPECT_THAT(shown(complete(trusting("bridge", "yes"))),
              HasSubstr("type='bridge' trustGuestRxFilters='yes'"));
  try {
    complete(trusting("direct", "yes"));
    ADD_FAILURE() << "it is taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_CONFIG_UNSUPPORTED);
    EXPECT_THAT(error.message(), HasSubstr("/domain/devices/interface/@trustGuestRxFilters"));
  }
}

}  // namespace
}  // namespace warren::driver::config
