#include "vmm-core/devices/real_time_clock.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm {
namespace {

constexpr RealTimeClock::Nanoseconds kSecond = 1'000'000'000;
// 2024-02-29 23:59:58 UTC, a Thursday.
constexpr RealTimeClock::Nanoseconds kLeapDay = 1'709'251'198 * kSecond;

class RealTimeClockTest : public testing::Test {
 protected:
  std::uint8_t get(unsigned index) {
    select(index);
    std::byte byte{};
    clock_.read(1, {&byte, 1});
    return std::to_integer<std::uint8_t>(byte);
  }
  void set(unsigned index, unsigned value) {
    select(index);
    const auto byte = static_cast<std::byte>(value);
    clock_.write(1, {&byte, 1});
  }
  void select(unsigned index) {
    const auto byte = static_cast<std::byte>(index);
    clock_.write(0, {&byte, 1});
  }

  bool line_ = false;
  RealTimeClock::Nanoseconds host_ = kLeapDay;
  RealTimeClock clock_{std::make_unique<pci::FakeLine>(line_), [this] { return host_; }, 0, [] {}};
};

TEST_F(RealTimeClockTest, ShowsTheTimeInBcdAndTheLeapDayEnds) {
  EXPECT_EQ(get(0x32), 0x20);
  EXPECT_EQ(get(9), 0x24);
  EXPECT_EQ(get(8), 0x02);
  EXPECT_EQ(get(7), 0x29);
  EXPECT_EQ(get(6), 5) << "Thursday, Sunday being 1";
  EXPECT_EQ(get(4), 0x23);
  EXPECT_EQ(get(2), 0x59);
  EXPECT_EQ(get(0), 0x58);
  host_ += 2 * kSecond;
  EXPECT_EQ(get(8), 0x03);
  EXPECT_EQ(get(7), 0x01);
  EXPECT_EQ(get(4), 0x00);
}

// Found by the fuzz target: the difference does not fit.
TEST_F(RealTimeClockTest, TheHostsClockGoesFromTheFirstTimeToTheLast) {
  set(0xa, 0x26);
  set(0xb, 0x42);
  host_ = std::numeric_limits<RealTimeClock::Nanoseconds>::min();
  get(0xc);
  host_ = std::numeric_limits<RealTimeClock::Nanoseconds>::max();
  EXPECT_EQ(get(0xc) & 0x40, 0x40);
}

TEST_F(RealTimeClockTest, TwelveHourAndBinaryModes) {
  set(0xb, 0x04);
  EXPECT_EQ(get(4), 0x80 | 11);
  EXPECT_EQ(get(0), 58);
  host_ += 43'202 * kSecond;  // to noon
  EXPECT_EQ(get(4), 0x80 | 12);
  host_ -= 43'202 * kSecond;
  set(0xb, 0x06);
  EXPECT_EQ(get(4), 23);
}

TEST_F(RealTimeClockTest, ATimeSetUnderSetIsKeptAndGoesOn) {
  set(0xb, 0x82);
  set(0, 0x30);
  set(2, 0x15);
  set(4, 0x08);
  set(7, 0x04);
  set(8, 0x07);
  set(9, 0x31);
  set(0x32, 0x20);
  host_ += 5 * kSecond;
  EXPECT_EQ(get(0), 0x30) << "it stands still";
  set(0xb, 0x02);
  host_ += 3 * kSecond;
  EXPECT_EQ(get(0), 0x33);
  EXPECT_EQ(get(4), 0x08);
  EXPECT_EQ(get(9), 0x31);
}

TEST_F(RealTimeClockTest, WhoWatchesIsToldOnceOfATimeThatWasSet) {
  std::vector<RealTimeClock::Nanoseconds> told;
  clock_.set_observer([&](RealTimeClock::Nanoseconds offset) { told.push_back(offset / kSecond); });
  get(0);
  set(0xb, 0x02);
  EXPECT_TRUE(told.empty()) << "no time was set";
  set(0xb, 0x82);
  set(4, 0x22);  // an hour earlier
  set(2, 0x58);  // and a minute
  EXPECT_TRUE(told.empty()) << "the clock stands still until all is written";
  set(0xb, 0x02);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], -3660);
  set(2, 0x59);  // without stopping it
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1], -3600);
  const auto state = clock_.save();
  clock_.restore(state);
  set(0xb, 0x02);
  EXPECT_EQ(told.size(), 2u) << "a restored clock was not set by its guest";
}

TEST_F(RealTimeClockTest, UpdateInProgressIsSeenOnlyBeforeTheSecondEnds) {
  EXPECT_EQ(get(0xa) & 0x80, 0);
  host_ += kSecond - 100'000;
  EXPECT_EQ(get(0xa) & 0x80, 0x80);
}

TEST_F(RealTimeClockTest, TheAlarmInterruptsOnceAtItsTime) {
  set(1, 0x00);
  set(3, 0x00);
  set(5, 0x00);
  set(0xb, 0x22);
  get(0xc);
  ASSERT_TRUE(clock_.next_tick());
  host_ += kSecond;
  clock_.tick();
  EXPECT_FALSE(line_);
  host_ += kSecond;
  clock_.tick();
  EXPECT_TRUE(line_);
  EXPECT_EQ(get(0xc) & 0xa0, 0xa0);
  EXPECT_FALSE(line_);
  host_ += kSecond;
  clock_.tick();
  EXPECT_FALSE(line_);
}

