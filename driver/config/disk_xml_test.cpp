// What the documents say of a disk's images: volumes of pools, chains, mirrors, and their numbers.
#include <array>
#include <initializer_list>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::AllOf;
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

std::string nbd(std::string_view source, std::string_view more = "") {
  return fmt::format(
      "<disk type='network' device='disk'><driver name='qemu' type='raw'/>{}<target dev='vda' "
      "bus='virtio'/>{}</disk>",
      source, more);
}

TEST(DiskXml, AnNbdExportIsNamedByItsServer) {
  const Disk disk =
      parse(nbd("<source protocol='nbd' name='a &amp; b'><host name='::1' port='10810'/></source>"));
  EXPECT_EQ(disk.source_type, DiskSourceType::network);
  EXPECT_EQ(disk.source, "a & b");
  ASSERT_TRUE(disk.server);
  EXPECT_EQ(disk.server->host, "::1");
  EXPECT_EQ(disk.server->port, 10810);
  EXPECT_EQ(format_nbd_server(*disk.server), "[::1]:10810");
  Disk live = disk;
  number_images(live, 7);
  EXPECT_THAT(format(live, false), HasSubstr("<source protocol='nbd' name='a &amp; b' index='7'>"));
  EXPECT_THAT(format(live, true), HasSubstr("<host name='::1' port='10810'/>"));
}

TEST(DiskXml, AnNbdServerMayBeASocketAndItsExportTheDefaultOne) {
  const Disk disk =
      parse(nbd("<source protocol='nbd' tls='no'><host transport='unix' socket='/s'/></source>"));
  EXPECT_TRUE(disk.source.empty());
  EXPECT_TRUE(disk.has_source());
  EXPECT_FALSE(disk.is_empty());
  EXPECT_EQ(format_nbd_server(disk.server.value()), "/s");
  const std::string text = format(disk, true);
  EXPECT_THAT(text, HasSubstr("<source protocol='nbd' tls='no'>"));
  EXPECT_THAT(text, HasSubstr("<host transport='unix' socket='/s'/>"));
  EXPECT_EQ(parse_domain(text).devices.disks.at(0), disk);
  EXPECT_EQ(format_nbd_server({.host = "server", .port = {}, .socket = {}}), "server:10809");
}

TEST(DiskXml, ADiskMayGoToAnNbdServer) {
  const Disk disk = parse(
      "<disk type='file' device='disk'><source file='/a'/><mirror type='network' job='copy'><format "
      "type='raw'/>"
      "<source protocol='nbd' name='x' index='2'><host name='s'/></source><backingStore/></mirror>"
      "<target dev='vda' bus='virtio'/></disk>",
      false);
  ASSERT_TRUE(disk.mirror);
  EXPECT_EQ(disk.mirror->image.server.value().host, "s");
  const std::string text = format(disk, false);
  EXPECT_THAT(text, HasSubstr("<mirror type='network' job='copy'>"));
  EXPECT_EQ(parse_domain(text, {.inactive = false}).devices.disks.at(0).mirror, disk.mirror);
}

TEST(DiskXml, WhatAnNbdDiskCannotBeIsRefusedByName) {
  const std::string host = "<host name='s'/>";
  const std::string good = "<source protocol='nbd'>" + host + "</source>";
  EXPECT_EQ(refusal(nbd(good)), "accepted");
  EXPECT_THAT(refusal(nbd("<source protocol='rbd'>" + host + "</source>")),
              HasSubstr("'rbd': of network disks"));
  EXPECT_THAT(refusal(nbd("<source protocol='nbd' tls='yes'>" + host + "</source>")),
              HasSubstr("without TLS"));
  EXPECT_THAT(refusal(nbd("<source protocol='nbd'/>")), HasSubstr("exactly one <host>, and there are 0"));
  EXPECT_THAT(refusal(nbd("<source protocol='nbd'>" + host + host + "</source>")), HasSubstr("there are 2"));
  for (const char* transport : {"rdma", "vsock"}) {
    EXPECT_THAT(refusal(nbd(fmt::format("<source protocol='nbd'><host transport='{}' name='s'/></source>",
                                        transport))),
                HasSubstr(fmt::format("'{}': Warren reaches NBD servers", transport)));
  }
  EXPECT_THAT(refusal(nbd("<source protocol='nbd'><host name='s' port='65536'/></source>")),
              HasSubstr("@port"));
  EXPECT_THAT(refusal(nbd(fmt::format("<source protocol='nbd'><host transport='unix' socket='/{}'/></source>",
                                      std::string(107, 's')))),
              HasSubstr("too long for a socket"));
  EXPECT_THAT(
      refusal(nbd(fmt::format("<source protocol='nbd' name='{}'>{}</source>", std::string(4097, 'n'), host))),
      HasSubstr("4096"));
  EXPECT_THAT(refusal(nbd("<source protocol='nbd' startupPolicy='optional'>" + host + "</source>")),
              HasSubstr("startupPolicy"));
  EXPECT_THAT(refusal(nbd("<source protocol='nbd'><reconnect delay='10'/>" + host + "</source>")),
              HasSubstr("reconnect"));
  EXPECT_THAT(refusal("<disk type='network'><driver type='qcow2'/>" + good +
                      "<target dev='vda' bus='virtio'/></disk>"),
              HasSubstr("holds a raw image"));
  EXPECT_THAT(
      refusal("<disk type='network' device='cdrom'>" + good + "<target dev='sda' bus='sata'/></disk>"),
      HasSubstr("CD/DVD drive"));
  EXPECT_THAT(
      refusal(
          "<disk type='file'><driver type='qcow2'/><source file='/a'/><backingStore type='network'><format "
          "type='raw'/>" +
          good + "</backingStore><target dev='vda' bus='virtio'/></disk>"),
      HasSubstr("'network': the images that a disk is backed by are local"));
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

std::string with_driver(std::string_view attributes, std::string_view inside = "",
                        std::string_view more = "") {
  return fmt::format(
      "<disk type='file' device='disk'><driver name='qemu' type='qcow2' {}>{}</driver>"
      "<source file='/d'/><target dev='vda' bus='virtio'/>{}</disk>",
      attributes, inside, more);
}

TEST(DiskXml, CopyOnRead) {
  EXPECT_EQ(parse(with_driver("")).driver.copy_on_read, std::nullopt);
  EXPECT_EQ(parse(with_driver("copy_on_read='off'", "", "<readonly/>")).driver.copy_on_read, false);
  const Disk disk = parse(with_driver("copy_on_read='on'"));
  EXPECT_EQ(disk.driver.copy_on_read, true);
  EXPECT_THAT(format(disk, true), HasSubstr("<driver name='qemu' type='qcow2' copy_on_read='on'/>"));
  // Nothing is below a raw image, and nothing comes of it.
  EXPECT_EQ(refusal("<disk type='file'><driver type='raw' copy_on_read='on'/><source file='/d'/>"
                    "<target dev='vda'/></disk>"),
            "accepted");
  EXPECT_THAT(refusal(with_driver("copy_on_read='on'", "", "<readonly/>")),
              HasSubstr("copy_on_read is not compatible with read-only disk 'vda'"));
  EXPECT_THAT(refusal("<disk type='file' device='cdrom'><driver copy_on_read='on'/><source file='/d'/>"
                      "<target dev='sda' bus='sata'/></disk>"),
              HasSubstr("/@copy_on_read"));
  EXPECT_THAT(refusal(with_driver("copy_on_read='yes'")), HasSubstr("copy_on_read"));
}

TEST(DiskXml, NativeRequestsNeedAFileWithoutACache) {
  for (const std::string_view cache : {"cache='none' ", "cache='directsync' "})
    EXPECT_EQ(parse(with_driver(fmt::format("{}io='native'", cache))).driver.io, DiskIo::native);
  for (const std::string_view cache :
       {"", "cache='default' ", "cache='writeback' ", "cache='writethrough' ", "cache='unsafe' "}) {
    EXPECT_THAT(refusal(with_driver(fmt::format("{}io='native'", cache))),
                HasSubstr("native I/O needs either no disk cache or directsync cache mode"));
    for (const std::string_view io : {"io='threads'", "io='io_uring'"})
      EXPECT_EQ(refusal(with_driver(fmt::format("{}{}", cache, io))), "accepted");
  }
}

// Of a domain with two IOThreads.
std::string threads(std::string_view attributes, std::string_view inside, std::string_view bus = "virtio") {
  return fmt::format(
      "<domain type='kvm'><name>d</name><memory>65536</memory><iothreads>3</iothreads>"
      "<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os><devices>"
      "<disk type='file' device='disk'><driver {}>{}</driver><source file='/d'/>"
      "<target dev='{}' bus='{}'/></disk></devices></domain>",
      attributes, inside, bus == "virtio" ? "vda" : "sda", bus);
}

DiskDriver driver_of(std::string_view attributes, std::string_view inside) {
  const DomainDefinition definition =
      parse_domain(threads(attributes, inside), {.inactive = true, .validate = true});
  EXPECT_EQ(parse_domain(format_domain(definition)), definition);
  return definition.devices.disks.at(0).driver;
}

TEST(DiskXml, IoThreadsTakeTurnsOrHaveTheirQueues) {
  const DiskDriver one = driver_of("iothread='2' queues='4'", "");
  EXPECT_EQ(iothreads_of(one), std::vector<std::uint32_t>{2});
  EXPECT_TRUE(queue_iothreads_of(one).empty());
  EXPECT_EQ(queues_of(one), 4u);
  EXPECT_EQ(queues_of(DiskDriver{}), 1u);

  const DiskDriver turns =
      driver_of("queues='4'", "<iothreads><iothread id='3'/><iothread id='1'/></iothreads>");
  EXPECT_EQ(queue_iothreads_of(turns), (std::vector<std::uint32_t>{3, 1}));
  EXPECT_EQ(queues_of(turns), 4u);
  EXPECT_EQ(queues_of(driver_of("", "<iothreads><iothread id='3'/><iothread id='1'/></iothreads>")), 2u);

  const std::string_view kMapped =
      "<iothreads><iothread id='1'><queue id='3'/><queue id='0'/></iothread>"
      "<iothread id='2'><queue id='1'/><queue id='2'/></iothread></iothreads>";
  for (const std::string_view queues : {"queues='4'", ""}) {
    const DiskDriver mapped = driver_of(queues, kMapped);
    EXPECT_EQ(queue_iothreads_of(mapped), (std::vector<std::uint32_t>{1, 2, 2, 1}));
    EXPECT_EQ(queues_of(mapped), 4u);
    EXPECT_EQ(iothreads_of(mapped), (std::vector<std::uint32_t>{1, 2}));
  }
  EXPECT_THAT(format_domain(parse_domain(threads("queues='4'", kMapped))),
              HasSubstr("<iothread id='1'>\n            <queue id='0'/>\n            <queue id='3'/>"));
}

TEST(DiskXml, QueuesAreServedOnceEach) {
  const auto told = [](std::string_view attributes, std::string_view inside,
                       std::string_view bus = "virtio") {
    try {
      parse_domain(threads(attributes, inside, bus));
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("accepted");
  };
  for (const auto& [attributes, inside, named] : std::initializer_list<std::array<std::string_view, 3>>{
           {"", "<iothreads/>", "it names no <iothread>"},
           {"", "<iothreads><iothread/></iothreads>", "iothread/@id"},
           {"", "<iothreads><iothread id='0'/></iothreads>", "iothread/@id"},
           {"", "<iothreads><iothread id='1'/><iothread id='1'/></iothreads>", "IOThread 1 is there twice"},
           {"", "<iothreads><iothread id='4'/></iothreads>",
            "disk 'vda' is to be served by IOThread 4, which there is not"},
           {"iothread='1'", "<iothreads><iothread id='2'/></iothreads>", "/driver/@iothread"},
           {"queues='1'", "<iothreads><iothread id='1'/><iothread id='2'/></iothreads>",
            "2 IOThreads for 1 queues"},
           {"queues='2'",
            "<iothreads><iothread id='1'><queue id='0'/></iothread><iothread id='2'/></iothreads>",
            "all have to, or none"},
           {"queues='2'", "<iothreads><iothread id='1'><queue id='0'/></iothread></iothreads>",
            "1 of the disk's 2 queues are served"},
           {"queues='2'", "<iothreads><iothread id='1'><queue id='0'/><queue id='2'/></iothread></iothreads>",
            "is to serve queue 2"},
           {"", "<iothreads><iothread id='1'><queue id='1'/></iothread></iothreads>", "is to serve queue 1"},
           {"queues='2'",
            "<iothreads><iothread id='1'><queue id='0'/></iothread>"
            "<iothread id='2'><queue id='0'/></iothread></iothreads>",
            "queue 0 is served twice"},
           {"queues='2'", "<iothreads><iothread id='1'><queue id='1'/><queue id='1'/></iothread></iothreads>",
            "queue 1 is served twice"},
           {"", "<iothreads><iothread id='1'><queue id='256'/></iothread></iothreads>", "queue/@id"}})
    EXPECT_THAT(told(attributes, inside), HasSubstr(named)) << inside;
  for (const std::string_view bus : {"sata", "scsi"})
    EXPECT_THAT(told("", "<iothreads><iothread id='1'/></iothreads>", bus),
                AllOf(HasSubstr("/driver/iothreads"),
                      HasSubstr(fmt::format("IOThreads not available for bus {} target sda", bus))));
}

TEST(DiskXml, AWorldWideNameIsForSataAndScsi) {
  const auto named = [](std::string_view bus, std::string_view name) {
    return fmt::format(
        "<disk type='file'><source file='/d'/><target dev='sda' bus='{}'/><wwn>{}</wwn></disk>", bus, name);
  };
  for (const std::string_view bus : {"sata", "scsi"}) {
    const Disk disk = parse(named(bus, "0x5000c50015ea71ad"));
    EXPECT_EQ(disk.wwn, "0x5000c50015ea71ad");
    EXPECT_THAT(format(disk, true), HasSubstr("<wwn>0x5000c50015ea71ad</wwn>"));
    EXPECT_THAT(refusal(named(bus, "5000c50015ea71a")), HasSubstr("16 hexadecimal digits"));
  }
  EXPECT_THAT(refusal(named("virtio", "5000c50015ea71ad")), HasSubstr("only SATA and SCSI disks"));
}

}  // namespace
}  // namespace warren::driver::config
