// T5 for every device here: reads and writes of 1 to 8 bytes at every offset, with all-zero, all-one and
// walking values. What must hold: no access crashes, wide ones touch no byte beyond their span, and after
// reset() the device is as new.
#include <array>
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include "vmm-core/devices/keyboard_controller.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/devices/reset_control.h"
#include "vmm-core/devices/serial.h"
#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm {
namespace {

struct NoBackend final : CharacterBackend {
  void set_listener(CharacterListener*) noexcept override {}
  bool watch_peer(PeerListener*) noexcept override { return true; }
  std::size_t write(std::span<const std::byte> bytes) noexcept override { return bytes.size(); }
  void resume_input() noexcept override {}
};

void sweep(IoHandler& device, std::uint64_t ports) {
  constexpr std::byte kCanary{0xa5};
  for (std::uint64_t offset = 0; offset < ports; ++offset) {
    for (std::size_t size = 1; size <= 8; ++size) {
      for (unsigned pattern = 0; pattern < 18; ++pattern) {
        std::array<std::byte, 16> data{};
        // Zeros, ones, one bit set, one bit clear.
        const auto value = pattern == 0   ? 0u
                           : pattern == 1 ? 0xffu
                           : pattern < 10 ? 1u << (pattern - 2)
                                          : 0xffu ^ (1u << (pattern - 10));
        data.fill(static_cast<std::byte>(value));
        device.write(offset, std::span<const std::byte>(data).first(size));
        data.fill(kCanary);
        device.read(offset, std::span(data).first(size));
        for (std::size_t i = size; i < data.size(); ++i) {
          ASSERT_EQ(data[i], kCanary) << "offset " << offset << " size " << size;
        }
      }
    }
  }
}

class T5RegisterSweep : public testing::Test {
 protected:
  std::unique_ptr<InterruptLine> line() { return std::make_unique<pci::FakeLine>(asserted_); }
  bool asserted_ = false;
  NoBackend backend_;
};

TEST_F(T5RegisterSweep, Serial) {
  Serial serial("serial0", line(), backend_);
  sweep(serial, 8);
  serial.reset();
  EXPECT_FALSE(asserted_);
  const auto state = serial.save();
  EXPECT_EQ(state.interrupt_enable, 0);
  EXPECT_EQ(state.receive.count, 0);
  EXPECT_EQ(state.modem_control, 0);
}

TEST_F(T5RegisterSweep, RealTimeClock) {
  RealTimeClock clock(line(), [] { return RealTimeClock::Nanoseconds{1'700'000'000'000'000'000}; }, 0, [] {});
  for (unsigned index = 0; index < 256; ++index) {
    const auto byte = static_cast<std::byte>(index);
    clock.write(0, {&byte, 1});
    for (unsigned value = 0; value < 256; ++value) {
      const auto data = static_cast<std::byte>(value);
      clock.write(1, {&data, 1});
      std::byte answer{};
      clock.read(1, {&answer, 1});
    }
  }
  sweep(clock, 2);
  clock.reset();
  EXPECT_FALSE(asserted_);
}

TEST_F(T5RegisterSweep, KeyboardController) {
  unsigned resets = 0;
  KeyboardController keyboard(line(), [&resets] { ++resets; });
  sweep(keyboard, 5);
  EXPECT_GT(resets, 0u);
  keyboard.reset();
  EXPECT_FALSE(asserted_);
  EXPECT_EQ(keyboard.save().count, 0);
}

TEST_F(T5RegisterSweep, PowerManagement) {
  PowerManagement power(line(), [] { return std::uint64_t{1}; }, {.s3 = true, .s4 = true},
                        {.sleep = [](PowerManagement::SleepState) {}, .wake = [] {}});
  sweep(power, PowerManagement::kSize);
  power.reset();
  EXPECT_FALSE(asserted_);
  EXPECT_EQ(power.save().control, 1);
}

TEST_F(T5RegisterSweep, ResetControl) {
  unsigned resets = 0;
  ResetControl control([&resets] { ++resets; });
  sweep(control, 4);
  EXPECT_GT(resets, 0u);
  control.reset();
  EXPECT_EQ(control.save().value, 0);
}

}  // namespace
}  // namespace warren::vmm
