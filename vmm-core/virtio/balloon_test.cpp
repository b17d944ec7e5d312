// What the balloon does beyond what every device does: pages, statistics, reports, and who is told.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kBuffers = FakeGuest::kBuffers, kRam = FakeGuest::kRamSize;
constexpr std::uint64_t kDevice = FakeGuest::kDevice;

class BalloonTest : public testing::Test {
 protected:
  void start(std::uint64_t features = ~std::uint64_t{0}) {
    ASSERT_TRUE(guest_.start(features & (BalloonHost::kStatistics | BalloonHost::kReporting |
                                         BalloonHost::kPoison | BalloonHost::kOutOfMemory)));
  }
  void list_pages(const std::vector<std::uint32_t>& pages) {
    for (std::size_t i = 0; i < pages.size(); ++i)
      ASSERT_TRUE(guest_.memory().write_object({kBuffers + 4 * i}, pages[i]));
  }
  void fill(std::uint64_t page) {
    ASSERT_TRUE(guest_.memory().write_object({page * 4096}, std::uint64_t{0xfeed}));
  }
  bool is_zero(std::uint64_t page) {
    return guest_.memory().read_object<std::uint64_t>({page * 4096}) == std::uint64_t{0};
  }
  void give_statistics(const std::vector<std::pair<std::uint16_t, std::uint64_t>>& list) {
    std::uint64_t at = kBuffers;
    for (const auto& [tag, value] : list) {
      ASSERT_TRUE(guest_.memory().write_object({at}, tag) && guest_.memory().write_object({at + 2}, value));
      at += 10;
    }
    guest_.queue(2).offer({{kBuffers, static_cast<std::uint32_t>(at - kBuffers), false}});
    guest_.kick(2);
  }
  BalloonCounters& counters() { return host_.counters(); }

  BalloonHost host_;
  FakeGuest guest_{host_.make_device(), host_.guest_memory()};
};

TEST_F(BalloonTest, OffersWhatItIsGiven) {
  EXPECT_EQ(guest_.offered() & 0x3f, BalloonHost::kStatistics | BalloonHost::kReporting |
                                         BalloonHost::kPoison | BalloonHost::kOutOfMemory);
  EventThread thread("plain");
  BalloonCounters counters{};
  Balloon plain("plain", *host_.guest_memory(), {}, counters, {&thread});
  EXPECT_EQ(plain.features(), BalloonHost::kStatistics);
  EXPECT_EQ(plain.queue_count(), 3);
  EXPECT_EQ(counters.actual_bytes, kRam);
}

TEST_F(BalloonTest, InflatingGivesPagesToTheHostInAnyOrder) {
  start();
  for (const std::uint64_t page : {0x380u, 0x381u, 0x382u, 0x390u, 0x392u}) fill(page);
  list_pages({0x382, 0x381, 0x380, 0x392});
  ASSERT_TRUE(guest_.request(0, {{kBuffers, 10, false}, {kBuffers + 10, 6, false}})) << "in two pieces";
  for (const std::uint64_t page : {0x380u, 0x381u, 0x382u, 0x392u}) EXPECT_TRUE(is_zero(page)) << page;
  EXPECT_FALSE(is_zero(0x390));
  EXPECT_EQ(counters().inflated_pages, 4U);
  fill(0x380);
  ASSERT_TRUE(guest_.request(1, {{kBuffers, 16, false}}));
  EXPECT_EQ(counters().deflated_pages, 4U);
  EXPECT_FALSE(is_zero(0x380)) << "deflating changes nothing";
  EXPECT_EQ(counters().malformed, 0U);
}

