#include "vmm-core/devices/i6300esb_watchdog.h"

#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kBar = 0xe000'0000;
constexpr std::uint16_t kConfiguration = 0x60, kLock = 0x68;
constexpr std::uint16_t kFastClock = 1 << 2, kNoReset = 1 << 5, kInterruptOff = 3;
constexpr std::uint8_t kLocked = 1, kEnabled = 2, kFreeRunning = 4;
constexpr std::uint16_t kReload = 1 << 8, kTimedOut = 1 << 9;
constexpr std::uint32_t kMillisecond = 1;  // of ticks of the slow clock, nearly

class WatchdogTest : public testing::Test {
 protected:
  void SetUp() override { plug(); }
  void plug() {
    device_.reset();
    device_ = std::make_unique<I6300esbWatchdog>("watchdog0", pci::Place{memory_, ports_, nullptr}, thread_,
                                                 [this] { ++expired_; });
    device_->place_bar(0, kBar);
    device_->enable_decoding();
  }

  template <typename T>
  T get(std::uint64_t offset) {
    T value{};
    memory_.read(kBar + offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void set(std::uint64_t offset, T value) {
    memory_.write(kBar + offset, std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  T config(std::uint16_t offset) {
    T value{};
    device_->config_read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void set_config(std::uint16_t offset, T value) {
    device_->config_write(offset, std::as_bytes(std::span(&value, 1)));
  }
  void unlock() {
    set<std::uint16_t>(0xc, 0x80);
    set<std::uint16_t>(0xc, 0x86);
  }
  void set_stages(std::uint32_t first, std::uint32_t second) {
    unlock();
    set(0, first);
    unlock();
    set(4, second);
  }
  void reload(std::uint16_t what = kReload) {
    unlock();
    set(0xc, what);
  }
  void sleep(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }
  bool expires(int times = 1) {
    for (int i = 0; i < 2000 && expired_.load() < times; ++i) sleep(5);
    return expired_.load() >= times;
  }

  AddressSpace memory_{"mmio", ~std::uint64_t{0}}, ports_{"ports", 0xffff};
  EventThread thread_{"watchdog-test"};
  std::atomic<int> expired_{0};
  std::unique_ptr<I6300esbWatchdog> device_;
};

TEST_F(WatchdogTest, IsTheChipThatDriversLookFor) {
  EXPECT_EQ(config<std::uint32_t>(0), 0x25ab8086U);
  EXPECT_EQ(config<std::uint16_t>(0xa), 0x0880);
  EXPECT_EQ(config<std::uint16_t>(kConfiguration), 0);
  EXPECT_EQ(config<std::uint8_t>(kLock), 0);
  EXPECT_EQ(get<std::uint32_t>(0), 0xfffffU);
  EXPECT_EQ(get<std::uint32_t>(4), 0xfffffU);
}

TEST_F(WatchdogTest, ExpiresWhenBothStagesHaveEnded) {
  set_config<std::uint16_t>(kConfiguration, kInterruptOff);
  set_stages(40 * kMillisecond, 40 * kMillisecond);
  const auto began = std::chrono::steady_clock::now();
  set_config(kLock, kEnabled);
  ASSERT_TRUE(expires());
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(79));
  EXPECT_EQ(get<std::uint16_t>(0xc), kTimedOut);
  sleep(120);
  EXPECT_EQ(expired_, 1) << "once";
  reload(kTimedOut | kReload);
  EXPECT_EQ(get<std::uint16_t>(0xc), 0);
  EXPECT_TRUE(expires(2)) << "and again when the guest is back";
}

TEST_F(WatchdogTest, AGuestThatReloadsIsLeftAlone) {
  set_stages(300 * kMillisecond, 300 * kMillisecond);
  set_config(kLock, kEnabled);
  for (int i = 0; i < 40; ++i) {
    sleep(20);
    reload();
  }
  EXPECT_EQ(expired_, 0);
  set_config<std::uint8_t>(kLock, 0);
  sleep(700);
  EXPECT_EQ(expired_, 0) << "it was turned off";
}

TEST_F(WatchdogTest, WithoutTheUnlockSequenceNothingIsWritten) {
  set<std::uint32_t>(0, 5);
  EXPECT_EQ(get<std::uint32_t>(0), 0xfffffU);
  set<std::uint16_t>(0xc, 0x86);
  set<std::uint32_t>(0, 5);
  EXPECT_EQ(get<std::uint32_t>(0), 0xfffffU);
  unlock();
  set<std::uint32_t>(0, 0xffff'fff5);
  EXPECT_EQ(get<std::uint32_t>(0), 0xffff5U) << "20 bits";
  set<std::uint32_t>(4, 6);
  EXPECT_EQ(get<std::uint32_t>(4), 0xfffffU) << "the sequence is for one register";
}

TEST_F(WatchdogTest, LockedItCanOnlyBeReset) {
  set_stages(400 * kMillisecond, 400 * kMillisecond);
  set_config<std::uint8_t>(kLock, kLocked | kEnabled);
  set_config<std::uint8_t>(kLock, 0);
  EXPECT_EQ(config<std::uint8_t>(kLock), kLocked | kEnabled);
  device_->reset();
  EXPECT_EQ(config<std::uint8_t>(kLock), 0);
  sleep(900);
  EXPECT_EQ(expired_, 0);
}

TEST_F(WatchdogTest, TheGuestMayWantNoConsequences) {
  set_config<std::uint16_t>(kConfiguration, kNoReset | kFastClock);
  set_stages(1, 1);
  set_config(kLock, kEnabled);
  for (int i = 0; i < 400 && get<std::uint16_t>(0xc) == 0; ++i) sleep(5);
  EXPECT_EQ(get<std::uint16_t>(0xc), kTimedOut);
  EXPECT_EQ(get<std::uint32_t>(8), 1U) << "what its interrupt would have told";
  set<std::uint32_t>(8, 1);
  EXPECT_EQ(get<std::uint32_t>(8), 0U);
  EXPECT_EQ(expired_, 0);
}

TEST_F(WatchdogTest, RunningFreelyItExpiresAgainAndAgain) {
  set_stages(0xfffff, 20 * kMillisecond);
  set_config<std::uint8_t>(kLock, kEnabled | kFreeRunning);
  EXPECT_TRUE(expires(3)) << "the first stage is not there";
}

// T25: a guest that stands still is not expected to reload.
TEST_F(WatchdogTest, T25TimeStandsStillWhilePaused) {
  set_stages(100 * kMillisecond, 100 * kMillisecond);
  set_config(kLock, kEnabled);
  device_->pause();
  device_->pause();
  sleep(400);
  EXPECT_EQ(expired_, 0);
  device_->resume();
  EXPECT_TRUE(expires());
}

TEST_F(WatchdogTest, AnotherOneGoesOnFromASavedState) {
  set_stages(200 * kMillisecond, 50 * kMillisecond);
  set_config(kLock, kEnabled);
  device_->pause();
  const auto state = device_->save();
  EXPECT_EQ(state.stage, 1);
  EXPECT_GT(state.left_nanoseconds, 0U);
  plug();
  device_->pause();
  device_->restore(state);
  EXPECT_EQ(get<std::uint32_t>(0), 200U);
  EXPECT_EQ(config<std::uint8_t>(kLock), kEnabled);
  sleep(300);
  EXPECT_EQ(expired_, 0);
  device_->resume();
  EXPECT_TRUE(expires());
}

// T21: a saved state that cannot be is refused.
TEST_F(WatchdogTest, T21HostileStatesAreRefused) {
  device_->pause();
  const auto good = device_->save();
  auto bad = good;
  bad.stage = 3;
  EXPECT_THROW(device_->restore(bad), Error);
  bad = good;
  bad.preload[1] = 1 << 20;
  EXPECT_THROW(device_->restore(bad), Error);
  bad = good;
  bad.stage = 1;
  bad.left_nanoseconds = ~std::uint64_t{0};
  EXPECT_THROW(device_->restore(bad), Error);
  EXPECT_NO_THROW(device_->restore(good));
}

// T5: accesses of any width at any offset change nothing but what they may.
TEST_F(WatchdogTest, T5AccessesOfEveryWidth) {
  set_config<std::uint16_t>(kConfiguration, kNoReset);
  std::array<std::byte, 8> data{};
  for (std::uint64_t offset = 0; offset < 16; ++offset) {
    for (std::size_t size = 1; size <= 8 && offset + size <= 16; ++size) {
      for (const unsigned value : {0U, 0xffU, 0x80U, 0x86U}) {
        data.fill(static_cast<std::byte>(value));
        memory_.write(kBar + offset, std::span(data).first(size));
        memory_.read(kBar + offset, std::span(data).first(size));
      }
    }
  }
  for (std::uint16_t offset = 0x40; offset < 0x100; ++offset)
    for (const auto value : {std::uint8_t{0xff}, std::uint8_t{0}}) set_config(offset, value);
  plug();
  EXPECT_EQ(get<std::uint32_t>(0), 0xfffffU);
}

}  // namespace
}  // namespace warren::vmm
