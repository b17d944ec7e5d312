#include "vmm-core/devices/power_management.h"

#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm-core/devices/reset_control.h"
#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm {
namespace {

class PowerManagementTest : public testing::Test {
 protected:
  template <typename T>
  T in(unsigned offset) {
    T value{};
    power_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void out(unsigned offset, T value) {
    power_.write(offset, std::as_bytes(std::span(&value, 1)));
  }

  bool line_ = false;
  std::uint64_t now_ = 0;
  unsigned wakes_ = 0;
  std::vector<PowerManagement::SleepState> entered_;
  PowerManagement power_ = make({.s3 = true, .s4 = true});

  PowerManagement make(PowerManagement::SleepStates states) {
    return {std::make_unique<pci::FakeLine>(line_),
            [this] { return now_; },
            states,
            {.sleep = [this](PowerManagement::SleepState state) { entered_.push_back(state); },
             .wake = [this] { ++wakes_; }}};
  }
};

TEST_F(PowerManagementTest, TheButtonInterruptsWhenEnabledAndIsClearedByWritingOne) {
  EXPECT_FALSE(power_.press_power_button());
  EXPECT_FALSE(line_);
  out<std::uint16_t>(2, 0x100);
  EXPECT_TRUE(line_) << "pressed before it was enabled";
  out<std::uint16_t>(0, 0x100);
  EXPECT_TRUE(power_.press_power_button());
  EXPECT_TRUE(line_);
  EXPECT_EQ(in<std::uint16_t>(0), 0x100);
  out<std::uint16_t>(0, 0x001);
  EXPECT_TRUE(line_) << "another bit";
  out<std::uint16_t>(0, 0x100);
  EXPECT_FALSE(line_);
  EXPECT_EQ(in<std::uint16_t>(0), 0);
}

using enum PowerManagement::SleepState;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PowerManagementTest, SleepEnableEntersTheStatesThereAre) {
  out<std::uint16_t>(4, 5 << 10);
  EXPECT_THAT(entered_, IsEmpty());
  out<std::uint16_t>(4, (1 << 10) | (1 << 13));
  EXPECT_THAT(entered_, IsEmpty());
  out<std::uint16_t>(4, (3 << 10) | (1 << 13));
  out<std::uint16_t>(4, (4 << 10) | (1 << 13));
  out<std::uint16_t>(4, (5 << 10) | (1 << 13));
  EXPECT_THAT(entered_, ElementsAre(s3, s4, s5));
  EXPECT_EQ(in<std::uint16_t>(4) & (1 << 13), 0) << "SLP_EN reads as zero";
  EXPECT_EQ(in<std::uint16_t>(4) & 1, 1) << "SCI_EN";
}

TEST_F(PowerManagementTest, S5ByByteAccesses) {
  out<std::uint8_t>(5, (5 << 2) | (1 << 5));
  EXPECT_THAT(entered_, ElementsAre(s5));
}

TEST_F(PowerManagementTest, StatesThatAreDisabledAreNotEntered) {
  auto without = make({});
  for (const unsigned type : {3u, 4u}) {
    const auto value = static_cast<std::uint16_t>(type << 10 | 1 << 13);
    without.write(4, std::as_bytes(std::span(&value, 1)));
  }
  EXPECT_THAT(entered_, IsEmpty());
  EXPECT_FALSE(without.save().asleep);
}

TEST_F(PowerManagementTest, TheButtonWakesAndTheGuestIsToldSo) {
  power_.press_power_button();
  EXPECT_EQ(wakes_, 0u) << "it is awake";
  out<std::uint16_t>(0, 0xffff);
  out<std::uint16_t>(4, (3 << 10) | (1 << 13));
  EXPECT_FALSE(power_.wakes_guest());
  EXPECT_TRUE(power_.press_power_button()) << "enabled or not";
  EXPECT_EQ(wakes_, 1u);
  EXPECT_TRUE(power_.wakes_guest());
  power_.wake(power_.wake_events());
  EXPECT_EQ(in<std::uint16_t>(0), 0x8100) << "WAK_STS and PWRBTN_STS";
  EXPECT_FALSE(power_.wakes_guest());
  EXPECT_FALSE(line_) << "nothing is enabled after S3";
  out<std::uint16_t>(0, 0x8000);
  EXPECT_EQ(in<std::uint16_t>(0), 0x0100);
}

TEST_F(PowerManagementTest, OnlyAnAlarmThatWasEnabledWakes) {
  out<std::uint16_t>(4, (3 << 10) | (1 << 13));
  power_.note_alarm();
  EXPECT_EQ(wakes_, 0u);
  power_.wake(power_.wake_events());
  EXPECT_EQ(in<std::uint16_t>(0), 0x8100) << "as if the button had been pressed";
  out<std::uint16_t>(0, 0xffff);
  out<std::uint16_t>(2, 0x0400);
  out<std::uint16_t>(4, (3 << 10) | (1 << 13));
  power_.note_alarm();
  EXPECT_EQ(wakes_, 1u);
  power_.wake(power_.wake_events());
  EXPECT_EQ(in<std::uint16_t>(0), 0x8400) << "WAK_STS and RTC_STS";
}

TEST_F(PowerManagementTest, TheTimerRunsAtItsFrequencyAndWraps) {
  EXPECT_EQ(in<std::uint32_t>(8), 0u);
  now_ = 1'000'000'000;
  EXPECT_EQ(in<std::uint32_t>(8), 3'579'545u);
  now_ = std::uint64_t{1200} * 1'000'000'000;
  EXPECT_EQ(in<std::uint32_t>(8), static_cast<std::uint32_t>(std::uint64_t{3'579'545} * 1200));
  EXPECT_EQ(in<std::uint16_t>(10), static_cast<std::uint16_t>((std::uint64_t{3'579'545} * 1200) >> 16));
}

TEST_F(PowerManagementTest, StateIsRestored) {
  out<std::uint16_t>(2, 0x100);
  power_.press_power_button();
  const auto state = power_.save();
  power_.reset();
  EXPECT_FALSE(line_);
  power_.restore(state);
  EXPECT_TRUE(line_);
}

TEST(ResetControl, ActsWhenTheProcessorBitIsSet) {
  unsigned resets = 0;
  ResetControl control([&resets] { ++resets; });
  const auto out = [&control](unsigned value) {
    const auto byte = static_cast<std::byte>(value);
    control.write(0, {&byte, 1});
  };
  out(0x02);
  EXPECT_EQ(resets, 0u);
  out(0x06);
  EXPECT_EQ(resets, 1u);
  std::byte byte{};
  control.read(0, {&byte, 1});
  EXPECT_EQ(byte, std::byte{0x02}) << "the processor bit is never stored";
}

TEST_F(PowerManagementTest, GeneralEventsRaiseTheInterruptOnceEnabled) {
  power_.raise_event(2);
  EXPECT_FALSE(line_);
  const std::byte bit{4};
  power_.write(PowerManagement::kGpe0 + PowerManagement::kGpe0Size / 2, {&bit, 1});
  EXPECT_TRUE(line_);
  std::byte status{};
  power_.read(PowerManagement::kGpe0, {&status, 1});
  EXPECT_EQ(status, bit);
  power_.write(PowerManagement::kGpe0, {&bit, 1});
  EXPECT_FALSE(line_);
  power_.raise_event(63);
  EXPECT_FALSE(line_);
  power_.read(PowerManagement::kGpe0 + 7, {&status, 1});
  EXPECT_EQ(status, std::byte{0x80});
  power_.reset();
  EXPECT_EQ(power_.save().event_enable, 0U);
}

}  // namespace
}  // namespace warren::vmm
