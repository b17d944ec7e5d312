// fill_defaults() and assign_live() beyond what the corpus compares with libvirt.
#include "driver/config/domain_defaults.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

void counting_bytes(std::span<std::uint8_t> bytes) {
  std::uint8_t next = 0xf0;
  for (std::uint8_t& byte : bytes) byte = next++;
}

HostFacts facts() {
  HostFacts facts;
  facts.emulator = "/usr/libexec/warren-vmm";
  return facts;
}

DomainDefinition complete(std::string_view devices, std::string_view more = "") {
  DomainDefinition definition = parse_domain(fmt::format(
      "<domain type='kvm'><name>d</name><memory>65536</memory><os><type>hvm</type><kernel>/k</kernel></os>{}"
      "<devices>{}</devices></domain>",
      more, devices));
  fill_defaults(definition, facts(), counting_bytes);
  return definition;
}

std::string refusal(std::string_view devices, int code, std::string_view more = "") {
  try {
    complete(devices, more);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    return error.message();
  }
  return "accepted";
}

constexpr char kRng[] = "<rng model='virtio'><backend model='random'/>{}</rng>";

std::string rng_at(std::string_view address) {
  return fmt::format("<rng model='virtio'><backend model='random'/><address type='pci' {}/></rng>", address);
}

TEST(DomainDefaults, RandomPartsAreMarkedAsSuch) {
  const DomainDefinition definition = complete("<interface type='bridge'><source bridge='b'/></interface>");
  EXPECT_EQ(definition.uuid->to_string(), "f0f1f2f3-f4f5-46f7-b8f9-fafbfcfdfeff");  // version 4, variant 1
  EXPECT_EQ(format_mac_address(*definition.devices.interfaces[0].mac), "52:54:00:f0:f1:f2");
}

TEST(DomainDefaults, WhatWasGivenStays) {
  const DomainDefinition definition = complete("", "<on_crash>preserve</on_crash><cpu mode='host-model'/>");
  EXPECT_EQ(definition.lifecycle.on_crash, LifecycleAction::preserve);
  EXPECT_EQ(definition.lifecycle.on_reboot, LifecycleAction::restart);
  EXPECT_EQ(definition.cpu->mode, CpuMode::host_model);
  EXPECT_EQ(definition.devices.emulator, "/usr/libexec/warren-vmm");
}

