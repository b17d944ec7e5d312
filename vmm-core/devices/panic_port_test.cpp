#include "vmm-core/devices/panic_port.h"

#include <array>

#include <gtest/gtest.h>

namespace warren::vmm {
namespace {

class PanicPortTest : public testing::Test {
 protected:
  void write(std::uint8_t value) {
    const auto byte = static_cast<std::byte>(value);
    port_.write(0, {&byte, 1});
  }
  int panics_ = 0;
  PanicPort port_{[this] { ++panics_; }};
};

TEST_F(PanicPortTest, SaysWhatItTakes) {
  std::byte value{};
  port_.read(0, {&value, 1});
  EXPECT_EQ(value, std::byte{3});
}

TEST_F(PanicPortTest, APanicIsToldAndACrashKernelIsNot) {
  write(PanicPort::kCrashLoaded);
  write(0);
  write(0xfc);
  EXPECT_EQ(panics_, 0);
  write(PanicPort::kPanicked);
  EXPECT_EQ(panics_, 1);
  write(0xff);
  EXPECT_EQ(panics_, 2);
}

TEST_F(PanicPortTest, T5AccessesOfEveryWidth) {
  for (std::size_t size = 0; size <= 8; ++size) {
    std::array<std::byte, 9> data{};
    port_.write(0, std::span<const std::byte>(data).first(size));
    data.fill(std::byte{0xa5});
    port_.read(0, std::span(data).first(size));
    EXPECT_EQ(data[size], std::byte{0xa5});
  }
  EXPECT_EQ(panics_, 0);
}

}  // namespace
}  // namespace warren::vmm
