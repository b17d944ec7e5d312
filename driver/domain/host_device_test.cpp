// Host devices of domains: taken from the host's driver at a start or a plug, and given back whatever happens
// (failure class T14).
#include <array>

#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"
#include "driver/host/fake_pci_bus.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kNic = "0000:01:00.0";
constexpr const char* kDisk = "0000:02:00.0";
constexpr unsigned int kLive = VIR_DOMAIN_AFFECT_LIVE;

class HostDeviceTest : public DriverFixture {
 protected:
  void SetUp() override {
    DriverFixture::SetUp();
    prepare_ = [this](Environment& environment) {
      auto bus = std::make_unique<host::FakePciBus>(root_ / "host");
      bus_ = bus.get();
      bus_->add(kNic, 3, "e1000e");
      bus_->add(kDisk, 4, "nvme", "0x010802");
      bus_->add("0000:02:00.1", 4, "");
      environment.pci = std::move(bus);
    };
    start_daemon();
  }
  static std::string hostdev(std::string_view bus, bool managed = true) {
    return fmt::format(
        "<hostdev mode='subsystem' type='pci' managed='{}'><source><address domain='0' bus='{}' slot='0' "
        "function='0'/></source></hostdev>",
        managed ? "yes" : "no", bus);
  }
  std::string with(const std::string& devices, const std::string& words = "") const {
    std::string text = xml("test", kTestUuid, "", words);
    text.insert(
        text.find("<serial"),
        "<controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>"
        "<controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>"
        "<controller type='pci' model='pcie-root-port'/>" +
            devices);
    return text;
  }
  std::string attach(const std::string& device, unsigned int flags = kLive) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach(const std::string& device, unsigned int flags = kLive) {
    return wait<void>(
        [&](auto done) { driver_->detach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string live() { return driver_->xml(caller_, test_uuid(), 0); }
  std::string status() const {
    std::ifstream file(root_ / "run/status" / (std::string(kTestUuid) + ".xml"));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  host::FakePciBus* bus_ = nullptr;
};

TEST_F(HostDeviceTest, AStartTakesItAndTheEndGivesItBack) {
  ASSERT_EQ(define(with(hostdev("1"))), "");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
  EXPECT_THAT(status(), HasSubstr("host-devices='0000:01:00.0=e1000e'"));
  EXPECT_THAT(live(), HasSubstr("<alias name='hostdev0'/>"));
  EXPECT_THAT(live(), HasSubstr("<driver name='vfio'/>"));
  EXPECT_THAT(live(), Not(HasSubstr("e1000e")));
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
}

TEST_F(HostDeviceTest, AWorkerThatDiesGivesItBack) {
  ASSERT_EQ(create(with(hostdev("1"))), "");
  ::kill(worker_pid(), SIGKILL);
  EXPECT_TRUE(run_until([&] { return bus_->driver(kNic) == "e1000e"; }));
}

TEST_F(HostDeviceTest, AStartThatFailsGivesItBack) {
  ASSERT_EQ(define(with(hostdev("1"), "refuse-configure")), "");
  EXPECT_THAT(start(), HasSubstr("told to refuse"));
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
  // The second of two.
  bus_->stubborn.insert(kDisk);
  ASSERT_EQ(define(with(hostdev("1") + hostdev("2"))), "");
  EXPECT_THAT(start(), HasSubstr(kDisk));
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
  EXPECT_EQ(bus_->driver(kDisk), "nvme");
}

TEST_F(HostDeviceTest, OneThatIsUnmanagedIsLeftWhereItIs) {
  ASSERT_EQ(define(with(hostdev("1", false))), "");
  EXPECT_THAT(start(), HasSubstr("unmanaged"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
  bus_->bind(kNic, "vfio-pci");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
}

TEST_F(HostDeviceTest, AnothersIsRefusedNamingIt) {
  ASSERT_EQ(create(with(hostdev("1"))), "");
  const std::string uuid = "c7a5fdbd-edaf-4455-926a-d65c16db1810";
  std::string second = with(hostdev("1"));
  second.replace(second.find("test"), 4, "next");
  second.replace(second.find(kTestUuid), uuid.size(), uuid);
  second.replace(second.find("disk.img"), 8, "kernel");  // an image of its own
  EXPECT_THAT(create(second), HasSubstr("domain test"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
}

TEST_F(HostDeviceTest, ItsGroupHasToBeFree) {
  bus_->bind("0000:02:00.1", "snd");
  EXPECT_THAT(create(with(hostdev("2"))), HasSubstr("'snd'"));
  EXPECT_EQ(bus_->driver(kDisk), "nvme");
  bus_->bind("0000:02:00.1", "");
  EXPECT_EQ(create(with(hostdev("2"))), "");
}

TEST_F(HostDeviceTest, AHostWithoutAnIommuSaysSo) {
  std::filesystem::remove_all(root_ / "host/sys/kernel/iommu_groups");
  ASSERT_EQ(define(with(hostdev("1"))), "");
  EXPECT_THAT(start(), HasSubstr("IOMMU"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
}

TEST_F(HostDeviceTest, ComesToAndGoesFromARunningDomain) {
  ASSERT_EQ(define(with("")), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(attach(hostdev("1"), kLive | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
  EXPECT_THAT(live(), HasSubstr("hostdev0"));
  EXPECT_THAT(status(), HasSubstr("0000:01:00.0=e1000e"));
  EXPECT_NE(attach(hostdev("1")), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(attach(hostdev("2")), "");
  EXPECT_THAT(live(), HasSubstr("hostdev1"));
  ASSERT_EQ(detach(hostdev("1"), kLive | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_TRUE(run_until([&] { return bus_->driver(kNic) == "e1000e"; }));
  EXPECT_EQ(bus_->driver(kDisk), "vfio-pci");
  EXPECT_THAT(status(), Not(HasSubstr("e1000e")));
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(bus_->driver(kDisk), "nvme");
}

TEST_F(HostDeviceTest, APlugThatFailsGivesItBack) {
  ASSERT_EQ(create(with("", "refuse-plug")), "");
  const std::string before = live();
  EXPECT_THAT(attach(hostdev("1")), HasSubstr("told to refuse"));
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
  EXPECT_EQ(live(), before);
  EXPECT_THAT(attach(hostdev("9")), HasSubstr("not found"));
  EXPECT_THAT(status(), Not(HasSubstr("host-devices")));
}

// T14: the daemon that took it is not the one that gives it back.
TEST_F(HostDeviceTest, T14ALaterDaemonGivesItBack) {
  ASSERT_EQ(define(with(hostdev("1"))), "");
  ASSERT_EQ(start(), "");
  start_daemon();
  EXPECT_EQ(bus_->driver(kNic), "vfio-pci");
  EXPECT_THAT(status(), HasSubstr("0000:01:00.0=e1000e"));
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(bus_->driver(kNic), "e1000e");
}

// Interfaces that are virtual functions: 0000:05:10.0 and .2 are those of enp5s0.
class NetworkFunctionTest : public HostDeviceTest {
 protected:
  void SetUp() override {
    DriverFixture::SetUp();
    prepare_ = [this](Environment& environment) {
      auto bus = std::make_unique<host::FakePciBus>(root_ / "host");
      bus_ = bus.get();
      bus_->add("0000:05:00.0", 5, "igb");
      bus_->add(kFirst, 6, "igbvf");
      bus_->add(kSecond, 7, "igbvf");
      bus_->add_function("0000:05:00.0", "enp5s0", 0, kFirst);
      bus_->add_function("0000:05:00.0", "enp5s0", 1, kSecond);
      environment.pci = std::move(bus);
      environment.functions.read = [this](const std::string& device, std::uint32_t index) {
        return settings_of(device, index);
      };
      environment.functions.set = [this](const std::string& device, std::uint32_t index,
                                         const link::FunctionSettings& settings) {
        if (settings.vlan == refused_vlan_) throw operation_unsupported("its driver cannot do that");
        settings_of(device, index) = settings;
        order_ += fmt::format("set {} ", bus_->driver(index == 0 ? kFirst : kSecond));
      };
    };
    start_daemon();
  }
  link::FunctionSettings& settings_of(const std::string& device, std::uint32_t index) {
    EXPECT_EQ(device, "enp5s0");
    return set_.at(index);
  }
  static std::string interface(std::string_view slot_function, std::string_view content = "") {
    return fmt::format(
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:07'/><source><address "
        "type='pci' "
        "domain='0' bus='5' {}/></source>{}</interface>",
        slot_function, content);
  }
  static constexpr const char* kFirst = "0000:05:10.0";
  static constexpr const char* kSecond = "0000:05:10.2";
  static constexpr const char* kSecondPlace = "slot='16' function='2'";
  static constexpr link::FunctionSettings kBefore{{0x02, 0, 0, 0, 0, 2}, 0, 0};

  std::array<link::FunctionSettings, 2> set_{link::FunctionSettings{{0x02, 0, 0, 0, 0, 1}, 9, 1}, kBefore};
  std::uint16_t refused_vlan_ = 4000;
  std::string order_;
};

TEST_F(NetworkFunctionTest, HasItsAddressAndVlanWhileADomainHasIt) {
  ASSERT_EQ(define(with(interface(kSecondPlace, "<vlan><tag id='42'/></vlan>"))), "");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(set_[1], (link::FunctionSettings{{0x52, 0x54, 0, 0, 0, 7}, 42, 0}));
  EXPECT_EQ(order_, "set igbvf ");
  EXPECT_EQ(bus_->driver(kSecond), "vfio-pci");
  EXPECT_EQ(bus_->driver(kFirst), "igbvf");
  EXPECT_THAT(status(), HasSubstr("host-devices='0000:05:10.2=igbvf,02:00:00:00:00:02,0,0'"));
  EXPECT_THAT(live(), HasSubstr("<alias name='hostdev0'/>"));
  EXPECT_THAT(live(), Not(HasSubstr("vnet")));
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(set_[1], kBefore);
  EXPECT_EQ(order_, "set igbvf set vfio-pci ");
  EXPECT_EQ(bus_->driver(kSecond), "igbvf");
}

TEST_F(NetworkFunctionTest, ALaterDaemonPutsBackWhatWasThere) {
  ASSERT_EQ(define(with(interface(kSecondPlace))), "");
  ASSERT_EQ(start(), "");
  start_daemon();
  EXPECT_EQ(set_[1].mac[5], 7);
  EXPECT_EQ(bus_->driver(kSecond), "vfio-pci");
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(set_[1], kBefore);
  EXPECT_EQ(bus_->driver(kSecond), "igbvf");
}

TEST_F(NetworkFunctionTest, WhatCannotBeSetLeavesNothing) {
  refused_vlan_ = 42;
  ASSERT_EQ(define(with(interface(kSecondPlace, "<vlan><tag id='42'/></vlan>"))), "");
  EXPECT_THAT(start(), HasSubstr("its driver cannot do that"));
  EXPECT_EQ(set_[1], kBefore);
  EXPECT_EQ(bus_->driver(kSecond), "igbvf");
  refused_vlan_ = 4000;
  bus_->stubborn.insert(kSecond);
  EXPECT_THAT(start(), HasSubstr(kSecond));
  EXPECT_EQ(set_[1], kBefore);
  EXPECT_EQ(bus_->driver(kSecond), "igbvf");
}

TEST_F(NetworkFunctionTest, AWholeDeviceIsNoInterface) {
  ASSERT_EQ(define(with(interface("slot='0' function='0'"))), "");
  EXPECT_THAT(start(), HasSubstr("0000:05:00.0 cannot be an interface of type hostdev"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(bus_->driver("0000:05:00.0"), "igb");
}

TEST_F(NetworkFunctionTest, ComesToAndGoesFromARunningDomain) {
  ASSERT_EQ(define(with("")), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(attach(interface(kSecondPlace), kLive | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(set_[1].mac[5], 7);
  EXPECT_EQ(bus_->driver(kSecond), "vfio-pci");
  EXPECT_THAT(live(), HasSubstr("hostdev0"));
  EXPECT_NE(attach(interface(kSecondPlace)), "");
  // What it has no place for is refused, and what it is cannot change.
  const auto update = [&](const std::string& device) {
    return wait<void>(
        [&](auto done) { driver_->update_device(caller_, test_uuid(), device, kLive, std::move(done)); });
  };
  EXPECT_THAT(update(interface(kSecondPlace, "<vlan><tag id='1'/></vlan>")), HasSubstr("cannot change"));
  EXPECT_THROW(driver_->interface_statistics(caller_, test_uuid(), "52:54:00:00:00:07"), Error);
  ASSERT_EQ(detach(interface(kSecondPlace), kLive | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_TRUE(run_until([&] { return bus_->driver(kSecond) == "igbvf"; }));
  EXPECT_EQ(set_[1], kBefore);
  EXPECT_TRUE(run_until([&] { return live().find("alias name='hostdev0'") == std::string::npos; }));
  EXPECT_THAT(status(), Not(HasSubstr("host-devices")));
}

TEST_F(NetworkFunctionTest, APlugThatFailsGivesItBack) {
  ASSERT_EQ(create(with("", "refuse-plug")), "");
  EXPECT_THAT(attach(interface(kSecondPlace)), HasSubstr("told to refuse"));
  EXPECT_EQ(bus_->driver(kSecond), "igbvf");
  EXPECT_EQ(set_[1], kBefore);
}

// The administrator put it there: it stays, but for what was set of it.
TEST_F(NetworkFunctionTest, OneThatIsUnmanagedIsSetAndLeftWhereItIs) {
  bus_->bind(kFirst, "vfio-pci");
  const link::FunctionSettings before = set_[0];
  std::string unmanaged = interface("slot='16' function='0'");
  unmanaged.replace(unmanaged.find("'yes'"), 5, "'no'");
  ASSERT_EQ(define(with(unmanaged)), "");
  ASSERT_EQ(start(), "");
  EXPECT_EQ(set_[0], (link::FunctionSettings{{0x52, 0x54, 0, 0, 0, 7}, 0, 0}));
  ASSERT_EQ(destroy(), "");
  EXPECT_EQ(set_[0], before);
  EXPECT_EQ(bus_->driver(kFirst), "vfio-pci");
  EXPECT_TRUE(bus_->written.empty());
}

TEST(BoundDevices, AreReadAsTheyAreWritten) {
  const std::vector<BoundDevice> devices = {{config::parse_pci_address(kNic).value(), "e1000e", {}},
                                            {config::parse_pci_address(kDisk).value(), "", {}}};
  EXPECT_EQ(format_bound(devices), "0000:01:00.0=e1000e 0000:02:00.0=");
  EXPECT_EQ(parse_bound(format_bound(devices)), devices);
  const std::vector<BoundDevice> function = {
      {config::parse_pci_address(kNic).value(), "igbvf", link::FunctionSettings{{2, 0, 0, 0, 0, 9}, 42, 3}}};
  EXPECT_EQ(format_bound(function), "0000:01:00.0=igbvf,02:00:00:00:00:09,42,3");
  EXPECT_EQ(parse_bound(format_bound(function)), function);
  EXPECT_THROW(parse_bound("0000:01:00.0=igbvf,02:00:00:00:00:09,42"), Error);
  EXPECT_THROW(parse_bound("0000:01:00.0=igbvf,nonsense,42,1"), Error);
  EXPECT_TRUE(parse_bound("").empty());
  EXPECT_THROW(parse_bound("nonsense"), Error);
  EXPECT_THROW(parse_bound("0000:01:00.0"), Error);
}

}  // namespace
}  // namespace warren::driver::domain
