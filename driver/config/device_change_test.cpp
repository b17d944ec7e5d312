// One device as a document, and what becomes of a definition by it.
#include "driver/config/device_change.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include "driver/config/device_fixture.h"
#include "driver/config/domain_xml.h"

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

constexpr const char* kDrive =
    "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>";

DomainDefinition with_drive() {
  DomainDefinition definition = whole();
  add_device(definition, device(kDrive));
  fill_defaults(definition, {});
  assign_live(definition, {.id = 1,
                           .serial_ptys = {""},
                           .console_ptys = {""},
                           .interface_targets = {"vnet0", "vnet1"},
                           .channel_paths = {}});
  return definition;
}

TEST(DeviceChange, ADriveIsEmptyReadOnlyAndWhereItsNameSays) {
  const DomainDefinition definition = with_drive();
  const Disk& drive = definition.devices.disks.front();
  EXPECT_TRUE(drive.read_only);
  EXPECT_EQ(drive.source, "");
  EXPECT_EQ(drive.drive, DriveAddress{});
  EXPECT_EQ(drive.info.alias, "sata0-0-0");
  EXPECT_FALSE(drive.info.pci);
  const std::string xml = format_domain(definition);
  EXPECT_THAT(xml, HasSubstr("<target dev='sda' bus='sata'/>"));
  EXPECT_THAT(xml, HasSubstr("<address type='drive' controller='0' bus='0' target='0' unit='0'/>"));
  EXPECT_THAT(
      xml,
      HasSubstr("<controller type='sata' index='0'>\n      <alias name='ide'/>\n      <address type='pci' "
                "domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>"));
}

TEST(DeviceChange, OfARunningDriveTheMediumAloneChanges) {
  const DomainDefinition live = with_drive();
  const auto update = [&](std::string_view xml) {
    return std::get<Disk>(live_update(live, parse_device(xml, DeviceUse::change, false)));
  };
  const Disk filled = update(
      "<disk type='block' device='cdrom'><source dev='/dev/sr0' startupPolicy='optional'/><target "
      "dev='sda' bus='sata'/></disk>");
  EXPECT_EQ(filled.source, "/dev/sr0");
  EXPECT_EQ(filled.source_type, DiskSourceType::block);
  EXPECT_EQ(filled.info.alias, "sata0-0-0");
  EXPECT_EQ(filled.drive, DriveAddress{});
  for (const auto& [xml, what] :
       {std::pair("<disk device='cdrom'><target dev='sda' bus='sata'/><serial>new</serial></disk>",
                  "<serial>"),
        std::pair("<disk device='disk'><source file='/x'/><target dev='sda' bus='sata'/></disk>", "@device"),
        std::pair(
            "<disk device='cdrom'><target dev='sda' bus='sata'/><address type='drive' unit='3'/></disk>",
            "<address>"),
        std::pair("<disk device='cdrom'><driver cache='none'/><target dev='sda' bus='sata'/></disk>",
                  "<driver cache>"),
        std::pair("<disk device='cdrom'><driver detect_zeroes='on'/><target dev='sda' bus='sata'/></disk>",
                  "<driver detect_zeroes>")}) {
    const auto refused = refusal([&] { update(xml); });
    EXPECT_EQ(refused.first, VIR_ERR_OPERATION_UNSUPPORTED);
    EXPECT_THAT(refused.second, HasSubstr(what));
  }
}

TEST(DeviceChange, OfARunningInterfaceThePortStaysWhateverIsSaid) {
  DomainDefinition live = whole();
  Interface& plugged = live.devices.interfaces.emplace_back();
  plugged.type = InterfaceType::network;
  plugged.mac = MacAddress{0x52, 0x54, 0, 0, 0, 9};
  plugged.source_network = "lab";
  plugged.port = InterfacePort{.id = Uuid::random(), .plug = BridgePlug{.bridge = "virbr0"}};
  plugged.filter = FilterReference{.filter = "clean-traffic"};
  plugged.vlan = Vlan{.tags = {7}};
  plugged.target = "vnet9";
  plugged.model_virtio = true;
  const std::string begin = "<interface type='network'><mac address='52:54:00:00:00:09'/>";
  const auto update = [&](const std::string& more) {
    return std::get<Interface>(
        live_update(live, parse_device(begin + more + "</interface>", DeviceUse::change, false)));
  };
  const Interface down = update("<source network='lab'/><link state='down'/>");
  EXPECT_EQ(down.link_up, false);
  EXPECT_EQ(down.port, live.devices.interfaces.back().port);
  EXPECT_EQ(down.filter, live.devices.interfaces.back().filter);
  EXPECT_EQ(down.vlan, live.devices.interfaces.back().vlan);
  for (const auto& [more, what] :
       {std::pair("<source network='other'/>", "<source>"),
        std::pair("<source network='lab'/><filterref filter='no-mac-spoofing'/>", "<filterref>"),
        std::pair("<source network='lab'/><vlan><tag id='8'/></vlan>", "<vlan>"),
        std::pair("<source network='lab'/><port isolated='yes'/>", "<port isolated>")}) {
    const auto refused = refusal([&] { update(more); });
    EXPECT_EQ(refused.first, VIR_ERR_OPERATION_UNSUPPORTED);
    EXPECT_THAT(refused.second, HasSubstr(what));
  }
}

