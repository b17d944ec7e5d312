#include "vmm-core/devices/i6300esb_watchdog.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr pci::Identity kIdentity{.vendor = 0x8086, .device = 0x25ab, .class_code = 0x088000};

// Memory (§16.5): preloads of the stages, interrupt status, reload.
constexpr std::uint64_t kPreload1 = 0x0, kPreload2 = 0x4, kInterruptStatus = 0x8, kReload = 0xc;
constexpr std::uint32_t kPreloadMask = 0xf'ffff;
constexpr std::uint32_t kReloadTimer = 1 << 8, kTimedOut = 1 << 9;
// Written to the reload register one after the other, they let one register be written.
constexpr std::uint32_t kUnlock1 = 0x80, kUnlock2 = 0x86;

// Configuration space (§16.4).
constexpr std::size_t kConfiguration = 0, kLock = 8;
constexpr std::uint16_t kInterruptType = 3, kFastClock = 1 << 2, kNoReset = 1 << 5;
constexpr std::uint16_t kConfigurationMask = kInterruptType | kFastClock | kNoReset;
constexpr std::uint16_t kInterruptByApic = 0;
constexpr std::uint8_t kLocked = 1 << 0, kEnabled = 1 << 1, kFreeRunning = 1 << 2;

// A tick is 2^15 or 2^5 of the PCI clock's, of which there are 33 million a second.
std::uint64_t nanoseconds_of(std::uint32_t ticks, bool fast) {
  return (std::uint64_t{ticks} << (fast ? 5 : 15)) * 1000 / 33;  // 20 + 15 + 10 bits
}

}  // namespace

class I6300esbWatchdog::ConfigurationRegisters final : public IoHandler {
 public:
  explicit ConfigurationRegisters(I6300esbWatchdog& watchdog) : watchdog_(watchdog) {}
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    watchdog_.read_configuration(offset, data);
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    watchdog_.write_configuration(offset, data);
  }

 private:
  I6300esbWatchdog& watchdog_;
};

I6300esbWatchdog::I6300esbWatchdog(std::string name, pci::Place place, EventThread& thread,
                                   std::function<void()> expired)
    : pci::Function(std::move(name), kIdentity, std::move(place)),
      expired_(std::move(expired)),
      timer_(thread, this->name(), [this] { look_at_timer(); }),
      configuration_registers_(std::make_unique<ConfigurationRegisters>(*this)) {
  clear();
  add_bar({.index = 0, .kind = pci::BarKind::memory32, .size = kMemoryBytes, .handler = this});
  add_registers(kConfigurationOffset, kConfigurationBytes, *configuration_registers_);
}

I6300esbWatchdog::~I6300esbWatchdog() = default;

// What a reset of the bus leaves: everything but the memory of what led to it.
void I6300esbWatchdog::clear() noexcept {
  const bool timed_out = state_.timed_out;
  state_ = {};
  state_.preload = {kPreloadMask, kPreloadMask};
  state_.timed_out = timed_out;
  timer_.set(0);
}

void I6300esbWatchdog::reset() {
  {
    const std::lock_guard lock(mutex_);
    clear();
  }
  Function::reset();
}

// A free-running timer has its second stage only (§16.4.3).
void I6300esbWatchdog::begin() noexcept {
  begin_stage(is_free_running() ? 2 : 1);
}

bool I6300esbWatchdog::is_free_running() const noexcept {
  return (state_.lock & kFreeRunning) != 0;
}

void I6300esbWatchdog::begin_stage(std::uint8_t stage) noexcept {
  state_.stage = stage;
  const std::uint64_t time =
      nanoseconds_of(state_.preload[stage - 1U], (state_.configuration & kFastClock) != 0);
  timer_.set(std::max<std::uint64_t>(time, 1));
}

void I6300esbWatchdog::look_at_timer() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!timer_.take_expiry()) return;
    if (state_.stage == 1) {
      // DEVNOTE: the interrupt goes to input 10 of the chip's second I/O APIC, which this machine has not;
      // the status bit is there for whoever looks.
      if ((state_.configuration & kInterruptType) == kInterruptByApic) state_.interrupt_status = true;
      return begin_stage(2);
    }
    const bool has_consequences = (state_.configuration & kNoReset) == 0;
    state_.timed_out = true;
    if (is_free_running()) {
      begin();
    } else {
      // DEVNOTE: the chip's output changes once until it is reset. A guest that was woken, or paused and
      // resumed, and reloads the timer is watched again.
      state_.stage = 0;
    }
    if (!has_consequences) return;
    ++expirations_;
  }
  expired_();
}

