// What the documents say of disks that another program serves.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

constexpr std::string_view kShared = "<memoryBacking><access mode='shared'/></memoryBacking>";

std::string domain(std::string_view disk, std::string_view backing = kShared) {
  return fmt::format(
      "<domain type='kvm'><name>d</name><memory>65536</memory>{}<os><type arch='x86_64' machine='q35'>hvm"
      "</type><kernel>/k</kernel></os><devices>{}</devices></domain>",
      backing, disk);
}

// A disk with these attributes of its driver and these elements.
std::string disk(std::string_view driver = "", std::string_view elements = "",
                 std::string_view source = "<source type='unix' path='/run/a.sock'/>") {
  return fmt::format(
      "<disk type='vhostuser' device='disk'><driver name='qemu' type='raw' {}/>{}"
      "<target dev='vda' bus='virtio'/>{}</disk>",
      driver, source, elements);
}

std::string refusal(const std::string& text) {
  try {
    parse_domain(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

TEST(VhostUserDisk, IsReadAndWrittenAsLibvirtHasIt) {
  const DomainDefinition definition =
      parse_domain(domain(disk("queues='4' queue_size='128'", "<boot order='1'/>")), {.validate = true});
  const Disk& found = definition.devices.disks.at(0);
  EXPECT_EQ(found.vhost_user, "/run/a.sock");
  EXPECT_TRUE(found.source.empty());
  EXPECT_FALSE(found.is_empty());
  EXPECT_EQ(found.driver.queues, 4U);
  const std::string text = format_domain(definition);
  EXPECT_THAT(text, HasSubstr("<disk type='vhostuser' device='disk'>"));
  EXPECT_THAT(text, HasSubstr("<source type='unix' path='/run/a.sock'/>"));
  EXPECT_EQ(parse_domain(text, {.validate = true}), definition);
}

TEST(VhostUserDisk, NeedsMemoryThatIsSaidToBeShared) {
  EXPECT_THAT(refusal(domain(disk(), "")), HasSubstr("disk 'vda': 'vhostuser' requires shared memory"));
  EXPECT_THAT(refusal(domain(disk(), "<memoryBacking><source type='memfd'/></memoryBacking>")),
              HasSubstr("requires shared memory"));
  EXPECT_EQ(refusal(domain(disk(),
                           "<cpu><numa><cell id='0' cpus='0' memory='65536' memAccess='shared'/>"
                           "</numa></cpu>")),
            "accepted");
}

TEST(VhostUserDisk, WhatHasNoEffectIsRefusedByName) {
  for (const auto& [driver, name] :
       {std::pair("cache='none'", "@cache"), std::pair("io='native'", "@io"),
        std::pair("discard='unmap'", "@discard"), std::pair("detect_zeroes='on'", "@detect_zeroes"),
        std::pair("error_policy='stop'", "@error_policy"),
        std::pair("rerror_policy='stop'", "@rerror_policy"), std::pair("iothread='1'", "@iothread"),
        std::pair("packed='on'", "@packed")})
    EXPECT_THAT(refusal(domain(disk(driver))), HasSubstr(name));
  EXPECT_EQ(refusal(domain(disk("packed='off'"))), "accepted");
  for (const auto& [element, name] :
       {std::pair("<backingStore/>", "backingStore"),
        std::pair("<blockio logical_block_size='512'/>", "blockio"),
        std::pair("<iotune><total_iops_sec>5</total_iops_sec></iotune>", "iotune"),
        std::pair("<readonly/>", "readonly"), std::pair("<shareable/>", "shareable"),
        std::pair("<serial>1</serial>", "serial"), std::pair("<transient/>", "transient"),
        std::pair("<encryption format='luks'/>", "encryption")})
    EXPECT_THAT(refusal(domain(disk("", element))), HasSubstr(name));
  EXPECT_THAT(refusal(domain("<disk type='vhostuser'><driver type='qcow2'/><source type='unix' path='/a'/>"
                             "<target dev='vda'/></disk>")),
              HasSubstr("@type"));
}

TEST(VhostUserDisk, WhatCannotBeIsRefusedByName) {
  EXPECT_THAT(refusal(domain(disk("", "", ""))), HasSubstr("<source"));
  EXPECT_THAT(refusal(domain(disk("", "", "<source path='/a'/>"))), HasSubstr("/source/@type"));
  EXPECT_THAT(refusal(domain(disk("", "", "<source type='tcp' path='/a'/>"))), HasSubstr("'tcp'"));
  EXPECT_THAT(refusal(domain(disk("", "", "<source type='unix'/>"))), HasSubstr("/source/@path"));
  EXPECT_THAT(refusal(domain(disk("", "", "<source type='unix' path='a'/>"))), HasSubstr("/source/@path"));
  EXPECT_THAT(
      refusal(domain(disk("", "", "<source type='unix' path='/a'><reconnect enabled='yes'/></source>"))),
      HasSubstr("reconnect/@enabled"));
  EXPECT_EQ(refusal(domain(disk("", "", "<source type='unix' path='/a'><reconnect enabled='no'/></source>"))),
            "accepted");
  EXPECT_THAT(refusal(domain("<disk type='vhostuser'><source type='unix' path='/a'/>"
                             "<target dev='sda' bus='scsi'/></disk>")),
              HasSubstr("target/@bus"));
  EXPECT_THAT(refusal(domain("<disk type='vhostuser' device='cdrom'><source type='unix' path='/a'/>"
                             "<target dev='sda' bus='sata'/></disk>")),
              HasSubstr("@device"));
}

}  // namespace
}  // namespace warren::driver::config
