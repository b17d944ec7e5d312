#include <algorithm>
#include <array>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm-core/devices/fakes.h"
#include "vmm-core/devices/keyboard_controller.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/devices/serial.h"

namespace warren::vmm {
namespace {

std::uint8_t in(IoHandler& device, std::uint64_t offset) {
  std::byte value{};
  device.read(offset, {&value, 1});
  return std::to_integer<std::uint8_t>(value);
}

void out(IoHandler& device, std::uint64_t offset, unsigned value) {
  const std::byte byte{static_cast<std::uint8_t>(value)};
  device.write(offset, {&byte, 1});
}

template <typename T>
T in_wide(IoHandler& device, std::uint64_t offset) {
  T value{};
  device.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

template <typename T>
void out_wide(IoHandler& device, std::uint64_t offset, T value) {
  device.write(offset, std::as_bytes(std::span(&value, 1)));
}

// T5: every offset in every width, with every pattern; nothing but not crashing is asked for.
void sweep(IoHandler& device, std::uint64_t size) {
  for (std::uint64_t offset = 0; offset < size; ++offset) {
    for (std::size_t width = 1; width <= 8 && offset + width <= size; ++width) {
      for (const unsigned pattern : {0x00u, 0xffu, 0x55u, 0x80u}) {
        std::array<std::byte, 8> data;
        data.fill(static_cast<std::byte>(pattern));
        device.write(offset, std::span(data).first(width));
        device.read(offset, std::span(data).first(width));
      }
    }
  }
}

class SerialTest : public testing::Test {
 protected:
  bool line_ = false;
  FakeCharacterBackend backend_;
  Serial serial_{"serial0", std::make_unique<FakeLine>(line_), backend_};
};

TEST_F(SerialTest, TransmitsAndTellsWhenEmpty) {
  EXPECT_EQ(in(serial_, 5), 0x60);
  for (const char c : std::string("hello")) out(serial_, 0, static_cast<unsigned>(c));
  EXPECT_EQ(backend_.output, "hello");
  EXPECT_FALSE(line_);
  out(serial_, 1, 2);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(serial_, 2) & 0x0f, 0x02);  // reading takes it back
  EXPECT_FALSE(line_);
  EXPECT_EQ(in(serial_, 2) & 0x0f, 0x01);
}

TEST_F(SerialTest, OutputWaitsForTheBackEnd) {
  backend_.room = 1;
  out(serial_, 2, 1);
  for (const char c : std::string("abcd")) out(serial_, 0, static_cast<unsigned>(c));
  EXPECT_EQ(backend_.output, "a");
  EXPECT_EQ(in(serial_, 5) & 0x20, 0);
  backend_.room = 100;
  backend_.listener().output_ready();
  EXPECT_EQ(backend_.output, "abcd");
  EXPECT_EQ(in(serial_, 5) & 0x60, 0x60);
}

TEST_F(SerialTest, ReceivesWithBackPressure) {
  EXPECT_EQ(backend_.type("xy"), 1u);  // without FIFOs one byte
  out(serial_, 2, 0x81);
  EXPECT_EQ(backend_.type("0123456789abcdefgh"), 16u);
  EXPECT_EQ(backend_.type("more"), 0u);
  out(serial_, 1, 1);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(serial_, 2), 0xc4);
  const int resumed = backend_.resumed;
  EXPECT_EQ(in(serial_, 0), '0');
  EXPECT_GT(backend_.resumed, resumed);
  for (int i = 0; i < 15; ++i) in(serial_, 0);
  EXPECT_EQ(in(serial_, 5) & 1, 0);
  EXPECT_FALSE(line_);
}

TEST_F(SerialTest, LoopBackConnectsTheLines) {
  out(serial_, 4, 0x1f);
  EXPECT_EQ(in(serial_, 6) & 0xf0, 0xf0);
  out(serial_, 0, 'z');
  EXPECT_EQ(backend_.output, "");
  EXPECT_EQ(in(serial_, 0), 'z');
  EXPECT_EQ(backend_.listener().receive_capacity(), 0u);
}

TEST_F(SerialTest, SavesAndRestores) {
  out(serial_, 2, 1);
  out(serial_, 7, 0x5a);
  backend_.type("abc");
  const auto state = serial_.save();
  serial_.reset();
  EXPECT_EQ(in(serial_, 7), 0);
  EXPECT_EQ(in(serial_, 5) & 1, 0);
  serial_.restore(state);
  EXPECT_EQ(in(serial_, 7), 0x5a);
  EXPECT_EQ(in(serial_, 0), 'a');
}

TEST_F(SerialTest, T21ARestoredStateThatLiesIsBounded) {
  Serial::State state;
  state.receive.first = 200;
  state.receive.count = 255;
  state.transmit.count = 99;
  serial_.restore(state);
  for (int i = 0; i < 300; ++i) in(serial_, 0);
  backend_.listener().output_ready();
}

TEST_F(SerialTest, T5AccessSweep) {
  sweep(serial_, 8);
}

class ClockTest : public testing::Test {
 protected:
  std::uint8_t read(unsigned index) {
    out(clock_, 0, index);
    return in(clock_, 1);
  }
  void write(unsigned index, unsigned value) {
    out(clock_, 0, index);
    out(clock_, 1, value);
  }