TEST(DomainDefaults, AnotherEmulatorIsRefused) {
  const std::string message =
      refusal("<emulator>/usr/local/bin/wrapper</emulator>", VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(message, HasSubstr("/domain/devices/emulator"));
  EXPECT_THAT(message, HasSubstr("/usr/libexec/warren-vmm"));
}

TEST(DomainDefaults, WhatWasWrittenForQemuRunsOnTheWorker) {
  for (const char* name : {"/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/kvm"}) {
    EXPECT_EQ(complete(fmt::format("<emulator>{}</emulator>", name)).devices.emulator,
              "/usr/libexec/warren-vmm");
  }
}

TEST(DomainDefaults, T18AConsoleBehindTheHighestPortIsRefused) {
  EXPECT_THAT(refusal("<console type='pty'><target type='virtio' port='255'/></console>"
                      "<console type='pty'><target type='virtio'/></console>",
                      VIR_ERR_CONFIG_UNSUPPORTED),
              HasSubstr("the highest is 255"));
}

TEST(DomainDefaults, PciAddressesThatCannotBe) {
  EXPECT_THAT(refusal(rng_at("bus='1' slot='0'") + rng_at("bus='1' slot='0'"), VIR_ERR_XML_ERROR),
              HasSubstr("0000:01:00.0 is that of /domain/devices/rng[1]"));
  EXPECT_THAT(refusal(rng_at("bus='1' slot='4'"), VIR_ERR_XML_ERROR), HasSubstr("slot 0 only"));
  EXPECT_THAT(refusal(rng_at("bus='0' slot='0'"), VIR_ERR_XML_ERROR), HasSubstr("chipset"));
  EXPECT_THAT(refusal(rng_at("bus='0' slot='0x1f' function='2'"), VIR_ERR_XML_ERROR), HasSubstr("chipset"));
  EXPECT_THAT(refusal(rng_at("bus='0' slot='5' function='1'"), VIR_ERR_XML_ERROR),
              HasSubstr("multifunction"));
  EXPECT_THAT(refusal("<controller type='pci' index='3' model='pcie-root-port'/>"
                      "<controller type='pci' index='3' model='pcie-root-port'/>",
                      VIR_ERR_XML_ERROR),
              HasSubstr("two of index 3"));
  EXPECT_THAT(refusal("<controller type='pci' index='1' model='pcie-root-port'>"
                      "<address type='pci' bus='2' slot='0'/></controller>",
                      VIR_ERR_CONFIG_UNSUPPORTED),
              HasSubstr("bus 0"));
}

TEST(DomainDefaults, MultifunctionOnBusZero) {
  const DomainDefinition definition =
      complete(rng_at("bus='0' slot='5' multifunction='on'") + rng_at("bus='0' slot='5' function='1'"));
  EXPECT_EQ(definition.devices.rngs[1].info.pci->function, 1);
}

TEST(DomainDefaults, MoreDevicesThanPlaces) {
  std::string devices = "<memballoon model='none'/>";
  for (int i = 0; i < 239; ++i) devices += fmt::format(kRng, "");
  EXPECT_EQ(complete(devices).devices.controllers.size(), 3u + 240u);  // usb, SATA, pcie-root, the ports
  for (int i = 0; i < 2; ++i) devices += fmt::format(kRng, "");
  EXPECT_THAT(refusal(devices, VIR_ERR_CONFIG_UNSUPPORTED), HasSubstr("no slot left"));
}

TEST(DomainDefaults, HighBusNumbersAreReached) {
  const DomainDefinition definition = complete(rng_at("bus='0xa0' slot='0'"));
  EXPECT_EQ(definition.devices.rngs[0].info.pci->bus, 0xa0);
  EXPECT_THAT(refusal(rng_at("bus='0xff' slot='0'"), VIR_ERR_CONFIG_UNSUPPORTED), HasSubstr("no slot left"));
}

TEST(DomainDefaults, SerialPortsAndConsoles) {
  EXPECT_THAT(refusal("<serial type='null'/><serial type='null'/><serial type='null'/><serial type='null'/>"
                      "<serial type='null'/>",
                      VIR_ERR_CONFIG_UNSUPPORTED),
              HasSubstr("four serial ports"));
  EXPECT_THAT(
      refusal(
          "<serial type='null'><target port='1'/></serial><serial type='null'><target port='1'/></serial>",
          VIR_ERR_XML_ERROR),
      HasSubstr("two serial ports 1"));
  EXPECT_THAT(refusal("<console type='pty'/><console type='pty'/>", VIR_ERR_CONFIG_UNSUPPORTED),
              HasSubstr("only the first console"));
  const DomainDefinition definition = complete(
      "<console type='pty'><target type='virtio'/></console><console type='null'><target "
      "type='virtio'/></console>");
  EXPECT_EQ(definition.devices.consoles[1].address, (VirtioSerialAddress{.port = 1}));
  EXPECT_TRUE(definition.devices.serials.empty());
}

TEST(DomainDefaults, ChannelsGetPortsOfControllers) {
  const auto channel = [](int number, const std::string& place = {}) {
    return fmt::format("<channel type='unix'><target type='virtio' name='port{}'/>{}</channel>", number,
                       place);
  };
  const auto at = [](int controller, int port) {
    return fmt::format("<address type='virtio-serial' controller='{}' port='{}'/>", controller, port);
  };
  DomainDefinition definition =
      complete("<controller type='virtio-serial' ports='3'/>" + channel(0) + channel(1, at(0, 1)) +
               channel(2) + "<console type='pty'><target type='virtio'/></console>");
  const auto& channels = definition.devices.channels;
  EXPECT_EQ(channels[0].address, (VirtioSerialAddress{.port = 2})) << "port 0 is for consoles, 1 is taken";
  EXPECT_EQ(channels[2].address, (VirtioSerialAddress{.controller = 1, .port = 1}));
  EXPECT_EQ(definition.devices.consoles[0].address, VirtioSerialAddress{});
  const DomainDefinition once = definition;
  fill_defaults(definition, facts(), counting_bytes);
  EXPECT_EQ(definition, once);
  EXPECT_THAT(refusal(channel(0, at(0, 3)) + channel(1, at(0, 3)), VIR_ERR_XML_ERROR),
              HasSubstr("used twice"));
  EXPECT_THAT(
      refusal("<controller type='virtio-serial' ports='2'/>" + channel(0, at(0, 2)), VIR_ERR_XML_ERROR),
      HasSubstr("no port 2"));
  EXPECT_THAT(refusal(channel(0) + channel(0), VIR_ERR_XML_ERROR),
              HasSubstr("another channel has the name 'port0'"));
}

TEST(DomainDefaults, HostLimits) {
  DomainDefinition definition = complete("", "<vcpu>9</vcpu>");
  HostFacts small = facts();
  small.kvm_maximum_vcpus = 8;
  EXPECT_THROW(fill_defaults(definition, small, counting_bytes), Error);
  definition.vcpu = {.maximum = 1, .current = 1};
  definition.memory.maximum_kib = std::uint64_t{2} << 30;
  EXPECT_THROW(fill_defaults(definition, facts(), counting_bytes), Error);
}

TEST(AssignLive, AliasesPtysAndTaps) {
  DomainDefinition definition = complete(
      "<disk type='file'><source file='/a'/><target dev='vda'/></disk>"
      "<disk type='file'><source file='/b'/><target dev='sda' bus='virtio'/></disk>"
      "<disk type='file'><source file='/c'/><target dev='vdab'/><alias name='ua-third'/></disk>"
      "<interface type='bridge'><source bridge='b'/></interface>"
      "<serial type='pty'/><console type='pty'><target type='virtio'/></console>");
  assign_live(definition, {.id = 3,
                           .serial_ptys = {"/dev/pts/5"},
                           .console_ptys = {"", "/dev/pts/6"},
                           .interface_targets = {"vnet0"}});
  EXPECT_EQ(definition.id, 3);
  const Devices& devices = definition.devices;
  EXPECT_EQ(devices.disks[0].info.alias, "virtio-disk0");  // sda
  EXPECT_EQ(devices.disks[1].info.alias, "virtio-disk1");  // vda: 0 is taken
  EXPECT_EQ(devices.disks[2].info.alias, "ua-third");
  EXPECT_EQ(devices.interfaces[0].info.alias, "net0");
  EXPECT_EQ(devices.interfaces[0].target, "vnet0");
  EXPECT_EQ(devices.serials[0].backend.path, "/dev/pts/5");
  EXPECT_EQ(devices.consoles[0].tty, "/dev/pts/5");
  EXPECT_EQ(devices.consoles[0].info.alias, "serial0");
  EXPECT_EQ(devices.consoles[1].tty, "/dev/pts/6");
  EXPECT_EQ(devices.consoles[1].info.alias, "console1");
  const std::string live = format_domain(definition);
  EXPECT_THAT(live, HasSubstr("<domain type='kvm' id='3'>"));
  EXPECT_THAT(live, HasSubstr("<console type='pty' tty='/dev/pts/5'>"));
  EXPECT_THAT(live, HasSubstr("<alias name='pci.1'/>"));
  const std::string inactive = format_domain(definition, {.inactive = true});
  for (const char* gone : {"id='3'", "/dev/pts", "vnet0", "virtio-disk", "pci.1"})
    EXPECT_THAT(inactive, testing::Not(HasSubstr(gone)));
  EXPECT_THAT(inactive, HasSubstr("ua-third"));
}

TEST(AssignLive, ResourcesHaveToFit) {
  DomainDefinition definition = complete("<serial type='pty'/>");
  EXPECT_THROW(assign_live(definition, {.id = 1}), Error);
  EXPECT_THROW(assign_live(definition, {.serial_ptys = {""}, .console_ptys = {""}}), Error);
}

}  // namespace
}  // namespace warren::driver::config
