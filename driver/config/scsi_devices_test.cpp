// SCSI controllers and disks: from XML and back, where they are, and what comes and goes.
#include "driver/config/scsi_devices.h"

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include "driver/config/device_fixture.h"
#include "driver/config/domain_xml.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

std::string disk(std::string_view target, std::string_view more = "") {
  return fmt::format(
      "<disk type='file' device='disk'><source file='/{}.img'/><target dev='{}' bus='scsi'/>{}</disk>",
      target, target, more);
}

DomainDefinition whole(const std::string& devices) {
  DomainDefinition definition = parse_domain(
      "<domain type='kvm'><name>d</name><memory>131072</memory><iothreads>1</iothreads>"
      "<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os><devices>" +
      devices + "<memballoon model='none'/></devices></domain>");
  fill_defaults(definition, {});
  return definition;
}

DomainDefinition live(const std::string& devices) {
  DomainDefinition definition = whole(devices);
  assign_live(definition,
              {.id = 1, .serial_ptys = {}, .console_ptys = {}, .interface_targets = {}, .channel_paths = {}});
  return definition;
}

std::vector<Controller> controllers(const DomainDefinition& definition) {
  std::vector<Controller> found;
  std::ranges::copy_if(definition.devices.controllers, std::back_inserter(found),
                       [](const Controller& each) { return each.type == ControllerType::scsi; });
  return found;
}

TEST(ScsiDevices, ADiskIsWhereItsNameSaysAndBringsItsController) {
  const DomainDefinition definition = live(disk("sda") + disk("sdg") + disk("sdh"));
  const auto& disks = definition.devices.disks;
  EXPECT_EQ(disks[0].drive, DriveAddress{});
  EXPECT_EQ(disks[1].drive, (DriveAddress{.unit = 6}));
  EXPECT_EQ(disks[2].drive, (DriveAddress{.controller = 1}));
  EXPECT_EQ(disks[2].info.alias, "scsi1-0-0-0");
  EXPECT_FALSE(disks[2].info.pci);
  const auto found = controllers(definition);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].info.alias, "scsi1");
  EXPECT_EQ(found[1].model, ControllerModel::virtio_scsi);
  EXPECT_NE(found[1].info.pci.value().bus, 0) << "behind a root port";
  EXPECT_TRUE(takes_hot_plug(definition.devices, *found[1].info.pci));
  const std::string xml = format_domain(definition);
  EXPECT_THAT(xml, HasSubstr("<controller type='scsi' index='1' model='virtio-scsi'>"));
  EXPECT_THAT(xml, HasSubstr("<address type='drive' controller='0' bus='0' target='0' unit='6'/>"));
}

TEST(ScsiDevices, AllControllersUpToTheLastOneAreThere) {
  const auto found =
      controllers(whole(disk("sda", "<address type='drive' controller='2' target='9' unit='300'/>")));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].index, 0u);
}

TEST(ScsiDevices, SdWithoutABusIsScsi) {
  const DomainDefinition definition = whole(
      "<disk type='file'><source file='/a'/><target dev='sda'/></disk>"
      "<disk type='file' device='cdrom'><target dev='sdb'/></disk>");
  EXPECT_EQ(definition.devices.disks[0].bus, DiskBus::scsi);
  EXPECT_EQ(definition.devices.disks[1].bus, DiskBus::scsi);
}

TEST(ScsiDevices, ScsiAndSataDrivesDoNotMeet) {
  const DomainDefinition definition =
      live(disk("sda") +
           "<disk type='file'><source file='/a'/><target dev='sdb' bus='sata'/>"
           "<address type='drive' controller='0' unit='0'/></disk>");
  EXPECT_EQ(definition.devices.disks[1].info.alias, "sata0-0-0");
}

TEST(ScsiDevices, WhatADiskSaysOfItselfIsKept) {
  const DomainDefinition definition = whole(
      disk("sda",
           "<serial>a serial number of some length..</serial><wwn>5000C50015EA71AA</wwn>"
           "<vendor>ACME</vendor><product>Rocket disk</product>") +
      "<disk type='file'><source file='/b'/><target dev='sdb' bus='sata' rotation_rate='7200'/></disk>");
  const std::string xml = format_domain(definition);
  EXPECT_THAT(xml, HasSubstr("<serial>a serial number of some length..</serial>\n      "
                             "<wwn>5000C50015EA71AA</wwn>\n      <vendor>ACME</vendor>\n      "
                             "<product>Rocket disk</product>"));
  EXPECT_THAT(xml, HasSubstr("bus='sata' rotation_rate='7200'/>"));
  DomainDefinition again = parse_domain(xml);
  EXPECT_EQ(again.devices.disks, definition.devices.disks);
}

