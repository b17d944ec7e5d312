// Devices that come to, go from and change in a domain.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr unsigned int kLive = VIR_DOMAIN_AFFECT_LIVE;
constexpr unsigned int kConfig = VIR_DOMAIN_AFFECT_CONFIG;

class DeviceTest : public DriverFixture {
 protected:
  void SetUp() override {
    DriverFixture::SetUp();
    image_ = root_ / "second.img";  // the first is the running domain's
    std::ofstream(image_).close();
    std::filesystem::resize_file(image_, 1 << 20);
  }
  std::string attach(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->detach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach_alias(const std::string& alias, unsigned int flags = 0) {
    return wait<void>([&](auto done) {
      driver_->detach_device_alias(caller_, test_uuid(), alias, flags, std::move(done));
    });
  }
  std::string update(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->update_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string disk(const std::string& target = "vdb", const std::string& extra = "") const {
    return fmt::format(
        "<disk type='file' device='disk'><source file='{}'/><target dev='{}' bus='virtio'/>{}</disk>",
        (target == "vda" ? root_ / "disk.img" : image_).string(), target, extra);
  }
  // An entropy source has nothing to open, and needs no privilege.
  static constexpr const char* kRng =
      "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>";
  static constexpr const char* kPorts =
      "<controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>"
      "<controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>";
  // A definition with free root ports and a NIC-less machine; `words` are for the fake worker.
  std::string with_ports(const std::string& words = "", const std::string& ports = kPorts) const {
    std::string text = xml("test", kTestUuid, "", words);
    text.insert(text.find("<serial"), ports);
    return text;
  }
  std::string live() { return driver_->xml(caller_, test_uuid(), 0); }
  void subscribe() {
    for (int id : {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED}) {
      driver_->subscribe(id, {}, [this](const DomainEvent& event) {
        if (const auto* added = std::get_if<DeviceAddedEvent>(&event.body))
          told_.push_back("+" + added->alias);
        if (const auto* gone = std::get_if<DeviceRemovedEvent>(&event.body))
          told_.push_back("-" + gone->alias);
      });
    }
  }
  bool wait_until_told(const std::string& what) {
    return run_until([&] { return std::find(told_.begin(), told_.end(), what) != told_.end(); });
  }
  std::filesystem::path image_;
  std::vector<std::string> told_;
  std::string persistent() { return driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE); }
};

TEST_F(DeviceTest, ADefinitionGetsAndLosesADisk) {
  ASSERT_EQ(define(xml()), "");
  const std::string before = persistent();
  ASSERT_EQ(attach(disk()), "");
  EXPECT_THAT(persistent(), HasSubstr("<target dev='vdb' bus='virtio'/>"));
  const std::string after = persistent();
  start_daemon();
  EXPECT_EQ(persistent(), after);
  EXPECT_THAT(attach(disk()), HasSubstr("vdb"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(update(disk("vdb", "<serial>s1</serial>"), kConfig), "");
  EXPECT_THAT(persistent(), HasSubstr("<serial>s1</serial>"));
  ASSERT_EQ(detach("<disk><target dev='vdb'/></disk>", kConfig), "");
  EXPECT_THAT(persistent(), Not(HasSubstr("vdb")));
  EXPECT_NE(detach("<disk><target dev='vdb'/></disk>", kConfig), "");
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
}

TEST_F(DeviceTest, WhatIsRefusedChangesNothing) {
  ASSERT_EQ(define(xml()), "");
  const std::string before = persistent();
  EXPECT_NE(attach(disk(), kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_THAT(attach(disk("vdb", "<address type='pci' bus='0x09' slot='0x01'/>")), HasSubstr("slot 0"));
  EXPECT_THAT(attach(disk("vdb", "<driver iothread='7'/>")), HasSubstr("IOThread 7"));
  EXPECT_THAT(attach("<disk"), HasSubstr("device_definition"));
  EXPECT_NE(attach(disk(), 1u << 9), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_NE(detach_alias("ua-none"), "");
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
  EXPECT_NE(update("<serial type='pty'/>"), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(persistent(), before);
}

TEST_F(DeviceTest, AChannelComesToARunningDomainAndGoes) {
  constexpr const char* kController = "<controller type='virtio-serial'/>";
  constexpr const char* kChannel =
      "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
  ASSERT_EQ(define(with_ports("", kController)), "");
  ASSERT_EQ(start(), "");
  EXPECT_THAT(live(), HasSubstr("ports='8'"));
  EXPECT_THAT(persistent(), Not(HasSubstr("ports='8'")));
  subscribe();
  const std::string before = persistent();
  ASSERT_EQ(attach(kChannel, kLive), "");
  EXPECT_EQ(persistent(), before);
  EXPECT_THAT(live(), HasSubstr("<address type='virtio-serial' controller='0' bus='0' port='1'/>"));
  EXPECT_THAT(live(), HasSubstr("<alias name='channel0'/>"));
  const std::filesystem::path socket =
      root_ / "run" / "domain" / kTestUuid / "channel" / "org.qemu.guest_agent.0";
  EXPECT_THAT(live(), HasSubstr(socket.string()));
  EXPECT_TRUE(std::filesystem::exists(socket));
  EXPECT_TRUE(wait_until_told("+channel0"));
  EXPECT_THAT(attach(kChannel, kLive), HasSubstr("already exists"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(attach("<channel type='pty'><target type='virtio' name='second'/></channel>", kLive), "");
  EXPECT_THAT(live(), HasSubstr("port='2'"));
  ASSERT_EQ(attach("<console type='pty'><target type='virtio'/></console>", kLive), "");
  EXPECT_THAT(live(), HasSubstr("port='3'"));
  // T14: a daemon that comes back knows what there is.
  const std::string all = live();
  start_daemon();
  EXPECT_EQ(live(), all);
  subscribe();
  ASSERT_EQ(detach(kChannel, kLive), "");
  EXPECT_TRUE(wait_until_told("-channel0"));
  EXPECT_FALSE(std::filesystem::exists(socket));
  EXPECT_THAT(live(), Not(HasSubstr("guest_agent")));
  ASSERT_EQ(detach_alias("channel1", kLive), "");
  EXPECT_THAT(live(), Not(HasSubstr("second")));
  EXPECT_THAT(detach(kChannel, kLive), HasSubstr("no channel"));
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
}

TEST_F(DeviceTest, AWatchdogComesAndGoes) {
  constexpr const char* kWatchdog = "<watchdog model='i6300esb' action='pause'/>";
  ASSERT_EQ(define(with_ports()), "");
  ASSERT_EQ(start(), "");
  subscribe();
  ASSERT_EQ(attach(kWatchdog, kLive | kConfig), "");
  EXPECT_THAT(persistent(), HasSubstr("<watchdog model='i6300esb' action='pause'>"));
  EXPECT_THAT(live(), HasSubstr("<alias name='watchdog0'/>"));
  EXPECT_THAT(attach(kWatchdog, kLive), HasSubstr("already has a watchdog"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_THAT(detach("<watchdog model='i6300esb' action='reset'/>", kLive), HasSubstr("no watchdog"));
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
  ASSERT_EQ(detach(kWatchdog, kLive | kConfig), "");
  EXPECT_TRUE(wait_until_told("-watchdog0"));
  EXPECT_THAT(live(), Not(HasSubstr("<watchdog")));
  EXPECT_THAT(persistent(), Not(HasSubstr("<watchdog")));
}

// One that was there from the start sits on bus 0, as on any q35.
TEST_F(DeviceTest, AWatchdogOfTheStartStays) {
  constexpr const char* kWatchdog = "<watchdog model='i6300esb' action='pause'/>";
  ASSERT_EQ(define(with_ports("", std::string(kPorts) + kWatchdog)), "");
  ASSERT_EQ(start(), "");
  EXPECT_THAT(detach(kWatchdog, kLive), HasSubstr("does not support hot plug"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(detach(kWatchdog, kConfig), "");
}

TEST_F(DeviceTest, AChannelNeedsAFreePortOfAController) {
  ASSERT_EQ(define(with_ports("", "<controller type='virtio-serial' ports='2'/>")), "");
  ASSERT_EQ(start(), "");
  const auto channel = [](const std::string& name) {
    return "<channel type='pty'><target type='virtio' name='" + name + "'/></channel>";
  };
  ASSERT_EQ(attach(channel("a"), kLive), "");
  EXPECT_THAT(attach(channel("b"), kLive), HasSubstr("virtio-serial"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  ASSERT_EQ(detach(channel("a"), kLive), "");
  EXPECT_EQ(attach(channel("b"), kLive), "");
}

TEST_F(DeviceTest, AChannelThatTheWorkerRefusesLeavesNothing) {
  ASSERT_EQ(define(with_ports("refuse-plug", "<controller type='virtio-serial'/>")), "");
  ASSERT_EQ(start(), "");
  const std::string before = live();
  EXPECT_THAT(attach("<channel type='unix'><target type='virtio' name='x'/></channel>", kLive),
              HasSubstr("told to refuse"));
  EXPECT_EQ(live(), before);
  EXPECT_FALSE(std::filesystem::exists(root_ / "run" / "domain" / kTestUuid / "channel" / "x"));
}

TEST_F(DeviceTest, ATransientDomainHasNoDefinitionToChange) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_NE(attach(disk(), kConfig), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
}

TEST_F(DeviceTest, AnAliasOfTheUsersOwnNamesADevice) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(attach(disk("vdc", "<alias name='ua-mine'/>")), "");
  ASSERT_EQ(detach_alias("ua-mine"), "");
  EXPECT_THAT(persistent(), Not(HasSubstr("vdc")));
}

TEST_F(DeviceTest, TheRunningMachineIsNotTouchedByAChangeOfTheDefinition) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const std::string live = driver_->xml(caller_, test_uuid(), 0);
  ASSERT_EQ(attach(disk(), kConfig), "");
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), 0), live);
  EXPECT_THAT(persistent(), HasSubstr("vdb"));
}

TEST_F(DeviceTest, ADeviceComesToARunningDomainAndGoes) {
  ASSERT_EQ(define(with_ports()), "");
  ASSERT_EQ(start(), "");
  subscribe();
  const std::string before = live(), definition = persistent();
  ASSERT_EQ(attach(kRng, kLive), "");
  EXPECT_TRUE(wait_until_told("+rng0"));
  EXPECT_THAT(live(), HasSubstr("<alias name='rng0'/>"));
  EXPECT_EQ(persistent(), definition);
  const auto asked = std::chrono::steady_clock::now();
  ASSERT_EQ(detach(kRng, kLive), "");
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
  EXPECT_TRUE(wait_until_told("-rng0"));
  EXPECT_EQ(live(), before);
}

TEST_F(DeviceTest, BothDefinitionsChangeOrNeither) {
  ASSERT_EQ(define(with_ports("refuse-plug")), "");
  ASSERT_EQ(start(), "");
  const std::string before = live(), definition = persistent();
  EXPECT_THAT(attach(kRng, kLive | kConfig), HasSubstr("refuse"));
  EXPECT_EQ(live(), before);
  EXPECT_EQ(persistent(), definition);
  start_daemon();
  EXPECT_EQ(live(), before);
  EXPECT_EQ(persistent(), definition);
  destroy();
  ASSERT_EQ(define(with_ports()), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(attach(disk(), kLive | kConfig), "");
  EXPECT_THAT(live(), HasSubstr("virtio-disk1"));
  EXPECT_THAT(persistent(), HasSubstr("vdb"));
}

TEST_F(DeviceTest, ARemovalThatTheGuestTakesItsTimeForIsPending) {
  ASSERT_EQ(create(with_ports("keep-devices")), "");
  subscribe();
  ASSERT_EQ(attach(disk(), kLive), "");
  ASSERT_EQ(detach_alias("virtio-disk1", kLive), "");
  EXPECT_THAT(live(), HasSubstr("virtio-disk1"));
  // Nobody else is held up meanwhile.
  ASSERT_EQ(attach(kRng, kLive), "");
  tell_guest("let-go virtio-disk1");
  EXPECT_TRUE(wait_until_told("-virtio-disk1"));
  EXPECT_THAT(live(), Not(HasSubstr("virtio-disk1")));
}

TEST_F(DeviceTest, T14ADeviceThatWentWhileNoDaemonWasThereIsGone) {
  ASSERT_EQ(create(with_ports("keep-devices")), "");
  ASSERT_EQ(attach(disk(), kLive), "");
  const std::string with = live();
  start_daemon();
  EXPECT_EQ(live(), with);
  tell_guest("let-go virtio-disk1");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  start_daemon();
  EXPECT_THAT(live(), Not(HasSubstr("virtio-disk1")));
  ASSERT_EQ(attach(disk(), kLive), "");
}

TEST_F(DeviceTest, AScsiDiskBringsItsControllersWhichStay) {
  ASSERT_EQ(define(with_ports()), "");
  ASSERT_EQ(start(), "");
  subscribe();
  const std::string before = live();
  const std::string scsi = fmt::format(
      "<disk type='file' device='disk'><source file='{}'/><target dev='sda' bus='scsi'/>"
      "<address type='drive' controller='1' target='2' unit='3'/></disk>",
      image_.string());
  ASSERT_EQ(attach(scsi, kLive | kConfig), "");
  ASSERT_TRUE(wait_until_told("+scsi1-0-2-3"));
  EXPECT_EQ(told_, (std::vector<std::string>{"+scsi0", "+scsi1", "+scsi1-0-2-3"}));
  EXPECT_THAT(persistent(), HasSubstr("<controller type='scsi' index='1' model='virtio-scsi'>"));
  EXPECT_THAT(attach(scsi, kLive), HasSubstr("target sda already exists"));
  const std::string controller = "<controller type='scsi' index='1' model='virtio-scsi'/>";
  EXPECT_THAT(detach(controller, kLive), HasSubstr("device is busy"));
  EXPECT_THAT(detach(controller, kConfig), HasSubstr("device is busy"));
  // What is on a controller needs no slot.
  ASSERT_EQ(detach("<disk><target dev='sda' bus='scsi'/></disk>", kLive | kConfig), "");
  EXPECT_TRUE(wait_until_told("-scsi1-0-2-3"));
  EXPECT_THAT(live(), HasSubstr("<alias name='scsi1'/>"));
  ASSERT_EQ(detach(controller, kLive), "");
  EXPECT_TRUE(wait_until_told("-scsi1"));
  ASSERT_EQ(detach_alias("scsi0", kLive), "");
  EXPECT_TRUE(wait_until_told("-scsi0"));
  EXPECT_EQ(live(), before);
  EXPECT_THAT(persistent(), HasSubstr("<controller type='scsi' index='1' model='virtio-scsi'>"));
}

TEST_F(DeviceTest, ADiskThatCannotBeBringsNoController) {
  ASSERT_EQ(define(with_ports()), "");
  ASSERT_EQ(start(), "");
  const std::string before = live();
  EXPECT_NE(attach("<disk type='file'><source file='/x'/><target dev='vda' bus='scsi'/></disk>", kLive), "");
  EXPECT_EQ(live(), before);
  // Nor do those that there is room for, where others lack it.
  const auto far = [this](const char* target) {
    return fmt::format("<disk type='file'><source file='{}'/><target dev='{}' bus='scsi'/></disk>",
                       image_.string(), target);
  };
  EXPECT_THAT(attach(far("sdzz"), kLive), HasSubstr("No more available PCI slots"));
  EXPECT_EQ(live(), before);
  EXPECT_THAT(attach(far("sdzzz"), kLive), HasSubstr("'sdzzz' is beyond the last SCSI controller"));
  EXPECT_EQ(live(), before);
}

// T14: what is on a controller is told of by the worker, too.
TEST_F(DeviceTest, T14AScsiDiskThatWentWhileNoDaemonWasThereIsGone) {
  ASSERT_EQ(create(with_ports("keep-devices")), "");
  ASSERT_EQ(attach(fmt::format("<disk type='file'><source file='{}'/><target dev='sdb' bus='scsi'/></disk>",
                               image_.string()),
                   kLive),
            "");
  const std::string with = live();
  start_daemon();
  EXPECT_EQ(live(), with);
  tell_guest("let-go scsi0-0-0-1");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  start_daemon();
  EXPECT_THAT(live(), Not(HasSubstr("sdb")));
  EXPECT_THAT(live(), HasSubstr("<alias name='scsi0'/>"));
}

TEST_F(DeviceTest, WhereNoDeviceComesOrGoes) {
  ASSERT_EQ(create(with_ports("", "")), "");
  // One root port is free from the beginning.
  ASSERT_EQ(attach(kRng, kLive), "");
  const std::string before = live();
  EXPECT_THAT(attach(disk(), kLive), HasSubstr("No more available PCI slots"));
  EXPECT_EQ(last_code_, VIR_ERR_INTERNAL_ERROR);
  // What is there already is not looked for a place.
  EXPECT_THAT(attach(disk("vda"), kLive), HasSubstr("target vda already exists"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(attach(disk("vdb", "<address type='pci' bus='0x00' slot='0x09'/>"), kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_XML_ERROR);
  EXPECT_NE(attach("<serial type='pty'><target port='1'/></serial>", kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_THAT(attach("<controller type='pci' model='pcie-root-port'/>", kLive),
              HasSubstr("'pci' controller cannot be hot plugged."));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_THAT(detach("<controller type='pci' index='1' model='pcie-root-port'/>", kLive),
              HasSubstr("'pci' controller cannot be hot unplugged."));
  EXPECT_THAT(attach("<controller type='sata'/>", kLive),
              HasSubstr("'sata' controller cannot be hot plugged."));
  EXPECT_THAT(attach("<input type='keyboard' bus='ps2'/>", kLive),
              HasSubstr("input device on bus 'ps2' cannot be hot plugged."));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(detach("<input type='keyboard' bus='ps2'/>", kLive),
              HasSubstr("input device on bus 'ps2' cannot be detached"));
  EXPECT_THAT(attach("<watchdog model='itco'/>", kLive),
              HasSubstr("hotplug of watchdog of model itco is not supported"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_NE(detach("<disk><target dev='vdz'/></disk>", kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
  EXPECT_NE(detach_alias("serial0", kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(live(), before);
}

TEST_F(DeviceTest, InputDevicesComeAndGo) {
  ASSERT_EQ(create(with_ports()), "");
  subscribe();
  ASSERT_EQ(attach("<input type='tablet' bus='virtio'/>", kLive), "");
  ASSERT_EQ(attach("<input type='keyboard' bus='virtio' model='virtio'/>", kLive), "");
  EXPECT_TRUE(wait_until_told("+input2"));
  EXPECT_THAT(live(), HasSubstr("<input type='tablet' bus='virtio'>"));
  EXPECT_THAT(live(), HasSubstr("<input type='keyboard' bus='virtio' model='virtio'>"));
  // What fits both keyboards by type is told apart by the bus.
  ASSERT_EQ(detach("<input type='keyboard' bus='virtio'/>", kLive), "");
  EXPECT_TRUE(wait_until_told("-input2"));
  ASSERT_EQ(detach_alias("input1", kLive), "");
  EXPECT_TRUE(wait_until_told("-input1"));
  EXPECT_THAT(live(), Not(HasSubstr("bus='virtio'>\n      <alias name='input")));
  EXPECT_THAT(live(), HasSubstr("<input type='keyboard' bus='ps2'>"));
  EXPECT_THAT(detach("<input type='mouse' bus='virtio'/>", kLive), HasSubstr("input"));
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
}

TEST_F(DeviceTest, AnInputDeviceOfTheHostIsOpenedOrNamed) {
  ASSERT_EQ(create(with_ports()), "");
  const std::string before = live();
  const auto passthrough = [](const std::string& path) {
    return fmt::format("<input type='passthrough' bus='virtio'><source evdev='{}'/></input>", path);
  };
  EXPECT_THAT(attach(passthrough("/nonexistent/event0"), kLive), HasSubstr("/nonexistent/event0"));
  EXPECT_EQ(last_code_, VIR_ERR_SYSTEM_ERROR);
  EXPECT_THAT(attach(passthrough("/dev/null"), kLive), HasSubstr("'/dev/null' is no evdev device"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(live(), before);
}

TEST_F(DeviceTest, AnUpdateOfARunningDiskChangesItsLimitsAlone) {
  ASSERT_EQ(create(with_ports()), "");
  const std::string before = live();
  EXPECT_THAT(update(disk("vda", "<serial>other</serial>"), kLive), HasSubstr("<serial>"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(live(), before);
  ASSERT_EQ(update(disk("vda", "<iotune><total_bytes_sec>4096</total_bytes_sec></iotune>"), kLive), "");
  EXPECT_THAT(live(), HasSubstr("<total_bytes_sec>4096</total_bytes_sec>"));
}

}  // namespace
}  // namespace warren::driver::domain