void I6300esbWatchdog::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  const std::array<std::uint32_t, 4> registers = {state_.preload[0], state_.preload[1],
                                                  state_.interrupt_status ? 1U : 0U,
                                                  state_.timed_out ? kTimedOut : 0U};
  const auto bytes = std::as_bytes(std::span(registers));
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = offset + i < bytes.size() ? bytes[offset + i] : std::byte{0};
}

void I6300esbWatchdog::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::uint32_t value = 0;
  if (data.size() > sizeof(value)) return;  // no register is that wide
  std::memcpy(&value, data.data(), data.size());
  const std::lock_guard lock(mutex_);
  if (offset == kReload) return write_reload(value, data.size());
  if (offset == kInterruptStatus) {
    if ((value & 1) != 0) state_.interrupt_status = false;
    return;
  }
  if (data.size() != sizeof(value) || (offset != kPreload1 && offset != kPreload2)) return;
  if (std::exchange(state_.unlock, std::uint8_t{0}) != 2) return;
  state_.preload[offset == kPreload1 ? 0 : 1] = value & kPreloadMask;
}

void I6300esbWatchdog::write_reload(std::uint32_t value, std::size_t size) noexcept {
  if (value == kUnlock1) {
    state_.unlock = 1;
  } else if (value == kUnlock2 && state_.unlock == 1) {
    state_.unlock = 2;
  } else if (std::exchange(state_.unlock, std::uint8_t{0}) == 2 && size >= 2) {
    if ((value & kTimedOut) != 0) state_.timed_out = false;
    if ((value & kReloadTimer) != 0 && (state_.lock & kEnabled) != 0) begin();
  }
}

void I6300esbWatchdog::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  std::array<std::byte, kConfigurationBytes> bytes{};
  std::memcpy(&bytes[kConfiguration], &state_.configuration, sizeof(state_.configuration));
  bytes[kLock] = std::byte{state_.lock};
  for (std::size_t i = 0; i < data.size() && offset + i < bytes.size(); ++i) data[i] = bytes[offset + i];
}

void I6300esbWatchdog::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto byte = std::to_integer<std::uint8_t>(data[i]);
    if (offset + i == kConfiguration)
      state_.configuration = static_cast<std::uint16_t>(byte & kConfigurationMask);
    if (offset + i == kLock) write_lock(byte);
  }
}

void I6300esbWatchdog::write_lock(std::uint8_t value) noexcept {
  // Once locked it stays as it is until the machine is reset (§16.4.3).
  if ((state_.lock & kLocked) != 0) return;
  const bool was_enabled = (state_.lock & kEnabled) != 0;
  state_.lock = value & (kLocked | kEnabled | kFreeRunning);
  const bool is_enabled = (state_.lock & kEnabled) != 0;
  if (is_enabled && !was_enabled) begin();
  if (!is_enabled) {
    state_.stage = 0;
    timer_.set(0);
  }
}

void I6300esbWatchdog::pause() noexcept {
  const std::lock_guard lock(mutex_);
  timer_.pause();
}

void I6300esbWatchdog::resume() noexcept {
  const std::lock_guard lock(mutex_);
  timer_.resume();
}

I6300esbWatchdog::State I6300esbWatchdog::save() const {
  const std::lock_guard lock(mutex_);
  State state = state_;
  state.left_nanoseconds = timer_.left();
  return state;
}

void I6300esbWatchdog::restore(const State& state) {
  const bool fits = state.version == 1 && state.stage <= 2 && state.unlock <= 2 &&
                    std::ranges::all_of(state.preload, [](auto value) { return value <= kPreloadMask; }) &&
                    (state.configuration & ~kConfigurationMask) == 0 &&
                    state.left_nanoseconds <= nanoseconds_of(kPreloadMask, false) &&
                    (state.stage == 0) == (state.left_nanoseconds == 0);
  if (!fits) throw Error(std::errc::invalid_argument, name() + ": saved state of a watchdog");
  const std::lock_guard lock(mutex_);
  state_ = state;
  state_.lock &= kLocked | kEnabled | kFreeRunning;
  timer_.set(state.left_nanoseconds);
}

void I6300esbWatchdog::inspect(InspectNode& node) const {
  Function::inspect(node);
  const std::lock_guard lock(mutex_);
  node.add("enabled", (state_.lock & kEnabled) != 0);
  node.add("locked", (state_.lock & kLocked) != 0);
  node.add("stage", std::uint32_t{state_.stage});
  node.add("left_nanoseconds", timer_.left());
  node.add("preload1", state_.preload[0]);
  node.add("preload2", state_.preload[1]);
  node.add("timed_out", state_.timed_out);
  node.add("expirations", expirations_);
}

}  // namespace warren::vmm
