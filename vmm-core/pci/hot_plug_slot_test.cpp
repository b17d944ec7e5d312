#include "vmm-core/pci/hot_plug_slot.h"

#include <array>
#include <limits>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/fake_interrupts.h"
#include "vmm-core/pci/root_complex.h"

namespace warren::vmm::pci {
namespace {

constexpr std::uint16_t kControl = 0x18;
constexpr std::uint16_t kStatus = 0x1a;
constexpr std::uint16_t kButton = 1 << 0;
constexpr std::uint16_t kPresence = 1 << 3;
constexpr std::uint16_t kPresent = 1 << 6;
constexpr std::uint16_t kLink = 1 << 8;
constexpr std::uint16_t kListen = kButton | kPresence | 1 << 5 | 1 << 12;
constexpr std::uint16_t kPowerOn = kListen | 3 << 6 | 1 << 8;
constexpr std::uint16_t kBlinking = kListen | 3 << 6 | 2 << 8;
constexpr std::uint16_t kPowerOff = kListen | 3 << 6 | 3 << 8 | 1 << 10;

class Device final : public Function {
 public:
  Device(AddressSpace& memory, AddressSpace& ports)
      : Function("device", {.vendor = 0x1af4, .device = 0x1042}, {memory, ports, nullptr, true}) {}
};

// A port on bus 0 with bus 1 behind it, as a guest that looks for it through configuration space.
class HotPlugSlotTest : public testing::Test {
 protected:
  HotPlugSlotTest() {
    root_.attach_port(2, 0, port_);
    port_.set_buses(1, 1);
    for (std::uint16_t at = read(0, 0x34, 1); at != 0; at = read(0, at + 1U, 1)) {
      if (read(0, at, 1) == kCapabilityExpress) capability_ = at;
    }
  }
  std::uint16_t read(std::uint8_t bus, unsigned offset, std::size_t size = 2) {
    std::uint16_t value = 0;
    root_.config_read({bus, static_cast<std::uint8_t>(bus == 0 ? 2 : 0), 0},
                      static_cast<std::uint16_t>(offset),
                      std::as_writable_bytes(std::span(&value, 1)).first(size));
    return value;
  }
  std::uint16_t get(std::uint16_t offset) { return read(0, capability_ + offset); }
  template <typename T>
  void set(std::uint16_t offset, T value) {
    root_.config_write({0, 2, 0}, static_cast<std::uint16_t>(capability_ + offset),
                       std::as_bytes(std::span(&value, 1)));
  }
  // Plugs, and does what a guest does until the device is in use.
  void bring_up() {
    set(kControl, kListen);
    port_.plug(device_);
    set(kControl, kPowerOn);
    set(kStatus, std::uint16_t{0xffff});
  }

