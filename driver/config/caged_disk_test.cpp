// What the documents say of disks on images that a storage daemon serves.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

constexpr std::string_view kShared = "<memoryBacking><access mode='shared'/></memoryBacking>";
constexpr std::string_view kLuks =
    "<encryption format='luks'><secret type='passphrase' uuid='5d3a7c0e-1111-4a4b-8c3d-0123456789ab'/>"
    "</encryption>";

std::string domain(std::string_view disk, std::string_view backing = kShared) {
  return fmt::format(
      "<domain type='kvm'><name>d</name><memory>65536</memory>{}<os><type arch='x86_64' machine='q35'>hvm"
      "</type><kernel>/k</kernel></os><devices>{}</devices></domain>",
      backing, disk);
}

struct Parts {
  std::string_view type = "file";
  std::string_view format = "vmdk";
  std::string_view driver;  // further attributes
  std::string_view source = "file='/images/a'";
  std::string_view within;  // the source
  std::string_view elements;
  std::string_view bus = "virtio";
};

std::string disk(const Parts& parts) {
  return fmt::format(
      "<disk type='{}' device='disk'><driver name='storage-daemon' type='{}' {}/><source {}>{}</source>"
      "<target dev='vda' bus='{}'/>{}</disk>",
      parts.type, parts.format, parts.driver, parts.source, parts.within, parts.bus, parts.elements);
}

std::string refusal(const std::string& text) {
  try {
    parse_domain(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

TEST(CagedDisk, IsReadAndWritten) {
  const DomainDefinition definition =
      parse_domain(domain(disk({.driver = "cache='none' discard='unmap' queues='4'",
                                .elements = "<readonly/><boot order='1'/>"})),
                   {.validate = true});
  const Disk& found = definition.devices.disks.at(0);
  ASSERT_TRUE(found.caged);
  EXPECT_EQ(found.caged->path, "/images/a");
  EXPECT_EQ(found.caged->format, CagedFormat::vmdk);
  EXPECT_TRUE(found.source.empty());
  EXPECT_FALSE(found.is_empty());
  EXPECT_FALSE(found.is_own());
  const std::string text = format_domain(definition);
  EXPECT_THAT(
      text, HasSubstr("<driver name='storage-daemon' type='vmdk' cache='none' discard='unmap' queues='4'/>"));
  EXPECT_THAT(text, HasSubstr("<source file='/images/a'/>"));
  EXPECT_EQ(parse_domain(text, {.validate = true}), definition);
}

TEST(CagedDisk, IsEncryptedByASecret) {
  const DomainDefinition definition = parse_domain(
      domain(disk({.type = "block", .format = "raw", .source = "dev='/dev/x'", .within = kLuks})),
      {.validate = true});
  EXPECT_EQ(definition.devices.disks.at(0).caged->passphrase,
            Uuid::parse("5d3a7c0e-1111-4a4b-8c3d-0123456789ab"));
  const std::string text = format_domain(definition);
  EXPECT_THAT(text, HasSubstr("<encryption format='luks'>"));
  EXPECT_EQ(parse_domain(text, {.validate = true}), definition);
  EXPECT_THAT(refusal(domain(disk({.within = kLuks}))), HasSubstr("LUKS is in a raw or qcow2 image"));
  EXPECT_THAT(refusal(domain(disk({.format = "raw"}))),
              HasSubstr("serves a raw image that is not encrypted itself"));
  for (const auto& [within, said] :
       {std::pair("<encryption format='qcow'/>", "@format"),
        std::pair("<encryption format='luks'/>", "secret"),
        std::pair("<encryption format='luks'><secret type='passphrase' uuid='x'/></encryption>", "@uuid"),
        std::pair("<encryption format='luks'><secret type='passphrase' usage='x'/></encryption>", "uuid"),
        std::pair("<encryption format='luks' engine='librbd'/>", "@engine")})
    EXPECT_THAT(refusal(domain(disk({.format = "raw", .within = within}))), HasSubstr(said));
}

TEST(CagedDisk, NeedsMemoryThatIsSaidToBeShared) {
  EXPECT_THAT(refusal(domain(disk({}), "")),
              HasSubstr("disk 'vda': 'storage-daemon' requires shared memory"));
}

TEST(CagedDisk, WhatHasNoEffectIsRefusedByName) {
  for (const auto& [driver, name] :
       {std::pair("io='native'", "@io"), std::pair("error_policy='stop'", "@error_policy"),
        std::pair("rerror_policy='stop'", "@rerror_policy"), std::pair("copy_on_read='on'", "@copy_on_read"),
        std::pair("iothread='1'", "@iothread"), std::pair("packed='on'", "@packed")})
    EXPECT_THAT(refusal(domain(disk({.driver = driver}))), HasSubstr(name));
  for (const auto& [element, name] :
       {std::pair("<backingStore/>", "backingStore"),
        std::pair("<blockio logical_block_size='512'/>", "blockio"),
        std::pair("<iotune><total_iops_sec>5</total_iops_sec></iotune>", "iotune"),
        std::pair("<shareable/>", "shareable"), std::pair("<serial>1</serial>", "serial"),
        std::pair("<transient/>", "transient"), std::pair("<encryption format='luks'/>", "encryption")})
    EXPECT_THAT(refusal(domain(disk({.elements = element}))), HasSubstr(name));
  EXPECT_THAT(refusal(domain(disk({.source = "file='/a' startupPolicy='optional'"}))),
              HasSubstr("startupPolicy"));
  EXPECT_THAT(refusal(domain(disk({.source = "file='/a' fdgroup='g'"}))), HasSubstr("fdgroup"));
  EXPECT_THAT(refusal(domain(disk({.source = "file='a'"}))), HasSubstr("absolute"));
  EXPECT_THAT(refusal(domain(disk({.format = "luks"}))), HasSubstr("not supported by Warren"));
  EXPECT_THAT(refusal(domain(disk({.type = "network"}))), HasSubstr("@type"));
  EXPECT_THAT(refusal(domain(disk({.type = "volume", .source = "pool='p' volume='v'"}))), HasSubstr("@type"));
  EXPECT_THAT(refusal(domain(disk({.bus = "scsi"}))), HasSubstr("virtio"));
}

}  // namespace
}  // namespace warren::driver::config
