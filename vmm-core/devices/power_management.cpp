#include "vmm-core/devices/power_management.h"

namespace warren::vmm {
namespace {

constexpr std::uint16_t kPowerButton = 1 << 8, kAlarm = 1 << 10;  // PM1 status and enable
constexpr std::uint16_t kWake = 1 << 15;                          // PM1 status
constexpr std::uint16_t kStatusMask = 0x8731, kEnableMask = 0x0721;
constexpr std::uint16_t kSciEnabled = 1 << 0, kSleepEnable = 1 << 13;  // PM1 control
constexpr unsigned kSleepTypeShift = 10;
// The first half of the block is status, the second enable (§4.8.5.1.1).
constexpr std::uint64_t kGpe0Enable = PowerManagement::kGpe0 + PowerManagement::kGpe0Size / 2;
constexpr std::uint64_t kGpe0End = PowerManagement::kGpe0 + PowerManagement::kGpe0Size;
constexpr std::uint64_t kTimerFrequency = 3'579'545;  // Hz (§4.8.2.1)
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint8_t byte_of(std::uint64_t value, std::uint64_t index) noexcept {
  return static_cast<std::uint8_t>(value >> (8 * index));
}

}  // namespace

PowerManagement::PowerManagement(std::unique_ptr<InterruptLine> sci, std::function<std::uint64_t()> monotonic,
                                 SleepStates states, Actions actions)
    : sci_(std::move(sci)), monotonic_(std::move(monotonic)), states_(states), actions_(std::move(actions)) {}

std::uint32_t PowerManagement::timer() const noexcept {
  const std::uint64_t now = monotonic_();
  // In two parts, so that the product does not overflow in centuries.
  const std::uint64_t ticks = now / kNanosecondsPerSecond * kTimerFrequency +
                              now % kNanosecondsPerSecond * kTimerFrequency / kNanosecondsPerSecond;
  return static_cast<std::uint32_t>(ticks);  // TMR_VAL_EXT: 32 bits
}

void PowerManagement::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint32_t now = timer();  // once, so that the bytes of one access belong together
  for (auto& byte : data) byte = static_cast<std::byte>(read_byte(offset++, now));
}

std::uint8_t PowerManagement::read_byte(std::uint64_t offset, std::uint32_t now) const noexcept {
  if (offset >= kTimer && offset < kTimer + 4u) return byte_of(now, offset - kTimer);
  if (offset >= kPm1Status && offset < kPm1Status + 2u) return byte_of(state_.status, offset - kPm1Status);
  if (offset >= kPm1Enable && offset < kPm1Enable + 2u) return byte_of(state_.enable, offset - kPm1Enable);
  if (offset >= kPm1Control && offset < kPm1Control + 2u)
    return byte_of(state_.control, offset - kPm1Control);
  if (offset >= kGpe0 && offset < kGpe0Enable) return byte_of(state_.event_status, offset - kGpe0);
  if (offset >= kGpe0Enable && offset < kGpe0End) return byte_of(state_.event_enable, offset - kGpe0Enable);
  return 0;
}

void PowerManagement::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::optional<SleepState> entered;
  {
    const std::lock_guard lock(mutex_);
    for (const auto byte : data) {
      if (const auto state = write_byte(offset++, std::to_integer<std::uint8_t>(byte))) entered = state;
    }
    if (entered == SleepState::s3) state_.asleep = true;
    update_interrupt();
  }
  if (entered) actions_.sleep(*entered);
}

// A SLP_TYP that stands for no state does nothing.
std::optional<PowerManagement::SleepState> PowerManagement::entered(std::uint16_t control) const noexcept {
  if ((control & kSleepEnable) == 0) return std::nullopt;
  const auto state = static_cast<SleepState>((control >> kSleepTypeShift) & 7);
  if ((state == SleepState::s3 && states_.s3) || (state == SleepState::s4 && states_.s4) ||
      state == SleepState::s5)
    return state;
  return std::nullopt;
}