  bool line_ = false;
  // 2024-02-29 12:34:56.5 UTC
  std::int64_t now_ = 1709210096'500'000'000;
  RealTimeClock clock_{std::make_unique<FakeLine>(line_), [this] { return now_; }, 0, {}};
};

TEST_F(ClockTest, ShowsTheTimeInBcdAndBinary) {
  EXPECT_EQ(read(0), 0x56);
  EXPECT_EQ(read(2), 0x34);
  EXPECT_EQ(read(4), 0x12);
  EXPECT_EQ(read(6), 0x05);  // a Thursday
  EXPECT_EQ(read(7), 0x29);
  EXPECT_EQ(read(8), 0x02);
  EXPECT_EQ(read(9), 0x24);
  EXPECT_EQ(read(0x32), 0x20);
  write(11, 0x06);
  EXPECT_EQ(read(0), 56);
  EXPECT_EQ(read(9), 24);
  write(11, 0x00);
  EXPECT_EQ(read(4), 0x92);  // 12 in the afternoon
}

TEST_F(ClockTest, KeepsTheTimeItIsSetTo) {
  write(11, 0x82);
  write(0, 0x00);
  write(2, 0x00);
  write(4, 0x23);
  write(7, 0x31);
  write(8, 0x12);
  write(9, 0x99);
  write(0x32, 0x19);
  EXPECT_EQ(read(9), 0x99);
  write(11, 0x02);
  now_ += 3'600'000'000'000;
  EXPECT_EQ(read(4), 0x00);
  EXPECT_EQ(read(7), 0x01);
  EXPECT_EQ(read(8), 0x01);
  EXPECT_EQ(read(9), 0x00);
  EXPECT_EQ(read(0x32), 0x20);
}

TEST_F(ClockTest, AlarmInterruptsOnceAndOnTime) {
  write(1, 0x58);
  write(3, 0xff);
  write(5, 0xff);
  read(12);
  write(11, 0x22);
  ASSERT_TRUE(clock_.next_tick());
  EXPECT_EQ(*clock_.next_tick(), 500'000'000);
  now_ += 1'000'000'000;
  clock_.tick();
  EXPECT_FALSE(line_);
  now_ += 1'000'000'000;
  clock_.tick();
  EXPECT_TRUE(line_);
  EXPECT_EQ(read(12) & 0xa0, 0xa0);
  EXPECT_FALSE(line_);
}

TEST_F(ClockTest, PeriodicRate) {
  write(10, 0x26);  // 1024 Hz
  write(11, 0x42);
  ASSERT_TRUE(clock_.next_tick());
  EXPECT_LE(*clock_.next_tick(), 976'563);
  now_ += 1'000'000;
  clock_.tick();
  EXPECT_TRUE(line_);
}

TEST_F(ClockTest, T25JumpsOfTheHostsClockHarmNothing) {
  write(11, 0x72);
  for (const std::int64_t jump : {std::int64_t{1} << 62, -(std::int64_t{1} << 62), std::int64_t{-1},
                                  std::int64_t{86400} * 1'000'000'000 * 4000}) {
    now_ += jump / 2;
    clock_.tick();
    (void)clock_.next_tick();
    for (unsigned i = 0; i < 128; ++i) read(i);
  }
}

TEST_F(ClockTest, T5AccessSweep) {
  for (unsigned index = 0; index < 128; ++index) {
    out(clock_, 0, index);
    sweep(clock_, 2);
  }
}

class PowerTest : public testing::Test {
 protected:
  bool line_ = false;
  int offs_ = 0;
  std::uint64_t now_ = 0;
  PowerManagement power_{std::make_unique<FakeLine>(line_), [this] { return now_; }, [this] { ++offs_; }};
};

TEST_F(PowerTest, ThePowerButtonRaisesTheSci) {
  EXPECT_FALSE(power_.press_power_button());  // not enabled
  EXPECT_FALSE(line_);
  out_wide<std::uint16_t>(power_, 2, 1 << 8);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in_wide<std::uint16_t>(power_, 0), 1 << 8);
  out_wide<std::uint16_t>(power_, 0, 1 << 8);
  EXPECT_FALSE(line_);
  EXPECT_TRUE(power_.press_power_button());
}

TEST_F(PowerTest, OnlyS5PowersOff) {
  out_wide<std::uint16_t>(power_, 4, (3 << 10) | (1 << 13));
  EXPECT_EQ(offs_, 0);
  out_wide<std::uint16_t>(power_, 4, 5 << 10);
  EXPECT_EQ(offs_, 0);
  out_wide<std::uint16_t>(power_, 4, (5 << 10) | (1 << 13));
  EXPECT_EQ(offs_, 1);
  EXPECT_EQ(in_wide<std::uint16_t>(power_, 4) & (1 << 13), 0);
}

TEST_F(PowerTest, TheTimerRunsAt3579545Hz) {
  now_ = 1'000'000'000;
  EXPECT_EQ(in_wide<std::uint32_t>(power_, 8), 3'579'545u);
  now_ = std::uint64_t{100} * 365 * 86400 * 1'000'000'000;
  in_wide<std::uint32_t>(power_, 8);
}

TEST_F(PowerTest, T5AccessSweep) {
  sweep(power_, PowerManagement::kSize);
}

class KeyboardTest : public testing::Test {
 protected:
  std::vector<std::uint8_t> drain() {
    std::vector<std::uint8_t> bytes;
    while ((in(keyboard_, 4) & 1) != 0) bytes.push_back(in(keyboard_, 0));
    return bytes;
  }

  bool line_ = false;
  int resets_ = 0;
  KeyboardController keyboard_{std::make_unique<FakeLine>(line_), [this] { ++resets_; }};
};

TEST_F(KeyboardTest, PulsingLineZeroResets) {
  out(keyboard_, 4, 0xff);
  EXPECT_EQ(resets_, 0);
  out(keyboard_, 4, 0xfe);
  EXPECT_EQ(resets_, 1);
}

TEST_F(KeyboardTest, AnswersWhatDriversAskAtBoot) {
  out(keyboard_, 4, 0xaa);
  EXPECT_THAT(drain(), testing::ElementsAre(0x55));
  out(keyboard_, 4, 0xab);
  EXPECT_THAT(drain(), testing::ElementsAre(0x00));
  out(keyboard_, 4, 0xa9);
  EXPECT_THAT(drain(), testing::ElementsAre(testing::Ne(0)));
  out(keyboard_, 0, 0xff);
  EXPECT_THAT(drain(), testing::ElementsAre(0xfa, 0xaa));
  out(keyboard_, 0, 0xf2);
  EXPECT_THAT(drain(), testing::ElementsAre(0xfa, 0xab, 0x41));
  EXPECT_FALSE(line_);
}

TEST_F(KeyboardTest, TypesCtrlAltDel) {
  EXPECT_TRUE(keyboard_.press_ctrl_alt_del());
  EXPECT_TRUE(line_);
  EXPECT_THAT(drain(), testing::ElementsAre(0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d));
  out(keyboard_, 4, 0xad);
  EXPECT_FALSE(keyboard_.press_ctrl_alt_del());
}

TEST_F(KeyboardTest, T8TheQueueIsBounded) {
  for (int i = 0; i < 1000; ++i) out(keyboard_, 0, 0xee);
  EXPECT_EQ(drain().size(), KeyboardController::kQueueSize);
}

TEST_F(KeyboardTest, T5AccessSweep) {
  sweep(keyboard_, 5);
}

}  // namespace
}  // namespace warren::vmm
