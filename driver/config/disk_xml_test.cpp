// What the documents say of a disk's images: volumes of pools, chains, mirrors, and their numbers.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string domain(std::string_view disk) {
  return fmt::format(
      "<domain type='kvm' id='3'><name>d</name><memory>65536</memory>"
      "<os><type arch='x86_64' "
      "machine='q35'>hvm</type><kernel>/k</kernel></os><devices>{}</devices></domain>",
      disk);
}

Disk parse(std::string_view disk, bool inactive = true) {
  return parse_domain(domain(disk), {.inactive = inactive, .validate = true}).devices.disks.at(0);
}

std::string format(const Disk& disk, bool inactive) {
  DomainDefinition definition = parse_domain(domain(""), {.inactive = false});
  definition.devices.disks.push_back(disk);
  return format_domain(definition, {.inactive = inactive});
}

std::string refusal(std::string_view disk) {
  try {
    parse_domain(domain(disk));
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

TEST(DiskXml, AVolumeIsNamedByItsPool) {
  const std::string_view text =
      "<disk type='volume' device='disk'><source pool='default' volume='a &amp; b' mode='host'/>"
      "<target dev='vda' bus='virtio'/></disk>";
  const Disk disk = parse(text);
  EXPECT_EQ(disk.volume, (VolumeName{"default", "a & b"}));
  EXPECT_TRUE(disk.source.empty());
  EXPECT_FALSE(disk.is_empty());
  Disk live = disk;
  live.source = "/where/it/is";
  live.source_index = 3;
  EXPECT_THAT(format(live, true), HasSubstr("<source pool='default' volume='a &amp; b'/>"));
  EXPECT_THAT(format(live, false), HasSubstr("<source pool='default' volume='a &amp; b' index='3'/>"));
  EXPECT_THAT(format(live, false), HasSubstr("<disk type='volume' device='disk'>"));
  const Disk empty = parse("<disk type='volume' device='cdrom'><target dev='sda' bus='sata'/></disk>");
  EXPECT_TRUE(empty.is_empty());
}

TEST(DiskXml, AVolumeNeedsBothNames) {
  const auto with = [](std::string_view source) {
    return fmt::format(
        "<disk type='volume' device='disk'><source {}/><target dev='vda' bus='virtio'/></disk>", source);
  };
  EXPECT_THAT(refusal(with("pool='default'")), HasSubstr("volume"));
  EXPECT_THAT(refusal(with("volume='x'")), HasSubstr("pool"));
  EXPECT_THAT(refusal(with("pool='default' volume='x' mode='direct'")), HasSubstr("mode='host'"));
  EXPECT_THAT(refusal(with("pool='default' volume='x' file='/y'")), HasSubstr("file"));
  EXPECT_THAT(refusal(with("pool='default' volume='x' fdgroup='g'")), HasSubstr("fdgroup"));
}

constexpr std::string_view kMirrored =
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/top' index='1'/>"
    "<backingStore type='file' index='2'><format type='raw'/><source "
    "file='/base'/><backingStore/></backingStore>"
    "<mirror type='file' file='/copy' format='qcow2' job='copy' ready='yes'><format type='qcow2'/>"
    "<source file='/copy' index='3'/><backingStore type='file' index='4'><format type='raw'/>"
    "<source file='/base'/><backingStore/></backingStore></mirror>"
    "<target dev='vda' bus='virtio'/></disk>";

TEST(DiskXml, AMirrorIsOfARunningDiskOnly) {
  EXPECT_FALSE(parse(kMirrored).mirror);
  const Disk live = parse(kMirrored, false);
  ASSERT_TRUE(live.mirror);
  EXPECT_EQ(live.mirror->job, MirrorJob::copy);
  EXPECT_EQ(live.mirror->state, MirrorState::ready);
  EXPECT_EQ(live.mirror->image,
            (BackingImage{.format = DiskFormat::qcow2, .source = "/copy", .source_index = 3}));
  EXPECT_EQ(live.mirror->backing.size(), 1u);
  EXPECT_THAT(format(live, true), Not(HasSubstr("<mirror")));
  EXPECT_THAT(format(live, false),
              HasSubstr("<mirror type='file' file='/copy' format='qcow2' job='copy' ready='yes'>"));
  EXPECT_EQ(parse_domain(format(live, false), {.inactive = false}).devices.disks.at(0), live);
}

TEST(DiskXml, TheMirrorOfACommitIsInTheChainAlready) {
  Disk live = parse(kMirrored, false);
  live.mirror = DiskMirror{.job = MirrorJob::active_commit, .image = live.backing[0], .backing = {}};
  const std::string text = format(live, false);
  EXPECT_THAT(text, HasSubstr("<mirror type='file' job='active-commit'>"));
  EXPECT_EQ(parse_domain(text, {.inactive = false}).devices.disks.at(0), live);
}

// T14: what a daemon writes down of a running domain is read by the next one, however many images there are.
TEST(DiskXml, TheLongestChainIsReadBack) {
  Disk live = parse(kMirrored, false);
  live.backing.assign(kMaximumBackingImages,
                      {.format = DiskFormat::qcow2, .source = "/i", .source_index = 7});
  live.mirror->backing = live.backing;
  for (const bool validate : {false, true}) {
    const DomainDefinition read =
        parse_domain(format(live, false), {.inactive = false, .validate = validate});
    EXPECT_EQ(read.devices.disks.at(0), live);
  }
  // virsh detach-disk gives the <disk> as it is in the live document.
  const std::string text = format(live, false);
  const std::size_t begin = text.find("<disk"), end = text.find("</disk>") + 7;
  const Device device =
      parse_device(std::string_view(text).substr(begin, end - begin), DeviceUse::removal, true);
  EXPECT_EQ(std::get<Disk>(device).backing.size(), kMaximumBackingImages);
}

TEST(DiskXml, ImagesAreNumberedOnce) {
  Disk disk = parse(kMirrored, false);
  EXPECT_EQ(number_images(disk, 7), 9u);
  EXPECT_EQ(disk.source_index, 7u);
  EXPECT_EQ(disk.backing[0].source_index, 8u);
  Devices devices;
  EXPECT_EQ(next_image_number(devices), 1u);
  disk.mirror->backing[0].source_index = 40;
  devices.disks.push_back(disk);
  EXPECT_EQ(next_image_number(devices), 41u);
}

}  // namespace
}  // namespace warren::driver::config