std::optional<PowerManagement::SleepState> PowerManagement::write_byte(std::uint64_t offset,
                                                                       std::uint8_t value) noexcept {
  const auto shifted = [value](std::uint64_t index) {
    return static_cast<std::uint16_t>(value << (8 * index));
  };
  const auto others = [](std::uint64_t index) { return static_cast<std::uint16_t>(~(0xff << (8 * index))); };
  if (offset < kPm1Status + 2u) {
    state_.status &= static_cast<std::uint16_t>(~shifted(offset - kPm1Status));  // writing 1 clears
  } else if (offset < kPm1Enable + 2u) {
    const std::uint64_t index = offset - kPm1Enable;
    state_.enable =
        static_cast<std::uint16_t>(((state_.enable & others(index)) | shifted(index)) & kEnableMask);
  } else if (offset >= kPm1Control && offset < kPm1Control + 2u) {
    const std::uint64_t index = offset - kPm1Control;
    const std::uint16_t control =
        static_cast<std::uint16_t>((state_.control & others(index)) | shifted(index));
    state_.control =
        static_cast<std::uint16_t>((control & ~kSleepEnable) | kSciEnabled);  // SLP_EN reads as 0
    return entered(control);
  } else if (offset >= kGpe0 && offset < kGpe0Enable) {
    state_.event_status &= ~(std::uint64_t{value} << (8 * (offset - kGpe0)));  // writing 1 clears
  } else if (offset >= kGpe0Enable && offset < kGpe0End) {
    const std::uint64_t shift = 8 * (offset - kGpe0Enable);
    state_.event_enable = (state_.event_enable & ~(std::uint64_t{0xff} << shift)) | std::uint64_t{value}
                                                                                        << shift;
  }
  return std::nullopt;
}

void PowerManagement::raise_event(std::uint8_t event) noexcept {
  const std::lock_guard lock(mutex_);
  state_.event_status |= std::uint64_t{1} << (event % 64);
  update_interrupt();
}

void PowerManagement::note_status(std::uint16_t bit) noexcept {
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    state_.status |= bit;
    update_interrupt();
    wakes = has_wake_event();
  }
  if (wakes) actions_.wake();
}

bool PowerManagement::press_power_button() noexcept {
  note_status(kPowerButton);
  const std::lock_guard lock(mutex_);
  return (state_.enable & kPowerButton) != 0 || state_.asleep;
}

void PowerManagement::note_alarm() noexcept {
  note_status(kAlarm);
}

bool PowerManagement::has_wake_event() const noexcept {
  // The button wakes whether it is enabled or not (table 4.11).
  return state_.asleep &&
         ((state_.status & kPowerButton) != 0 || (state_.status & state_.enable & kAlarm) != 0);
}

bool PowerManagement::wakes_guest() const noexcept {
  const std::lock_guard lock(mutex_);
  return has_wake_event();
}

PowerManagement::WakeEvents PowerManagement::wake_events() const noexcept {
  const std::lock_guard lock(mutex_);
  const auto alarm = static_cast<std::uint16_t>(state_.status & state_.enable & kAlarm);
  const auto button = static_cast<std::uint16_t>(state_.status & kPowerButton);
  return {static_cast<std::uint16_t>((alarm | button) != 0 ? alarm | button : kPowerButton)};
}

void PowerManagement::wake(WakeEvents events) noexcept {
  const std::lock_guard lock(mutex_);
  state_ = {};
  state_.status = static_cast<std::uint16_t>(kWake | (events.status & (kPowerButton | kAlarm)));
  update_interrupt();
}

void PowerManagement::update_interrupt() noexcept {
  sci_->set((state_.status & state_.enable & kEnableMask) != 0 ||
            (state_.event_status & state_.event_enable) != 0);
}

void PowerManagement::reset() noexcept {
  const std::lock_guard lock(mutex_);
  state_ = {};
  update_interrupt();
}

PowerManagement::State PowerManagement::save() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void PowerManagement::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  state_.status &= kStatusMask;
  state_.enable &= kEnableMask;
  state_.control = static_cast<std::uint16_t>((state_.control & ~kSleepEnable) | kSciEnabled);
  update_interrupt();
}

void PowerManagement::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("status", std::uint64_t{state_.status});
  node.add("enable", std::uint64_t{state_.enable});
  node.add("control", std::uint64_t{state_.control});
  node.add("asleep", state_.asleep);
  node.add("event_status", state_.event_status);
  node.add("event_enable", state_.event_enable);
  node.add("timer", timer());
}

}  // namespace warren::vmm
