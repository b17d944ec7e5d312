// One device as a document, and what becomes of a definition by it.
#include "driver/config/device_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

constexpr const char* kDomain = R"(<domain type='kvm'><name>d</name><memory>131072</memory>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os><devices>
<disk type='file' device='disk'><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><alias name='ua-second'/></interface>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<serial type='pty'/></devices></domain>)";

constexpr const char* kNewDisk =
    "<disk type='file' device='disk'><source file='/b.img'/><target dev='vdb' bus='virtio'/></disk>";

DomainDefinition whole() {
  DomainDefinition definition = parse_domain(kDomain);
  fill_defaults(definition, {});
  return definition;
}

Device device(std::string_view xml, DeviceUse use = DeviceUse::change) {
  Device parsed = parse_device(xml, use, true);
  if (!std::holds_alternative<Interface>(parsed)) complete_device(parsed);
  return parsed;
}

template <typename Work>
std::pair<int, std::string> refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {0, ""};
}

TEST(DeviceChange, ADiskComesAndGoesAndTheRestIsAsBefore) {
  const DomainDefinition before = whole();
  DomainDefinition definition = before;
  add_device(definition, device(kNewDisk));
  fill_defaults(definition, {});
  check_readable(definition);
  ASSERT_EQ(definition.devices.disks.size(), 2u);
  EXPECT_EQ(definition.devices.disks[1].source, "/b.img");
  EXPECT_TRUE(definition.devices.disks[1].info.pci.has_value());
  remove_device(definition, device("<disk><target dev='vdb'/></disk>", DeviceUse::removal));
  EXPECT_EQ(definition.devices.disks, before.devices.disks);
  EXPECT_EQ(definition.devices.interfaces, before.devices.interfaces);
}

TEST(DeviceChange, WhatIsThereAlreadyIsRefused) {
  DomainDefinition definition = whole();
  const auto add = [&](std::string_view xml) {
    return refusal([&] { add_device(definition, device(xml)); }).first;
  };
  EXPECT_EQ(add("<disk><source file='/b'/><target dev='vda'/></disk>"), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(add("<controller type='pci' model='pcie-root-port' index='1'/>"), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(add("<serial type='pty'><target port='0'/></serial>"), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(add("<input type='keyboard' bus='ps2'/>"), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(add("<disk><source file='/b'/><target dev='vdb'/><alias name='ua-second'/></disk>"),
            VIR_ERR_CONFIG_UNSUPPORTED);
}

TEST(DeviceChange, WhatIsNotThereAndWhatIsSeveralAreToldApart) {
  DomainDefinition definition = whole();
  const DomainDefinition before = definition;
  const auto remove = [&](std::string_view xml) {
    return refusal([&] { remove_device(definition, device(xml, DeviceUse::removal)); });
  };
  EXPECT_EQ(remove("<disk><target dev='vdz'/></disk>").first, VIR_ERR_DEVICE_MISSING);
  EXPECT_EQ(remove("<interface type='ethernet'><mac address='52:54:00:00:00:02'/></interface>").first,
            VIR_ERR_DEVICE_MISSING);
  const auto several = remove("<interface type='ethernet'><mac address='52:54:00:00:00:01'/></interface>");
  EXPECT_EQ(several.first, VIR_ERR_OPERATION_FAILED);
  EXPECT_THAT(several.second, HasSubstr("52:54:00:00:00:01"));
  EXPECT_EQ(remove("<rng model='virtio'><backend model='builtin'/></rng>").first, VIR_ERR_DEVICE_MISSING);
  EXPECT_EQ(remove("<input type='keyboard' bus='ps2'/>").first, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(remove("<controller type='pci' model='pcie-root-port' index='1'/>").first,
            VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(refusal([&] { device_with_alias(definition, "ua-none"); }).first, VIR_ERR_DEVICE_MISSING);
  EXPECT_EQ(definition, before);
}

TEST(DeviceChange, AnAddressOrAnAliasTellsTwoOfOneMacAddressApart) {
  DomainDefinition definition = whole();
  Interface second = definition.devices.interfaces[1];
  Interface wanted{.type = InterfaceType::ethernet, .mac = second.mac};
  wanted.info.pci = second.info.pci;
  EXPECT_EQ(std::get<Interface>(find_device(definition, wanted)), second);
  EXPECT_EQ(std::get<Interface>(device_with_alias(definition, "ua-second")), second);
  remove_device(definition, second);
  ASSERT_EQ(definition.devices.interfaces.size(), 1u);
  EXPECT_TRUE(definition.devices.interfaces[0].info.alias.empty());
}

TEST(DeviceChange, AnUpdateKeepsTheAddressAndTheMac) {
  DomainDefinition definition = whole();
  const Interface before = definition.devices.interfaces[1];
  replace_device(definition, device("<interface type='bridge'><source bridge='br1'/><link state='down'/>"
                                    "<alias name='ua-second'/></interface>"));
  Interface wanted = before;
  wanted.source_bridge = "br1";
  wanted.link_up = false;
  EXPECT_EQ(definition.devices.interfaces[1], wanted);
  EXPECT_EQ(refusal([&] { replace_device(definition, device("<serial type='pty'/>")); }).first,
            VIR_ERR_OPERATION_UNSUPPORTED);
}

TEST(DeviceChange, TheConsoleOfTheOnlySerialPortGoesWithIt) {
  DomainDefinition definition = whole();
  ASSERT_EQ(definition.devices.consoles.size(), 1u);
  remove_device(definition, device("<serial type='pty'/>", DeviceUse::removal));
  fill_defaults(definition, {});
  EXPECT_TRUE(definition.devices.serials.empty());
  EXPECT_TRUE(definition.devices.consoles.empty());
}

// T18: what is no device, or more than one.
TEST(DeviceChange, T18DocumentsThatAreNoDevice) {
  const auto parse = [](std::string_view xml) { return refusal([&] { device(xml); }); };
  EXPECT_EQ(parse("<disk>").first, VIR_ERR_XML_DETAIL);
  EXPECT_EQ(parse("<domain/>").first, VIR_ERR_XML_ERROR);
  EXPECT_EQ(parse("<hostdev/>").first, VIR_ERR_OPERATION_UNSUPPORTED);
  const auto unknown = parse("<disk><source file='/b'/><target dev='vdb'/>\n<wings/></disk>");
  EXPECT_EQ(unknown.first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(unknown.second, HasSubstr("/disk/wings"));
  EXPECT_THAT(unknown.second, HasSubstr("2"));
  EXPECT_EQ(parse("<disk><target dev='vdb'/></disk>").first, VIR_ERR_XML_ERROR);
  EXPECT_NE(parse("<disk>" + std::string(70'000, ' ') + "</disk>").first, 0);
}

}  // namespace
}  // namespace warren::driver::config