  AddressSpace memory_{"mmio", std::numeric_limits<std::uint64_t>::max()};
  AddressSpace ports_{"ports", 0xffff};
  bool line_ = false;
  int released_ = 0;
  Device device_{memory_, ports_};
  RootPort port_{"port", {memory_, ports_, std::make_unique<FakeLine>(line_)}, 1, [this] { ++released_; }};
  RootComplex root_;
  std::uint16_t capability_ = 0;
};

TEST_F(HotPlugSlotTest, AnEmptySlotSaysThatItTakesDevicesAtRunTime) {
  ASSERT_NE(capability_, 0);
  EXPECT_EQ(get(0x02) >> 8 & 1, 1);       // slot implemented
  EXPECT_EQ(get(0x0e) >> 4 & 1, 1);       // reports whether the link is active
  EXPECT_EQ(get(0x12) >> 13 & 1, 0);      // which it is not
  EXPECT_EQ(get(0x14), 0x005b);           // button, power, indicators, hot-plug capable
  EXPECT_EQ(get(0x16), 1 << 3 | 1 << 2);  // slot 1, no command completed
  EXPECT_EQ(get(kStatus), 0);
  EXPECT_EQ(read(0, kInterruptPin, 1), 1);
  EXPECT_EQ(read(1, 0), 0xffff);
  EXPECT_FALSE(line_);
}

TEST_F(HotPlugSlotTest, APluggedDeviceInterruptsAndAnswersOnceItHasPower) {
  set(kControl, static_cast<std::uint16_t>(kPowerOff));
  port_.plug(device_);
  EXPECT_EQ(get(kStatus), kPresent | kPresence | kButton);
  EXPECT_TRUE(line_);
  EXPECT_EQ(read(1, 0), 0xffff);
  set(kStatus, static_cast<std::uint16_t>(kPresence | kButton));
  EXPECT_FALSE(line_);
  set(kControl, kPowerOn);
  EXPECT_EQ(get(kStatus), kPresent | kLink);
  EXPECT_EQ(get(0x12) >> 13 & 1, 1);
  EXPECT_EQ(read(1, 0), 0x1af4);
}

// As Linux does where there is a button: neither presence nor, before there is power, the link interrupts.
TEST_F(HotPlugSlotTest, ADriverThatListensToTheButtonAloneIsTold) {
  set(kControl, static_cast<std::uint16_t>(kPowerOff & ~kPresence));
  port_.plug(device_);
  EXPECT_TRUE(line_);
}

TEST_F(HotPlugSlotTest, NoInterruptWithoutItsEnable) {
  set(kControl, static_cast<std::uint16_t>(kPowerOff & ~(1U << 5)));
  port_.plug(device_);
  EXPECT_FALSE(line_);
  set(kControl, kPowerOff);
  EXPECT_TRUE(line_);
}

TEST_F(HotPlugSlotTest, OrderlyRemovalEndsWhenPowerAndIndicatorAreOff) {
  bring_up();
  EXPECT_EQ(port_.request_removal(), RemovalRequest::asked);
  EXPECT_EQ(get(kStatus), kPresent | kButton);
  EXPECT_TRUE(line_);
  EXPECT_EQ(port_.request_removal(), RemovalRequest::in_progress);
  set(kStatus, kButton);
  set(kControl, kBlinking);
  EXPECT_EQ(port_.request_removal(), RemovalRequest::in_progress);
  EXPECT_EQ(get(kStatus) & kButton, 0);
  set(kControl, static_cast<std::uint16_t>(kBlinking | 1U << 10));
  EXPECT_EQ(released_, 0);
  EXPECT_EQ(read(1, 0), 0xffff);
  set(kControl, kPowerOff);
  set(kControl, kPowerOff);
  EXPECT_EQ(released_, 1);
  set(kStatus, std::uint16_t{0xffff});
  port_.unplug();
  EXPECT_EQ(get(kStatus), kPresence);
  port_.plug(device_);  // the slot is free again
  EXPECT_EQ(get(kStatus), kPresent | kPresence | kButton);
}

TEST_F(HotPlugSlotTest, AGuestThatIgnoredTheButtonIsAskedAgain) {
  bring_up();
  EXPECT_EQ(port_.request_removal(), RemovalRequest::asked);
  set(kStatus, kButton);
  EXPECT_EQ(port_.request_removal(), RemovalRequest::asked);
}

TEST_F(HotPlugSlotTest, AGuestMayTurnPowerOffAndOnWithoutLosingTheDevice) {
  bring_up();
  set(kControl, kPowerOff);
  EXPECT_EQ(released_, 0);
  EXPECT_EQ(read(1, 0), 0xffff);
  set(kControl, kPowerOn);
  EXPECT_EQ(read(1, 0), 0x1af4);
  set(kControl, kPowerOff);
  EXPECT_EQ(port_.request_removal(), RemovalRequest::released);
  EXPECT_EQ(released_, 1);
}

TEST_F(HotPlugSlotTest, ResetLetsGoOfWhatWasToBeRemoved) {
  bring_up();
  port_.request_removal();
  port_.reset();
  EXPECT_EQ(released_, 1);
  EXPECT_FALSE(line_);
  port_.unplug();
  port_.plug(device_);
  port_.reset();
  EXPECT_EQ(released_, 1);
  EXPECT_EQ(get(kControl), 3 << 6 | 1 << 8);
  EXPECT_EQ(get(kStatus), kPresent);
}

TEST_F(HotPlugSlotTest, WhatIsReadOnlyStaysSoAtEveryWidth) {  // T5
  port_.plug(device_);
  for (std::uint16_t at = 0x14; at < 0x1c; ++at) set(at, std::uint8_t{0xff});
  set(0x14, std::uint32_t{0xffff'ffff});
  set(kControl, std::uint32_t{0xffff'ffff});
  EXPECT_EQ(get(0x14), 0x005b);
  EXPECT_EQ(get(0x16), 1 << 3 | 1 << 2);
  EXPECT_EQ(get(kControl), 0x17e9);
  EXPECT_EQ(get(kStatus), kPresent);
}

TEST_F(HotPlugSlotTest, OneDeviceAtATime) {
  EXPECT_EQ(port_.request_removal(), RemovalRequest::empty);
  port_.plug(device_);
  EXPECT_THROW(port_.plug(device_), Error);
  EXPECT_EQ(get(kStatus) & kPresent, kPresent);
}

TEST(HotPlugSlot, StateIsKeptAndChecked) {
  HotPlugSlot slot(1, {[](bool) {}, [] {}});
  slot.set_present(true);
  slot.request_removal();
  bool asserted = false;
  HotPlugSlot other(1, {[&](bool level) { asserted = level; }, [] {}});
  auto state = slot.save();
  state.control = 0xffff;
  other.restore(state);
  EXPECT_TRUE(asserted);
  EXPECT_EQ(other.save().status, state.status);
  EXPECT_EQ(other.save().control, 0x17e9);
  state.version = 2;
  EXPECT_THROW(other.restore(state), Error);
  EXPECT_THROW(HotPlugSlot(8192, {}), Error);
}

// Without a driver of the guest's, the machine does what firmware would.
TEST_F(HotPlugSlotTest, FirmwareGivesPowerWhereNobodyDrivesTheSlot) {
  EXPECT_FALSE(port_.is_driven());
  port_.plug(device_);
  EXPECT_EQ(read(1, 0), 0xffff) << "without power nothing answers";
  port_.set_power(true);
  EXPECT_EQ(read(1, 0), 0x1af4);
  port_.set_power(false);
  EXPECT_EQ(read(1, 0), 0xffff);
  EXPECT_EQ(released_, 0);
  port_.unplug();
  EXPECT_FALSE(line_);
  set(kControl, kListen);
  EXPECT_TRUE(port_.is_driven());
}

}  // namespace
}  // namespace warren::vmm::pci
