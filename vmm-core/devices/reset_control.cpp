#include "vmm-core/devices/reset_control.h"

#include <algorithm>

namespace warren::vmm {
namespace {

constexpr std::uint8_t kSystemReset = 1 << 1;
constexpr std::uint8_t kResetCpu = 1 << 2;
constexpr std::uint8_t kFullReset = 1 << 3;

}  // namespace

void ResetControl::read(std::uint64_t, std::span<std::byte> data) noexcept {
  std::ranges::fill(data, std::byte{0xff});
  data[0] = std::byte{value_.load(std::memory_order_relaxed)};
}

void ResetControl::write(std::uint64_t, std::span<const std::byte> data) noexcept {
  const auto value = std::to_integer<std::uint8_t>(data[0]);
  // The processor bit acts when it is set and is never stored.
  value_.store(value & (kSystemReset | kFullReset), std::memory_order_relaxed);
  if ((value & kResetCpu) != 0) reset_();
}

void ResetControl::inspect(InspectNode& node) const {
  node.add("value", std::uint32_t{value_.load(std::memory_order_relaxed)});
}

}  // namespace warren::vmm
