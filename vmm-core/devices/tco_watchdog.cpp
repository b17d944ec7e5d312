#include "vmm-core/devices/tco_watchdog.h"

#include <algorithm>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// Registers (§13.9, table 13-12).
constexpr std::uint64_t kReload = 0x00, kDataIn = 0x02, kDataOut = 0x03, kStatus1 = 0x04, kStatus2 = 0x06,
                        kControl1 = 0x08, kMessage1 = 0x0c, kMessage2 = 0x0d, kWatchdogControl = 0x0e,
                        kPreload = 0x12;
constexpr std::array<std::uint64_t, 5> kScratch = {kDataIn, kDataOut, kMessage1, kMessage2, kWatchdogControl};

constexpr std::uint16_t kTimeout = 1 << 3;                        // TCO1_STS
constexpr std::uint16_t kSecondTimeout = 1 << 1, kBoot = 1 << 2;  // TCO2_STS
constexpr std::uint16_t kHalt = 1 << 11, kLock = 1 << 12;         // TCO1_CNT
constexpr std::uint16_t kPreloadMask = 0x3ff;
// Fewer ticks are to be ignored (§13.9.12).
constexpr std::uint16_t kFewestTicks = 4;
constexpr std::uint8_t kNoReboot = 1 << 5;  // general control and status

constexpr std::uint8_t kStopped = 2;  // timeouts

std::uint8_t byte_of(std::uint16_t value, std::uint64_t index) noexcept {
  return static_cast<std::uint8_t>(value >> (8 * index));
}

std::uint16_t with_byte(std::uint16_t value, std::uint64_t index, std::uint8_t byte) noexcept {
  return static_cast<std::uint16_t>((value & ~(0xffU << (8 * index))) | unsigned{byte} << (8 * index));
}

bool is_in(std::uint64_t offset, std::uint64_t place) noexcept {
  return offset == place || offset == place + 1;
}

}  // namespace

TcoWatchdog::TcoWatchdog(std::string name, EventThread& thread, std::function<void()> expired,
                         std::uint64_t tick_nanoseconds)
    : name_(std::move(name)),
      expired_(std::move(expired)),
      tick_nanoseconds_(tick_nanoseconds),
      timer_(thread, name_, [this] { look_at_timer(); }) {}

TcoWatchdog::~TcoWatchdog() = default;

bool TcoWatchdog::is_halted() const noexcept {
  return (state_.control1 & kHalt) != 0;
}

void TcoWatchdog::begin() noexcept {
  if (is_halted()) return;
  timer_.set(std::max(state_.preload, kFewestTicks) * tick_nanoseconds_);
}

std::uint16_t TcoWatchdog::ticks_left() const noexcept {
  const std::uint64_t left = timer_.left();
  // One that is halted shows what it will count from.
  if (left == 0) return state_.timeouts == kStopped ? std::uint16_t{0} : state_.preload;
  return static_cast<std::uint16_t>((left + tick_nanoseconds_ - 1) / tick_nanoseconds_ & kPreloadMask);
}

void TcoWatchdog::look_at_timer() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!timer_.take_expiry()) return;
    state_.status1 |= kTimeout;
    if (state_.timeouts == 0) {
      state_.timeouts = 1;
      return begin();
    }
    state_.status2 |= kSecondTimeout;
    if (state_.no_reboot) {
      state_.timeouts = 0;
      return begin();
    }
    // DEVNOTE: what is not reset by it, because something else is to become of its guest, is watched again
    // once the guest reloads the timer.
    state_.timeouts = kStopped;
    state_.status2 |= kBoot;
    ++expirations_;
  }
  expired_();
}

void TcoWatchdog::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) byte = static_cast<std::byte>(read_byte(offset++));
}

std::uint8_t TcoWatchdog::read_byte(std::uint64_t offset) const noexcept {
  if (is_in(offset, kReload)) return byte_of(ticks_left(), offset - kReload);
  if (is_in(offset, kStatus1)) return byte_of(state_.status1, offset - kStatus1);
  if (is_in(offset, kStatus2)) return byte_of(state_.status2, offset - kStatus2);
  if (is_in(offset, kControl1)) return byte_of(state_.control1, offset - kControl1);
  if (is_in(offset, kPreload)) return byte_of(state_.preload, offset - kPreload);
  const auto kept = std::ranges::find(kScratch, offset);
  return kept == kScratch.end() ? std::uint8_t{0}
                                : state_.scratch[static_cast<std::size_t>(kept - kScratch.begin())];
}