TEST(ScsiDevices, AControllerHasItsDriver) {
  const DomainDefinition definition = whole(
      "<controller type='scsi' model='virtio-scsi'><driver queues='4' cmd_per_lun='32' "
      "max_sectors='512' iothread='1'/></controller>");
  const auto found = controllers(definition);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].driver, (ControllerDriver{4, 32, 512, 1}));
  EXPECT_THAT(format_domain(definition),
              HasSubstr("<driver queues='4' cmd_per_lun='32' max_sectors='512' iothread='1'/>"));
}

TEST(ScsiDevices, PlacesAreTakenOnce) {
  EXPECT_THAT(
      refusal([] { whole(disk("sda") + disk("sdb", "<address type='drive' target='0' unit='0'/>")); }).second,
      HasSubstr("Found duplicate drive address"));
  EXPECT_THAT(
      refusal([] { whole("<controller type='scsi' index='1'/><controller type='scsi' index='1'/>"); }).second,
      HasSubstr("two SCSI controllers 1"));
}

TEST(ScsiDevices, OfARunningDomainADiskComesToAPlaceThatIsFree) {
  const DomainDefinition running = live(disk("sda"));
  Device another = device(disk("sdb"));
  EXPECT_TRUE(missing_scsi_controllers(running.devices, another).empty());
  assign_hot_plugged(running, another);
  EXPECT_EQ(std::get<Disk>(another).info.alias, "scsi0-0-0-1");
  EXPECT_FALSE(info_of(another).pci);
  Device taken = device(disk("sdc", "<address type='drive' unit='0'/>"));
  EXPECT_EQ(refusal([&] { require_new(running.devices, taken); }).first, VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(refusal([&] { assign_hot_plugged(running, taken); }).first, VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(refusal([&] { require_new(running.devices, device(disk("sda"))); }).first,
            VIR_ERR_OPERATION_INVALID);
  const Device far = device(disk("sdd", "<address type='drive' controller='2'/>"));
  EXPECT_EQ(missing_scsi_controllers(running.devices, far), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(missing_scsi_controllers(running.devices, device("<controller type='scsi'/>")).empty());
  // Refused before a controller is plugged in for it.
  const auto [code, message] =
      refusal([&] { missing_scsi_controllers(running.devices, device(disk("sdzzz"))); });
  EXPECT_EQ(code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(message, "unsupported configuration: 'sdzzz' is beyond the last SCSI controller");
}

TEST(ScsiDevices, AControllerIsPluggedInWithTheNextIndex) {
  DomainDefinition running = live(disk("sda") +
                                  "<controller type='pci' model='pcie-root-port'/>"
                                  "<controller type='pci' model='pcie-root-port'/>");
  Device controller = device("<controller type='scsi' model='virtio-scsi'/>");
  assign_hot_plugged(running, controller);
  EXPECT_EQ(std::get<Controller>(controller).index, 1u);
  EXPECT_EQ(info_of(controller).alias, "scsi1");
  EXPECT_TRUE(info_of(controller).pci);
  add_device(running, controller);
  EXPECT_EQ(
      refusal([&] { require_new(running.devices, device("<controller type='scsi' index='1'/>")); }).first,
      VIR_ERR_OPERATION_INVALID);
}

TEST(ScsiDevices, AControllerWithDisksStays) {
  DomainDefinition definition = whole(disk("sda"));
  const Device controller = device("<controller type='scsi' index='0'/>");
  EXPECT_THAT(refusal([&] { remove_device(definition, controller); }).second, HasSubstr("device is busy"));
  definition = whole(disk("sda"));
  remove_device(definition, device(disk("sda")));
  fill_defaults(definition, {});
  EXPECT_EQ(controllers(definition).size(), 1u) << "it stays when its disk has gone";
  remove_device(definition, controller);
  EXPECT_TRUE(controllers(definition).empty());
}

TEST(ScsiDevices, OfARunningDiskTheIdentityStays) {
  const DomainDefinition running = live(disk("sda", "<wwn>5000c50015ea71aa</wwn>"));
  const auto update = [&](std::string_view more) {
    return live_update(running, parse_device(disk("sda", more), DeviceUse::change, false));
  };
  EXPECT_EQ(std::get<Disk>(update("")).wwn, "5000c50015ea71aa");
  EXPECT_THAT(refusal([&] { update("<wwn>5000c50015ea71ab</wwn>"); }).second, HasSubstr("<wwn>"));
  EXPECT_THAT(refusal([&] { update("<vendor>ACME</vendor>"); }).second, HasSubstr("<vendor>"));
}

}  // namespace
}  // namespace warren::driver::config
