// Host devices of domains: taken from the host's driver at a start or a plug, and given back whatever happens
// (failure class T14).
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

TEST(BoundDevices, AreReadAsTheyAreWritten) {
  const std::vector<BoundDevice> devices = {{config::parse_pci_address(kNic).value(), "e1000e"},
                                            {config::parse_pci_address(kDisk).value(), ""}};
  EXPECT_EQ(format_bound(devices), "0000:01:00.0=e1000e 0000:02:00.0=");
  EXPECT_EQ(parse_bound(format_bound(devices)), devices);
  EXPECT_TRUE(parse_bound("").empty());
  EXPECT_THROW(parse_bound("nonsense"), Error);
  EXPECT_THROW(parse_bound("0000:01:00.0"), Error);
}

}  // namespace
}  // namespace warren::driver::domain
