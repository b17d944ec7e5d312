// What the cache mode of a SATA disk has the host asked for, and what the guest is told of its cache.
#include <gtest/gtest.h>

#include "vmm-core/block/faulty_calls.h"
#include "vmm-core/devices/ahci_fake_driver.h"

namespace warren::vmm::ahci {
namespace {

using Flush = block::DiskOptions::Flush;
constexpr unsigned kDisk = FakeDriver::kDisk;
constexpr std::uint64_t kData = FakeDriver::kData;
constexpr std::uint8_t kWriteDmaExt = 0x35, kWriteDmaFuaExt = 0x3d, kFlushCacheExt = 0xea,
                       kSetFeatures = 0xef;

class AhciCacheTest : public testing::TestWithParam<bool> {
 protected:
  void make(Flush flush) {
    driver_ = std::make_unique<FakeDriver>(block::DiskOptions{.flush = flush}, GetParam());
    driver_->start(kDisk);
    block::plan_no_faults();
    block::take_trace();
  }
  // What the host was asked for by a write of one sector.
  std::string write(std::uint8_t command = kWriteDmaExt) {
    EXPECT_EQ(driver_->run(kDisk, FakeDriver::frame(command, 8, 1), {{kData, 512}}, true) & 0xff, ata::kIdle);
    return block::take_trace();
  }
  std::string flush() {
    EXPECT_EQ(driver_->run(kDisk, FakeDriver::frame(kFlushCacheExt)) & 0xff, ata::kIdle);
    return block::take_trace();
  }
  void set_cache(std::uint8_t feature) {
    ata::CommandFrame frame = FakeDriver::frame(kSetFeatures);
    frame.features_low = feature;
    EXPECT_EQ(driver_->run(kDisk, frame) & 0xff, ata::kIdle);
    block::take_trace();
  }
  // Word 85 of IDENTIFY DEVICE (ACS-2 §7.16).
  bool tells_of_cache() {
    EXPECT_EQ(driver_->run(kDisk, FakeDriver::frame(ata::kIdentifyDevice), {{kData, 512}}) & 0xff,
              ata::kIdle);
    return (driver_->data<std::uint16_t>(85 * 2) & 1 << 5) != 0;
  }

  std::unique_ptr<FakeDriver> driver_;
};

TEST_P(AhciCacheTest, ACacheIsWrittenBackWhenTheGuestSaysSo) {
  make(Flush::honour);
  EXPECT_TRUE(tells_of_cache());
  EXPECT_EQ(write(), "w");
  EXPECT_EQ(flush(), "s");
  EXPECT_EQ(write(kWriteDmaFuaExt), "ws");
  set_cache(0x82);
  EXPECT_FALSE(tells_of_cache());
  EXPECT_EQ(write(), "ws");
  set_cache(0x02);
  EXPECT_EQ(write(), "w");
}

TEST_P(AhciCacheTest, AWriteThroughIsSyncedAtOnce) {
  make(Flush::always);
  EXPECT_FALSE(tells_of_cache());
  EXPECT_EQ(write(), "ws");
  set_cache(0x02);
  EXPECT_FALSE(tells_of_cache());
  EXPECT_EQ(write(), "ws");
}

TEST_P(AhciCacheTest, UnsafeSyncsNothing) {
  make(Flush::ignore);
  EXPECT_EQ(write(), "w");
  EXPECT_EQ(write(kWriteDmaFuaExt), "w");
  EXPECT_EQ(flush(), "");
}

INSTANTIATE_TEST_SUITE_P(All, AhciCacheTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "uring" : "threads"; });

}  // namespace
}  // namespace warren::vmm::ahci
