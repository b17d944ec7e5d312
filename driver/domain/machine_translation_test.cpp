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
  config::assign_live(definition, {.id = 1});
  return machine_of(definition, facts, {}, 0);
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
