// The MC146818A real-time clock and CMOS RAM at ports 0x70 and 0x71 (data sheet; ICH9 §13.6 for the century
// byte and the upper bank's absence). Time comes from a clock given at construction plus an offset; a guest
// that sets the time changes the offset. Periodic, alarm and update-ended flags are computed when they are
// looked at; interrupts are raised by tick(), which the machine calls when next_tick() says.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class RealTimeClock final : public IoHandler, public Inspectable {
 public:
  using Nanoseconds = std::int64_t;
  // Nanoseconds since 1970 in UTC.
  using HostClock = std::function<Nanoseconds()>;

  // What becomes of periodic interrupts that fell due while the one before was not yet acknowledged.
  enum class MissedTicks {
    merge,     // they are one, as on the real chip
    catch_up,  // each comes as soon as the one before is acknowledged
  };

  struct State {
    std::uint32_t version = 1;
    std::uint32_t missed_ticks = 0;  // still to come
    std::uint8_t index = 0;
    std::array<std::uint8_t, 128> memory{};
    Nanoseconds offset = 0;         // what the guest's clock shows minus the host's
    Nanoseconds checked_until = 0;  // guest time up to which flags have been computed
  };

  // `wake` is called, from any thread, when next_tick() may have changed.
  RealTimeClock(std::unique_ptr<InterruptLine> interrupt, HostClock clock, Nanoseconds offset,
                std::function<void()> wake, MissedTicks missed_ticks = MissedTicks::merge);

  // `clock_set` is told what the guest's clock shows minus the host's when the guest has set it: once, when
  // it lets the clock run again (register B, SET), or with each register it writes without stopping it. On
  // the writing thread. Before anything runs.
  void set_observer(std::function<void(Nanoseconds)> clock_set) { clock_set_ = std::move(clock_set); }

  // `alarm` is called when the alarm rings while its interrupt is enabled, with the clock's lock held: it
  // must not come back. On any thread. Before anything runs.
  void set_alarm_observer(std::function<void()> alarm) { alarm_ = std::move(alarm); }

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // How long from now until tick() is wanted; nothing while no interrupt is enabled.
  std::optional<Nanoseconds> next_tick() const noexcept;
  void tick() noexcept;

  // Time goes on over a reset, as a battery sees to.
  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  Nanoseconds now() const noexcept;
  void set_now(Nanoseconds time) noexcept;
  std::uint8_t read_register() noexcept;
  void write_register(std::uint8_t value) noexcept;
  std::uint8_t time_register(unsigned index) const noexcept;
  void set_time_register(unsigned index, std::uint8_t value) noexcept;
  std::uint8_t encode(unsigned value) const noexcept;
  unsigned decode(std::uint8_t value) const noexcept;
  bool alarm_between(Nanoseconds from, Nanoseconds to) const noexcept;
  Nanoseconds period() const noexcept;
  void check_events() noexcept;
  void count_ticks(Nanoseconds from, Nanoseconds to) noexcept;
  void acknowledge() noexcept;
  void update_interrupt() noexcept;

  const std::unique_ptr<InterruptLine> interrupt_;
  const HostClock clock_;
  const std::function<void()> wake_;
  const MissedTicks missed_ticks_;
  std::function<void(Nanoseconds)> clock_set_;
  std::function<void()> alarm_;
  mutable std::mutex mutex_;
  Nanoseconds told_offset_ = 0;  // what the observer knows
  State state_;
};

}  // namespace warren::vmm
