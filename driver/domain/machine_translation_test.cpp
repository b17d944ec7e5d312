#include "driver/domain/machine_translation.h"

#include <gtest/gtest.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"

namespace warren::driver::domain {
namespace {

vmm::control::MachineSpecification translate(std::string_view more, std::string_view os = "") {
  config::HostFacts facts;
  facts.emulator = "/usr/libexec/warren-vmm";
  config::DomainDefinition definition = config::parse_domain(
      "<domain type='kvm'><name>d</name><memory "
      "unit='MiB'>64</memory><os><type>hvm</type><kernel>/k</kernel>" +
      std::string(os) + "</os>" + std::string(more) + "</domain>");
  config::fill_defaults(definition, facts, [](std::span<std::uint8_t> bytes) {
    for (std::uint8_t& byte : bytes) byte = 0x42;
  });
  config::LiveResources live{.id = 1};
  live.interface_targets.resize(definition.devices.interfaces.size());
  config::assign_live(definition, live);
  Resources resources;
  resources.disks.resize(definition.devices.disks.size());
  return machine_of(definition, facts, resources, 0);
}

TEST(MachineTranslation, TheGuestSeesSystemInformationOnlyWhenItIsAskedFor) {
  constexpr std::string_view kInformation =
      "<sysinfo type='smbios'><bios><entry name='release'>1.2</entry></bios>"
      "<system><entry name='serial'>s-1</entry><entry name='family'>f</entry></system>"
      "<chassis><entry name='sku'>k</entry></chassis><oemStrings><entry>o</entry></oemStrings></sysinfo>";
  EXPECT_EQ(translate(kInformation).smbios.system.serial, "");
  EXPECT_EQ(translate(kInformation, "<smbios mode='emulate'/>").smbios.system.serial, "");
  const auto smbios = translate(kInformation, "<smbios mode='sysinfo'/>").smbios;
  EXPECT_EQ(smbios.bios.release, "1.2");
  EXPECT_EQ(smbios.system.serial, "s-1");
  EXPECT_EQ(smbios.system.family, "f");
  EXPECT_EQ(smbios.chassis.sku, "k");
  EXPECT_EQ(smbios.oem_strings, std::vector<std::string>{"o"});
}

TEST(MachineTranslation, SmallDevices) {
  const auto plain = translate("");
  ASSERT_TRUE(plain.balloon) << "every domain has one";
  EXPECT_EQ(plain.balloon->target_bytes, 64u << 20);
  EXPECT_FALSE(plain.balloon->page_reporting || plain.balloon->deflate_on_oom);
  EXPECT_FALSE(plain.watchdog || plain.tco_watchdog || plain.panic_port);
  EXPECT_EQ(plain.generation_id, "");
  const auto rich = translate(
      "<currentMemory "
      "unit='MiB'>32</currentMemory><genid>c7a5fdbd-edaf-4455-926a-d65c16db1809</genid><devices>"
      "<memballoon model='virtio' autodeflate='on' freePageReporting='on'><stats period='9'/></memballoon>"
      "<watchdog model='i6300esb' action='dump'/><watchdog model='itco' action='dump'/><panic "
      "model='isa'/></devices>");
  EXPECT_EQ(rich.balloon->target_bytes, 32u << 20);
  EXPECT_TRUE(rich.balloon->page_reporting && rich.balloon->deflate_on_oom);
  EXPECT_EQ(rich.balloon->statistics_period_s, 9u);
  EXPECT_EQ(rich.watchdog->action, vmm::control::WatchdogAction::pause) << "the daemon dumps it then";
  EXPECT_EQ(rich.watchdog->address.bus, 0);
  EXPECT_EQ(rich.tco_watchdog->action, vmm::control::WatchdogAction::pause);
  EXPECT_TRUE(rich.panic_port);
  EXPECT_EQ(rich.generation_id, "c7a5fdbd-edaf-4455-926a-d65c16db1809");
  EXPECT_FALSE(translate("<devices><memballoon model='none'/></devices>").balloon);
}

TEST(MachineTranslation, ScsiControllers) {
  const auto machine = translate(
      "<iothreads>1</iothreads><devices><controller type='scsi' index='1'>"
      "<driver queues='4' cmd_per_lun='32' max_sectors='512' iothread='1'/></controller></devices>");
  ASSERT_EQ(machine.scsi_controllers.size(), 1u);
  const auto& controller = machine.scsi_controllers.front();
  EXPECT_EQ(controller.id, "scsi1");
  EXPECT_NE(controller.address.bus, 0);
  EXPECT_EQ(controller.queues, 4);
  EXPECT_EQ(controller.commands_per_unit, 32u);
  EXPECT_EQ(controller.maximum_sectors, 512u);
  EXPECT_EQ(controller.iothread, 1u);
  const auto plain = translate("<devices><controller type='scsi'/></devices>").scsi_controllers.at(0);
  EXPECT_EQ(plain.commands_per_unit, 128u);
}

TEST(MachineTranslation, WhoMovesThePacketsOfInterfaces) {
  const auto interfaces =
      translate(
          "<memoryBacking><access mode='shared'/></memoryBacking><devices>"
          "<interface type='ethernet'><driver queues='2'/></interface>"
          "<interface type='bridge'><source bridge='br0'/><driver name='vhost' queues='2'/></interface>"
          "<interface type='user'/><interface type='vhostuser'><source type='unix' path='/s' mode='client'/>"
          "<driver queues='3' rx_queue_size='512'/></interface></devices>")
          .interfaces;
  using Names = std::vector<std::string>;
  ASSERT_EQ(interfaces.size(), 4u);
  EXPECT_EQ(interfaces[0].descriptors, (Names{"tap0.0", "tap0.1"}));
  EXPECT_TRUE(interfaces[0].vhost.empty()) << "nobody has asked for the kernel";
  EXPECT_EQ(interfaces[1].descriptors, (Names{"tap1.0", "tap1.1"}));
  EXPECT_EQ(interfaces[1].vhost, (Names{"vhost-net1.0", "vhost-net1.1"}));
  EXPECT_EQ(interfaces[2].stream, "net2");
  EXPECT_TRUE(interfaces[2].descriptors.empty());
  EXPECT_EQ(interfaces[3].vhost_user, "net3");
  EXPECT_EQ(interfaces[3].queues, 3);
  EXPECT_EQ(interfaces[3].queue_size, 512);
  EXPECT_FALSE(interfaces[3].stream);
}

// Of the one disk of a domain with three IOThreads.
vmm::control::DiskSpecification disk(std::string_view driver, std::string_view more = "",
                                     std::string_view target = "dev='vda'") {
  return translate("<iothreads>3</iothreads><devices><disk type='file'><driver " + std::string(driver) +
                   "</driver><source file='/d'/><target " + std::string(target) + "/>" + std::string(more) +
                   "</disk></devices>")
      .disks.at(0);
}

TEST(MachineTranslation, WhatNothingIsSaidOfADisk) {
  const auto plain = disk(">");
  EXPECT_EQ(plain.flush, vmm::control::FlushPolicy::honour);
  EXPECT_EQ(plain.engine, vmm::control::DiskEngine::io_uring);
  EXPECT_EQ(plain.detect_zeroes, vmm::control::DetectZeroes::off);
  EXPECT_FALSE(plain.discard || plain.copy_on_read || plain.read_only || plain.packed);
  EXPECT_EQ(plain.iothread, 0u);
  EXPECT_TRUE(plain.queue_iothreads.empty());
  EXPECT_EQ(plain.queues, 1);
  EXPECT_EQ(plain.queue_size, 256);
  EXPECT_EQ(plain.logical_block_size, 512u);
  EXPECT_EQ(plain.physical_block_size, 512u);
  EXPECT_EQ(plain.serial, "");
  EXPECT_FALSE(plain.identity.wwn);
}

TEST(MachineTranslation, WhatIsSaidOfADisk) {
  const auto rich = disk(
      "type='qcow2' cache='directsync' io='native' discard='unmap' detect_zeroes='unmap' copy_on_read='on' "
      "queues='4' queue_size='128' packed='on' iothread='2'>",
      "<serial>s-1</serial><blockio logical_block_size='4096' physical_block_size='8192'/>");
  EXPECT_EQ(rich.flush, vmm::control::FlushPolicy::always);
  EXPECT_EQ(rich.engine, vmm::control::DiskEngine::io_uring);
  EXPECT_EQ(rich.detect_zeroes, vmm::control::DetectZeroes::unmap);
  EXPECT_TRUE(rich.discard && rich.copy_on_read && rich.packed);
  EXPECT_EQ(rich.format, vmm::control::ImageFormat::qcow2);
  EXPECT_EQ(rich.iothread, 2u);
  EXPECT_EQ(rich.queues, 4);
  EXPECT_EQ(rich.queue_size, 128);
  EXPECT_EQ(rich.logical_block_size, 4096u);
  EXPECT_EQ(rich.physical_block_size, 8192u);
  EXPECT_EQ(rich.serial, "s-1");
  EXPECT_EQ(disk("io='threads'>").engine, vmm::control::DiskEngine::threads);
  EXPECT_EQ(disk("io='io_uring'>").engine, vmm::control::DiskEngine::io_uring);
  EXPECT_EQ(disk("cache='unsafe' detect_zeroes='on'>").flush, vmm::control::FlushPolicy::ignore);
  EXPECT_EQ(disk("detect_zeroes='on'>").detect_zeroes, vmm::control::DetectZeroes::on);
  EXPECT_FALSE(disk("copy_on_read='off'>").copy_on_read);
  EXPECT_TRUE(disk(">", "<readonly/>").read_only);
  // The physical block is no smaller than the logical one.
  EXPECT_EQ(disk(">", "<blockio logical_block_size='2048'/>").physical_block_size, 2048u);
}

TEST(MachineTranslation, TheIoThreadsOfADisk) {
  const auto turns = disk("queues='4'><iothreads><iothread id='3'/><iothread id='1'/></iothreads>");
  EXPECT_EQ(turns.iothread, 0u);
  EXPECT_EQ(turns.queues, 4);
  EXPECT_EQ(turns.queue_iothreads, (std::vector<std::uint32_t>{3, 1}));
  const auto mapped = disk(
      "queues='3'><iothreads><iothread id='3'><queue id='0'/><queue id='2'/></iothread>"
      "<iothread id='1'><queue id='1'/></iothread></iothreads>");
  EXPECT_EQ(mapped.queue_iothreads, (std::vector<std::uint32_t>{3, 1, 3}));
  EXPECT_EQ(disk("><iothreads><iothread id='2'/><iothread id='1'/></iothreads>").queues, 2);
}

TEST(MachineTranslation, WorldWideNames) {
  for (const std::string_view target : {"dev='sda' bus='sata'", "dev='sda' bus='scsi'"}) {
    for (const std::string_view name : {"<wwn>5000c50015ea71ad</wwn>", "<wwn>0x5000C50015EA71AD</wwn>"})
      EXPECT_EQ(disk(">", name, target).identity.wwn, 0x5000'c500'15ea'71ad);
    EXPECT_FALSE(disk(">", "", target).identity.wwn);
  }
}

TEST(MachineTranslation, MemoryBacking) {
  EXPECT_EQ(translate("").memory.huge_page_bytes, 0u);
  EXPECT_EQ(translate("<memoryBacking><hugepages/></memoryBacking>").memory.huge_page_bytes, 2u << 20);
  EXPECT_FALSE(translate("<memoryBacking><allocation mode='ondemand'/></memoryBacking>").memory.populate);
  EXPECT_TRUE(translate("<memoryBacking><allocation mode='immediate'/></memoryBacking>").memory.populate);
}

TEST(MachineTranslation, TicksTheGuestMissed) {
  const auto usual = translate("<clock offset='utc'/>");
  EXPECT_EQ(usual.rtc_missed_ticks, vmm::control::MissedTicks::merge);
  EXPECT_TRUE(usual.pit_reinject);
  const auto asked = translate(
      "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' "
      "tickpolicy='discard'/></clock>");
  EXPECT_EQ(asked.rtc_missed_ticks, vmm::control::MissedTicks::catch_up);
  EXPECT_FALSE(asked.pit_reinject);
}

}  // namespace
}  // namespace warren::driver::domain