TEST_F(RealTimeClockTest, AnAlarmThatRingsIsToldOfIfItIsEnabled) {
  int rung = 0;
  clock_.set_alarm_observer([&rung] { ++rung; });
  for (unsigned index : {1u, 3u, 5u}) set(index, 0xff);  // every second
  host_ += kSecond;
  clock_.tick();
  EXPECT_EQ(rung, 0);
  set(0xb, 0x22);
  host_ += kSecond;
  clock_.tick();
  EXPECT_EQ(rung, 1);
  clock_.tick();
  EXPECT_EQ(rung, 1);
}

TEST_F(RealTimeClockTest, DontCareAlarmsMatchEverything) {
  set(1, 0xff);
  set(3, 0xc0);
  set(5, 0xff);
  set(0xb, 0x22);
  get(0xc);
  host_ += kSecond;
  clock_.tick();
  EXPECT_TRUE(line_);
}

TEST_F(RealTimeClockTest, PeriodicAndUpdateInterrupts) {
  set(0xa, 0x26);  // 1024 Hz
  set(0xb, 0x42);
  get(0xc);
  ASSERT_TRUE(clock_.next_tick());
  EXPECT_LE(*clock_.next_tick(), 976'563);
  host_ += 976'563;
  clock_.tick();
  EXPECT_TRUE(line_);
  EXPECT_EQ(get(0xc) & 0x40, 0x40);
  set(0xb, 0x12);
  host_ += kSecond;
  clock_.tick();
  EXPECT_TRUE(line_);
  set(0xb, 0x02);
  EXPECT_FALSE(clock_.next_tick()) << "nothing to wake for";
}

// Ticks that fell due while one was not acknowledged: one in all, or one after the other.
TEST_F(RealTimeClockTest, MissedTicksAreMergedOrCaughtUpWith) {
  for (const auto policy : {RealTimeClock::MissedTicks::merge, RealTimeClock::MissedTicks::catch_up}) {
    RealTimeClock clock(std::make_unique<pci::FakeLine>(line_), [this] { return host_; }, 0, [] {}, policy);
    const auto write = [&clock](std::uint8_t index, std::uint8_t value) {
      const std::byte bytes[] = {std::byte{index}, std::byte{value}};
      clock.write(0, bytes);
    };
    const auto acknowledge = [&clock] {
      const std::byte index{0xc};
      clock.write(0, {&index, 1});
      std::byte flags{};
      clock.read(1, {&flags, 1});
      return (std::to_integer<unsigned>(flags) & 0x40) != 0;
    };
    write(0xa, 0x26);  // 1024 Hz
    write(0xb, 0x42);
    acknowledge();
    host_ += kSecond / 1024 * 5;
    clock.tick();
    const unsigned expected = policy == RealTimeClock::MissedTicks::merge ? 1 : 5;
    unsigned ticks = 0;
    while (line_ && ticks < 100) ticks += acknowledge() ? 1u : 0u;
    EXPECT_GE(ticks, expected - (expected > 1 ? 1u : 0u));  // the edge of a period lies where it lies
    EXPECT_LE(ticks, expected + (expected > 1 ? 1u : 0u));
    host_ += 3600 * kSecond;
    clock.tick();
    EXPECT_TRUE(acknowledge());
    EXPECT_FALSE(line_) << "a pause is not made up for";
    host_ += kSecond / 1024 * 5;
    clock.tick();
    write(0xb, 0x02);
    acknowledge();
    write(0xb, 0x42);
    EXPECT_FALSE(line_) << "switched off, nothing is owed";
  }
}

TEST_F(RealTimeClockTest, RamIsKeptOverAResetAndInterruptsAreNot) {
  set(0x40, 0xab);
  set(0xb, 0x72);
  clock_.reset();
  EXPECT_EQ(get(0x40), 0xab);
  EXPECT_EQ(get(0xb), 0x02);
  EXPECT_EQ(get(0xd), 0x80);
}

// T25: the host's clock jumps back; nothing fires twice and nothing waits for ever.
TEST_F(RealTimeClockTest, T25AHostClockThatJumps) {
  set(0xb, 0x12);
  get(0xc);
  host_ -= 3600 * kSecond;
  clock_.tick();
  EXPECT_FALSE(line_);
  EXPECT_EQ(get(4), 0x22);
  host_ += 2 * 86400 * kSecond;  // a laptop's lid
  clock_.tick();
  EXPECT_TRUE(line_);
  host_ -= 86400 * kSecond;
  get(0xc);
  clock_.tick();
  host_ += 2 * kSecond;
  clock_.tick();
  EXPECT_TRUE(line_) << "updates go on after the clock went back";
}

// Years that nanoseconds since 1970 cannot hold.
TEST_F(RealTimeClockTest, T5CenturiesFarAwayDoNotOverflow) {
  for (const unsigned mode : {0x02u, 0x06u}) {
    for (unsigned century = 0; century < 256; ++century) {
      set(0xb, mode);
      set(0x32, century);
      set(0xb, 0x80 | mode);
      set(0x32, century);
      set(9, 0xff);
      set(0xb, mode);
      host_ += kSecond;
      clock_.tick();
      get(0);
    }
  }
}

TEST_F(RealTimeClockTest, T21StatesWithImpossibleTimesAreBounded) {
  for (const auto extreme : {std::numeric_limits<RealTimeClock::Nanoseconds>::min(),
                             std::numeric_limits<RealTimeClock::Nanoseconds>::max()}) {
    auto state = clock_.save();
    state.offset = extreme;
    state.checked_until = extreme;
    state.index = 0xff;
    clock_.restore(state);
    set(0xb, 0x72);
    clock_.tick();
    static_cast<void>(clock_.next_tick());
    get(9);
  }
}

}  // namespace
}  // namespace warren::vmm