TEST(DeviceChange, DrivesOfOneAddressAreRefused) {
  DomainDefinition definition = with_drive();
  add_device(definition, device("<disk type='file'><source file='/b'/><target dev='sdb' bus='sata'/>"
                                "<address type='drive' unit='0'/></disk>"));
  EXPECT_THAT(refusal([&] { fill_defaults(definition, {}); }).second,
              HasSubstr("Found duplicate drive address"));
}

TEST(DeviceChange, TheSeventhDriveIsOnAControllerOfItsOwn) {
  DomainDefinition definition = whole();
  add_device(definition,
             device("<disk type='file'><source file='/b'/><target dev='sdg' bus='sata'/></disk>"));
  fill_defaults(definition, {});
  EXPECT_EQ(definition.devices.disks.front().drive, (DriveAddress{.controller = 1}));
  const auto& controllers = definition.devices.controllers;
  const auto second = std::ranges::find_if(controllers, [](const Controller& each) {
    return each.type == ControllerType::sata && each.index == 1u;
  });
  ASSERT_NE(second, controllers.end());
  EXPECT_EQ(std::prev(second)->index, 0u);
  ASSERT_TRUE(second->info.pci);
  EXPECT_EQ(second->info.pci->bus, 0);
  EXPECT_NE(second->info.pci->slot, 31);
  EXPECT_THAT(refusal([&] { remove_device(definition, *second); }).second, HasSubstr("busy"));
}

// libvirt's order, whatever the order they were written in.
TEST(DeviceChange, ControllersOfOneTypeAreInTheOrderOfTheirIndexes) {
  DomainDefinition definition = parse_domain(
      "<domain "
      "type='kvm'><name>d</name><memory>131072</memory><os><type>hvm</type><kernel>/k</kernel></os><devices>"
      "<controller type='pci' index='2' model='pcie-root-port'/><controller type='pci' index='1' "
      "model='pcie-root-port'/></devices></domain>");
  fill_defaults(definition, {});
  std::vector<std::uint32_t> order;
  for (const Controller& each : definition.devices.controllers)
    if (each.type == ControllerType::pci) order.push_back(*each.index);
  EXPECT_EQ(order.at(0), 0u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
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

TEST(DeviceChange, InputDevicesAreToldApartByTypeBusAndSource) {
  DomainDefinition definition = whole();
  constexpr std::string_view kKeyboard = "<input type='keyboard' bus='virtio'/>",
                             kHost =
                                 "<input type='passthrough' bus='virtio'>"
                                 "<source evdev='/dev/input/event0'/></input>";
  add_device(definition, device(kKeyboard));
  add_device(definition, device(kHost));
  EXPECT_EQ(refusal([&] { add_device(definition, device(kHost)); }).first, VIR_ERR_OPERATION_INVALID);
  fill_defaults(definition, {});
  check_readable(definition);
  ASSERT_EQ(definition.devices.inputs.size(), 3u);
  EXPECT_FALSE(definition.devices.inputs[0].info.pci);
  EXPECT_TRUE(definition.devices.inputs[1].info.pci);
  EXPECT_TRUE(definition.devices.inputs[2].info.pci);
  remove_device(definition, device(kKeyboard, DeviceUse::removal));
  EXPECT_EQ(refusal([&] { remove_device(definition, device(kKeyboard, DeviceUse::removal)); }).first,
            VIR_ERR_DEVICE_MISSING);
  remove_device(definition, device(kHost, DeviceUse::removal));
  ASSERT_EQ(definition.devices.inputs.size(), 1u);
  EXPECT_EQ(definition.devices.inputs[0].bus, InputBus::ps2);
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
  EXPECT_EQ(parse("<graphics/>").first, VIR_ERR_OPERATION_UNSUPPORTED);
  const auto unknown = parse("<disk><source file='/b'/><target dev='vdb'/>\n<wings/></disk>");
  EXPECT_EQ(unknown.first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(unknown.second, HasSubstr("/disk/wings"));
  EXPECT_THAT(unknown.second, HasSubstr("2"));
  EXPECT_EQ(parse("<disk><target dev='vdb'/></disk>").first, VIR_ERR_XML_ERROR);
  EXPECT_NE(parse("<disk>" + std::string(70'000, ' ') + "</disk>").first, 0);
}

}  // namespace
}  // namespace warren::driver::config
