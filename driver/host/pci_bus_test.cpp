// A device comes from the host's driver to vfio-pci and back, and nothing is half done.
#include "driver/host/pci_bus.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/host/fake_pci_bus.h"

namespace warren::driver::host {
namespace {

using testing::HasSubstr;

class PciBusTest : public testing::Test {
 protected:
  PciBusTest() {
    char name[] = "/tmp/warren-pci-XXXXXX";
    root_ = ::mkdtemp(name);
    bus_ = std::make_unique<FakePciBus>(root_);
    bus_->add("0000:01:00.0", 7, "nvme", "0x010802");
    bus_->add("0000:01:00.1", 7, "");
    bus_->add("0000:00:01.0", 7, "pcieport", "0x060400");
  }
  ~PciBusTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  static config::PciAddress at(std::string_view text) { return config::parse_pci_address(text).value(); }
  template <typename Action>
  static std::pair<int, std::string> refusal(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return {error.code(), error.message()};
    }
    return {};
  }

  std::filesystem::path root_;
  std::unique_ptr<FakePciBus> bus_;
};

TEST_F(PciBusTest, FindsADeviceAndItsGroup) {
  const PciDevice device = bus_->look(at("0000:01:00.0"));
  EXPECT_EQ(device.group, 7u);
  EXPECT_EQ(device.driver, "nvme");
  EXPECT_FALSE(device.is_bridge);
  const auto members = bus_->members(7);
  ASSERT_EQ(members.size(), 3u);
  EXPECT_TRUE(members[0].is_bridge);
  EXPECT_EQ(members[2].driver, "");
  EXPECT_NO_THROW(bus_->require_assignment());
}

TEST_F(PciBusTest, NamesWhatIsMissing) {
  EXPECT_THAT(refusal([&] { bus_->look(at("0000:05:00.0")); }).second, HasSubstr("0000:05:00.0 not found"));
  std::filesystem::remove(root_ / "dev/vfio/vfio");
  auto refused = refusal([&] { bus_->require_assignment(); });
  EXPECT_EQ(refused.first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(refused.second, HasSubstr("/dev/vfio/vfio"));
  std::filesystem::remove_all(root_ / "sys/kernel/iommu_groups");
  refused = refusal([&] { bus_->require_assignment(); });
  EXPECT_EQ(refused.first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(refused.second, HasSubstr("IOMMU"));
}

TEST_F(PciBusTest, TakesADeviceAndGivesItBack) {
  bus_->bind_to_vfio(bus_->look(at("0000:01:00.0")));
  EXPECT_EQ(bus_->driver("0000:01:00.0"), "vfio-pci");
  bus_->bind_to_vfio(bus_->look(at("0000:01:00.0")));
  bus_->give_back(at("0000:01:00.0"), "nvme");
  EXPECT_EQ(bus_->driver("0000:01:00.0"), "nvme");
  // It is there already.
  bus_->written.clear();
  bus_->give_back(at("0000:01:00.0"), "nvme");
  EXPECT_EQ(bus_->driver("0000:01:00.0"), "nvme");
  EXPECT_THAT(bus_->written, testing::Not(testing::Contains(HasSubstr("unbind"))));
}

TEST_F(PciBusTest, GivesOneThatNobodyHadBackToNobody) {
  bus_->bind_to_vfio(bus_->look(at("0000:01:00.1")));
  EXPECT_EQ(bus_->driver("0000:01:00.1"), "vfio-pci");
  bus_->give_back(at("0000:01:00.1"), "");
  EXPECT_EQ(bus_->driver("0000:01:00.1"), "");
}

TEST_F(PciBusTest, GivesBackWhatVfioDoesNotTake) {
  bus_->stubborn.insert("0000:01:00.0");
  EXPECT_EQ(refusal([&] { bus_->bind_to_vfio(bus_->look(at("0000:01:00.0"))); }).first,
            VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(bus_->driver("0000:01:00.0"), "nvme");
}

TEST(PciAddress, IsReadAsItIsWritten) {
  EXPECT_EQ(config::format_pci_address(config::parse_pci_address("0002:a1:1f.7").value()), "0002:a1:1f.7");
  for (const char* text :
       {"", "0000:00:20.0", "0000:00:00.8", "0000-00:00.0", "0000:00:00.0 ", "000g:00:00.0"})
    EXPECT_FALSE(config::parse_pci_address(text)) << text;
}

TEST_F(PciBusTest, AVirtualFunctionIsKnownByItsPhysicalOne) {
  bus_->add("0000:05:00.0", 8, "igb");
  bus_->add("0000:05:10.0", 9, "igbvf");
  bus_->add("0000:05:10.2", 10, "igbvf");
  bus_->add_function("0000:05:00.0", "enp5s0", 0, "0000:05:10.0");
  bus_->add_function("0000:05:00.0", "enp5s0", 1, "0000:05:10.2");
  const VirtualFunction second = bus_->virtual_function(at("0000:05:10.2"));
  EXPECT_EQ(second.device, "enp5s0");
  EXPECT_EQ(second.index, 1u);
  const auto whole = refusal([&] { bus_->virtual_function(at("0000:05:00.0")); });
  EXPECT_EQ(whole.first, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(whole.second, HasSubstr("0000:05:00.0 cannot be an interface of type hostdev"));
  std::filesystem::remove_all(root_ / "sys/bus/pci/devices/0000:05:00.0/net");
  EXPECT_THAT(refusal([&] { bus_->virtual_function(at("0000:05:10.2")); }).second, HasSubstr("driver bound"));
}

}  // namespace
}  // namespace warren::driver::host