void TcoWatchdog::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto byte : data) write_byte(offset++, std::to_integer<std::uint8_t>(byte));
}

void TcoWatchdog::write_byte(std::uint64_t offset, std::uint8_t value) noexcept {
  const auto cleared = [&](std::uint16_t status, std::uint64_t place) {
    return static_cast<std::uint16_t>(status & ~with_byte(0, offset - place, value));  // writing 1 clears
  };
  if (offset == kReload) {
    state_.timeouts = 0;
    begin();
  } else if (is_in(offset, kStatus1)) {
    state_.status1 = cleared(state_.status1, kStatus1);
  } else if (is_in(offset, kStatus2)) {
    state_.status2 = cleared(state_.status2, kStatus2);
  } else if (is_in(offset, kControl1)) {
    write_control1(with_byte(state_.control1, offset - kControl1, value));
  } else if (is_in(offset, kPreload)) {
    state_.preload = with_byte(state_.preload, offset - kPreload, value) & kPreloadMask;
  } else if (const auto kept = std::ranges::find(kScratch, offset); kept != kScratch.end()) {
    state_.scratch[static_cast<std::size_t>(kept - kScratch.begin())] = value;
  }
}

void TcoWatchdog::write_control1(std::uint16_t value) noexcept {
  const bool was_halted = is_halted();
  // The lock is only let go of by a reset.
  state_.control1 = static_cast<std::uint16_t>((value & (kHalt | kLock)) | (state_.control1 & kLock));
  if (is_halted()) {
    timer_.set(0);
  } else if (was_halted) {
    state_.timeouts = 0;
    begin();
  }
}

// The register's other bits are of devices that are not here, or of no consequence.
void TcoWatchdog::GeneralControl::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(watchdog_.mutex_);
  std::ranges::fill(data, std::byte{0});
  if (offset == 0 && !data.empty() && watchdog_.state_.no_reboot) data[0] = std::byte{kNoReboot};
}

void TcoWatchdog::GeneralControl::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(watchdog_.mutex_);
  if (offset == 0 && !data.empty())
    watchdog_.state_.no_reboot = (std::to_integer<std::uint8_t>(data[0]) & kNoReboot) != 0;
}

void TcoWatchdog::clear() noexcept {
  // Who looks after a reset is to learn what led to it (§13.9.5).
  const auto status2 = static_cast<std::uint16_t>(state_.status2 & (kSecondTimeout | kBoot));
  state_ = {};
  state_.status2 = status2;
  timer_.set(0);
}

void TcoWatchdog::reset() noexcept {
  const std::lock_guard lock(mutex_);
  clear();
}

void TcoWatchdog::pause() noexcept {
  const std::lock_guard lock(mutex_);
  timer_.pause();
}

void TcoWatchdog::resume() noexcept {
  const std::lock_guard lock(mutex_);
  timer_.resume();
}

TcoWatchdog::State TcoWatchdog::save() const {
  const std::lock_guard lock(mutex_);
  State state = state_;
  state.left_nanoseconds = timer_.left();
  return state;
}

void TcoWatchdog::restore(const State& state) {
  const bool fits = state.version == 1 && state.preload <= kPreloadMask && state.timeouts <= kStopped &&
                    (state.status1 & ~kTimeout) == 0 && (state.status2 & ~(kSecondTimeout | kBoot)) == 0 &&
                    (state.control1 & ~(kHalt | kLock)) == 0 &&
                    state.left_nanoseconds <= kPreloadMask * tick_nanoseconds_ &&
                    (state.left_nanoseconds == 0 || (state.control1 & kHalt) == 0);
  if (!fits) throw Error(std::errc::invalid_argument, name_ + ": saved state of a watchdog");
  const std::lock_guard lock(mutex_);
  state_ = state;
  timer_.set(state.left_nanoseconds);
}

void TcoWatchdog::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("halted", is_halted());
  node.add("no_reboot", state_.no_reboot);
  node.add("preload", std::uint32_t{state_.preload});
  node.add("timeouts", std::uint32_t{state_.timeouts});
  node.add("left_nanoseconds", timer_.left());
  node.add("expirations", expirations_);
}

}  // namespace warren::vmm
