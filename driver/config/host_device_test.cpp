// <hostdev>: what is taken, what is refused and why, and what a definition makes of it.
#include "driver/config/host_device.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSource =
    "<source><address domain='0x0000' bus='0x06' slot='0x02' function='0x1'/></source>";

std::string domain(std::string_view devices) {
  return fmt::format(
      "<domain type='kvm'><name>d</name><memory>262144</memory><vcpu>1</vcpu><os><type>hvm</type>"
      "<kernel>/k</kernel></os><devices>{}</devices></domain>",
      devices);
}

HostDevice parse(std::string_view attributes, std::string_view content) {
  return std::get<HostDevice>(
      parse_device(fmt::format("<hostdev {}>{}</hostdev>", attributes, content), DeviceUse::change, true));
}

std::pair<int, std::string> refusal(std::string_view attributes, std::string_view content) {
  try {
    parse(attributes, content);
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {};
}

TEST(HostDevice, IsReadAndWrittenAsLibvirtDoes) {
  const HostDevice device = parse(
      "mode='subsystem' type='pci' managed='yes'",
      std::string("<driver name='vfio'/>") + std::string(kSource) + "<rom bar='off'/><alias name='ua-nic'/>");
  EXPECT_TRUE(device.managed);
  EXPECT_EQ(format_pci_address(device.source), "0000:06:02.1");
  EXPECT_EQ(device.rom_bar, false);
  DomainDefinition definition = parse_domain(domain(fmt::format(
      "<hostdev mode='subsystem' type='pci' managed='yes'>{}<rom bar='off'/></hostdev>", kSource)));
  fill_defaults(definition, {});
  const std::string text = format_domain(definition, {.inactive = true, .secure = false});
  EXPECT_THAT(text,
              HasSubstr("<hostdev mode='subsystem' type='pci' managed='yes'>\n"
                        "      <source>\n"
                        "        <address domain='0x0000' bus='0x06' slot='0x02' function='0x1'/>\n"
                        "      </source>\n"
                        "      <rom bar='off'/>\n"
                        "      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"
                        "    </hostdev>"));
  EXPECT_EQ(format_domain(parse_domain(text), {.inactive = true, .secure = false}), text);
  // Behind a root port of its own, which it can leave at run time.
  EXPECT_TRUE(takes_hot_plug(definition.devices, *definition.devices.host_devices[0].info.pci));
}

TEST(HostDevice, RefusesWhatWarrenCannotAssign) {
  const auto type = [](std::string_view name) {
    return refusal(fmt::format("mode='subsystem' type='{}'", name), kSource);
  };
  for (const char* name : {"usb", "scsi", "scsi_host", "mdev"})
    EXPECT_EQ(type(name).first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(type("usb").second, HasSubstr("USB controller"));
  EXPECT_THAT(type("mdev").second, HasSubstr("mediated"));
  EXPECT_EQ(type("isa").first, VIR_ERR_XML_ERROR);
  EXPECT_EQ(refusal("mode='capabilities' type='misc'", "").first, VIR_ERR_CONFIG_UNSUPPORTED);
  const auto content = [](std::string_view more) {
    return refusal("mode='subsystem' type='pci'", std::string(kSource) + std::string(more));
  };
  EXPECT_THAT(content("<driver name='kvm'/>").second, HasSubstr("VFIO"));
  EXPECT_EQ(content("<driver name='kvm'/>").first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(content("<rom file='/r'/>").second, HasSubstr("option ROM"));
  EXPECT_EQ(content("<rom bar='on'/>").first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(content("<teaming type='transient' persistent='ua-0'/>").second, HasSubstr("teaming"));
}

TEST(HostDevice, NeedsAnAddressThatCanBe) {
  const auto source = [](std::string_view address) {
    return refusal("mode='subsystem' type='pci'", fmt::format("<source>{}</source>", address)).first;
  };
  EXPECT_EQ(refusal("mode='subsystem' type='pci'", "").first, VIR_ERR_XML_ERROR);
  EXPECT_EQ(source(""), VIR_ERR_XML_ERROR);
  EXPECT_EQ(source("<address bus='1' slot='32' function='0'/>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(source("<address bus='1' slot='0' function='8'/>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(source("<address bus='256' slot='0' function='0'/>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(source("<address domain='65536' bus='1' slot='0' function='0'/>"), VIR_ERR_XML_ERROR);
  EXPECT_EQ(source("<address type='usb' bus='1' slot='0' function='0'/>"), VIR_ERR_XML_ERROR);
}

TEST(HostDevice, IsInADomainOnce) {
  const std::string one = fmt::format("<hostdev mode='subsystem' type='pci'>{}</hostdev>", kSource);
  DomainDefinition definition = parse_domain(domain(one + one));
  try {
    fill_defaults(definition, {});
    ADD_FAILURE() << "it was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_XML_ERROR);
    EXPECT_THAT(error.message(), HasSubstr("0000:06:02.1"));
  }
}

TEST(HostDevice, ComesAndGoesByItsAddressInTheHost) {
  DomainDefinition definition = parse_domain(domain(""));
  fill_defaults(definition, {});
  const Device device = parse("mode='subsystem' type='pci' managed='yes'", kSource);
  add_device(definition, device);
  try {
    add_device(definition, device);
    ADD_FAILURE() << "it was taken twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_OPERATION_INVALID);
  }
  const Device other =
      parse("mode='subsystem' type='pci'", "<source><address bus='9' slot='0' function='0'/></source>");
  try {
    find_device(definition, other);
    ADD_FAILURE() << "it was found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_DEVICE_MISSING);
    EXPECT_THAT(error.message(), HasSubstr("0000:09:00.0"));
  }
  remove_device(definition, device);
  EXPECT_TRUE(definition.devices.host_devices.empty());
}

TEST(HostDevice, OfARunningDomainHasAnAliasAndItsDriver) {
  DomainDefinition definition =
      parse_domain(domain(fmt::format("<hostdev type='pci'>{}</hostdev>", kSource)));
  fill_defaults(definition, {});
  assign_live(definition,
              {.id = 1, .serial_ptys = {}, .console_ptys = {}, .interface_targets = {}, .channel_paths = {}});
  EXPECT_EQ(definition.devices.host_devices[0].info.alias, "hostdev0");
  EXPECT_THAT(format_domain(definition, {.inactive = false, .secure = false}),
              HasSubstr("<driver name='vfio'/>"));
  Device another = parse("type='pci'", "<source><address bus='9' slot='0' function='0'/></source>");
  assign_hot_plugged(definition, another);
  EXPECT_EQ(info_of(another).alias, "hostdev1");
}

}  // namespace
}  // namespace warren::driver::config