// T6: numbers that name no RAM, or overflow, are counted and no more.
TEST_F(BalloonTest, T6PagesThatAreNoRamAreRefused) {
  start();
  fill(0x3ff);
  list_pages({0xffff'ffff, kRam / 4096, 0xfee00, 0x3ff});
  ASSERT_TRUE(guest_.request(0, {{kBuffers, 19, false}}));
  EXPECT_EQ(counters().inflated_pages, 1U);
  EXPECT_EQ(counters().malformed, 4U) << "three pages, and three bytes that are no number";
  EXPECT_TRUE(is_zero(0x3ff));
}

TEST_F(BalloonTest, TheTargetIsToldAndTheDriverSaysHowFarItCame) {
  start();
  EXPECT_EQ(guest_.get<std::uint32_t>(kDevice), 0U);
  host_.device().set_target(kRam - 8 * 4096);
  EXPECT_EQ(guest_.get<std::uint32_t>(kDevice), 8U);
  EXPECT_EQ(guest_.get<std::uint8_t>(FakeGuest::kIsr), 2U) << "the configuration has changed";
  guest_.set<std::uint32_t>(kDevice + 4, 5);
  guest_.set<std::uint32_t>(kDevice + 4, 5);
  EXPECT_EQ(counters().actual_bytes, kRam - 5 * 4096);
  EXPECT_EQ(host_.changes(), 1U);
  guest_.set<std::uint32_t>(kDevice + 4, 0xffff'ffff);
  EXPECT_EQ(counters().actual_bytes, 0U) << "no more than there is";
  guest_.set<std::uint32_t>(kDevice, 77);
  EXPECT_EQ(guest_.get<std::uint32_t>(kDevice), 8U) << "the target is the device's";
  host_.device().set_target(~std::uint64_t{0});
  EXPECT_EQ(guest_.get<std::uint32_t>(kDevice), 0U);
  guest_.reset();
  EXPECT_EQ(counters().actual_bytes, kRam) << "a new driver has no balloon";
}

TEST_F(BalloonTest, StatisticsComeWhenTheyAreWanted) {
  start();
  give_statistics({{4, 100}, {5, 200}, {60000, 1}, {0, 7}});
  ASSERT_TRUE(FakeGuest::eventually([&] { return counters().statistics_time != 0U; }));
  EXPECT_EQ(counters().statistics[4], 100U);
  EXPECT_EQ(counters().statistics[5], 200U);
  EXPECT_EQ(counters().statistics_present, 0b110001U) << "a tag that is not known is left out";
  EXPECT_FALSE(guest_.wait_used(2, 30)) << "nobody asked for more";
  host_.device().set_statistics_period(1);
  ASSERT_TRUE(guest_.wait_used(2)) << "at once";
  give_statistics({{4, 101}});
  ASSERT_TRUE(FakeGuest::eventually([&] { return counters().statistics[4] == 101U; }));
  EXPECT_EQ(counters().statistics_present, 0b010000U);
  ASSERT_TRUE(guest_.wait_used(2)) << "and again after a second";
  host_.device().set_statistics_period(0);
  give_statistics({{4, 102}});
  EXPECT_FALSE(guest_.wait_used(2, 1200));
}

// T3, T8: a buffer of odd length, one that is far too long, and two at a time.
TEST_F(BalloonTest, T8StatisticsOfAnyLengthAreTaken) {
  start();
  guest_.queue(2).offer({{kBuffers, 65536, false}, {kBuffers, 3, false}});
  guest_.queue(2).offer({{kBuffers, 7, false}});
  guest_.kick(2);
  ASSERT_TRUE(guest_.wait_used(2)) << "the first one goes back";
  EXPECT_FALSE(guest_.wait_used(2, 30));
  EXPECT_TRUE(host_.works(guest_));
}

TEST_F(BalloonTest, PausingHandsTheStatisticsBufferBack) {
  start();
  give_statistics({{4, 1}});
  ASSERT_TRUE(FakeGuest::eventually([&] { return counters().statistics_time != 0U; }));
  guest_.transport().pause();
  EXPECT_TRUE(guest_.wait_used(2)) << "or whoever goes on could never ask again";
  guest_.transport().resume();
}

TEST_F(BalloonTest, ReportedPagesAreTheHostsUntilTheyAreUsed) {
  start();
  for (const std::uint64_t page : {0x380u, 0x381u, 0x390u}) fill(page);
  const auto used = guest_.request(3, {{0x380 * 4096, 8192, true}, {0x390 * 4096 + 64, 4096, true}});
  ASSERT_TRUE(used);
  EXPECT_EQ(used->length, 0U);
  EXPECT_TRUE(is_zero(0x380) && is_zero(0x381));
  EXPECT_FALSE(is_zero(0x390)) << "half a page is the guest's still";
  EXPECT_EQ(counters().reported_bytes, 8192U);
}

TEST_F(BalloonTest, PoisonedPagesStayWithTheGuest) {
  start();
  guest_.set<std::uint32_t>(kDevice + 12, 0xaaaa'aaaa);
  fill(0x380);
  ASSERT_TRUE(guest_.request(3, {{0x380 * 4096, 4096, true}}));
  EXPECT_FALSE(is_zero(0x380)) << "zeros are not what the driver expects to find";
  EXPECT_EQ(counters().reported_bytes, 0U);
  guest_.reset();
  start();
  ASSERT_TRUE(guest_.request(3, {{0x380 * 4096, 4096, true}}));
  EXPECT_TRUE(is_zero(0x380)) << "a new driver has said nothing of poison";
}

}  // namespace
}  // namespace warren::vmm::virtio
