#include "vmm-core/devices/tco_watchdog.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kReload = 0x00, kStatus1 = 0x04, kStatus2 = 0x06, kControl1 = 0x08, kPreload = 0x12;
constexpr std::uint16_t kHalt = 1 << 11, kTimeout = 1 << 3, kSecondTimeout = 1 << 1;
constexpr std::uint64_t kTick = 5'000'000;  // instead of 0.6 s

class TcoWatchdogTest : public testing::Test {
 protected:
  template <typename T>
  T get(std::uint64_t offset) {
    T value{};
    device_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void set(std::uint64_t offset, T value) {
    device_.write(offset, std::as_bytes(std::span(&value, 1)));
  }
  std::uint32_t general_control() {
    std::uint32_t value = 0;
    device_.general_control().read(0, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void set_general_control(std::uint32_t value) {
    device_.general_control().write(0, std::as_bytes(std::span(&value, 1)));
  }
  // As Linux's iTCO_wdt does it.
  void begin(std::uint16_t ticks) {
    set_general_control(general_control() & ~0x20u);
    set(kPreload, ticks);
    set<std::uint16_t>(kReload, 1);
    set(kControl1, static_cast<std::uint16_t>(get<std::uint16_t>(kControl1) & ~kHalt));
  }
  void sleep(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }
  bool expires(int times = 1) {
    for (int i = 0; i < 2000 && expired_.load() < times; ++i) sleep(5);
    return expired_.load() >= times;
  }

  EventThread thread_{"watchdog-test"};
  std::atomic<int> expired_{0};
  TcoWatchdog device_{"watchdog0", thread_, [this] { ++expired_; }, kTick};
};

TEST_F(TcoWatchdogTest, BeginsHaltedAndWithoutConsequences) {
  EXPECT_EQ(general_control(), 0x20u);
  EXPECT_EQ(get<std::uint16_t>(kControl1), kHalt);
  EXPECT_EQ(get<std::uint16_t>(kPreload), 4);
  EXPECT_EQ(get<std::uint16_t>(kStatus2), 0);
  set<std::uint16_t>(kReload, 1);
  sleep(80);
  EXPECT_EQ(get<std::uint16_t>(kStatus1), 0);
}

TEST_F(TcoWatchdogTest, ExpiresAtTheSecondTimeout) {
  const auto began = std::chrono::steady_clock::now();
  begin(10);
  ASSERT_TRUE(expires());
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(99));
  EXPECT_EQ(get<std::uint16_t>(kStatus1), kTimeout);
  EXPECT_EQ(get<std::uint16_t>(kStatus2) & kSecondTimeout, kSecondTimeout);
  sleep(150);
  EXPECT_EQ(expired_, 1) << "once";
  EXPECT_EQ(get<std::uint16_t>(kReload), 0);
  device_.reset();
  EXPECT_EQ(get<std::uint16_t>(kStatus2) & kSecondTimeout, kSecondTimeout) << "kept over the reset";
  set<std::uint16_t>(kStatus2, 6);
  EXPECT_EQ(get<std::uint16_t>(kStatus2), 0);
  begin(10);
  EXPECT_TRUE(expires(2));
}

TEST_F(TcoWatchdogTest, AGuestThatReloadsIsLeftAlone) {
  begin(60);
  for (int i = 0; i < 40; ++i) {
    sleep(20);
    set<std::uint16_t>(kReload, 1);
  }
  EXPECT_EQ(expired_, 0);
  EXPECT_GT(get<std::uint16_t>(kReload), 0);
  EXPECT_LE(get<std::uint16_t>(kReload), 60);
  set(kControl1, kHalt);
  sleep(700);
  EXPECT_EQ(expired_, 0) << "it was halted";
}

TEST_F(TcoWatchdogTest, WithNoRebootItOnlySaysSo) {
  begin(6);
  set_general_control(0x20);
  for (int i = 0; i < 400 && get<std::uint16_t>(kStatus2) == 0; ++i) sleep(5);
  EXPECT_EQ(get<std::uint16_t>(kStatus2), kSecondTimeout);
  EXPECT_EQ(expired_, 0);
}

TEST_F(TcoWatchdogTest, PreloadsBelowTheFewestCountAsThose) {
  const auto began = std::chrono::steady_clock::now();
  begin(0);
  ASSERT_TRUE(expires());
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(39));
  set<std::uint16_t>(kPreload, 0xffff);
  EXPECT_EQ(get<std::uint16_t>(kPreload), 0x3ff);
}

TEST_F(TcoWatchdogTest, TimeStandsStillWhilePaused) {
  begin(20);
  device_.pause();
  sleep(300);
  EXPECT_EQ(expired_, 0);
  const auto state = device_.save();
  EXPECT_GT(state.left_nanoseconds, 0u);
  device_.resume();
  EXPECT_TRUE(expires());
}

// T21: saved states are somebody's file.
TEST_F(TcoWatchdogTest, T21StateIsRestoredWhenItCanBe) {
  begin(100);
  device_.pause();
  const auto state = device_.save();
  device_.reset();
  device_.restore(state);
  device_.resume();
  EXPECT_EQ(get<std::uint16_t>(kPreload), 100);
  EXPECT_TRUE(expires());
  for (auto spoil : std::initializer_list<void (*)(TcoWatchdog::State&)>{
           [](auto& s) { s.version = 2; }, [](auto& s) { s.preload = 0x400; },
           [](auto& s) { s.timeouts = 3; }, [](auto& s) { s.status1 = 1; }, [](auto& s) { s.control1 = 1; },
           [](auto& s) { s.left_nanoseconds = 0x400 * kTick; }}) {
    auto hostile = state;
    spoil(hostile);
    EXPECT_THROW(device_.restore(hostile), Error);
  }
}

}  // namespace
}  // namespace warren::vmm
