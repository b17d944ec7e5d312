#include "vmm-core/devices/panic_port.h"

#include <algorithm>

namespace warren::vmm {

void PanicPort::read(std::uint64_t, std::span<std::byte> data) noexcept {
  // One byte wide: what lies behind it is nobody's.
  std::ranges::fill(data, std::byte{0xff});
  if (!data.empty()) data[0] = std::byte{kPanicked | kCrashLoaded};
}

void PanicPort::write(std::uint64_t, std::span<const std::byte> data) noexcept {
  if (data.empty()) return;
  const auto events = std::to_integer<std::uint8_t>(data[0]);
  if ((events & kPanicked) != 0) {
    panics_.fetch_add(1, std::memory_order_relaxed);
    panicked_();
  } else if ((events & kCrashLoaded) != 0) {
    crash_loads_.fetch_add(1, std::memory_order_relaxed);
  }
}

void PanicPort::inspect(InspectNode& node) const {
  node.add("panics", panics_.load(std::memory_order_relaxed));
  node.add("crash_loads", crash_loads_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm
