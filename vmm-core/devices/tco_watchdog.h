// The watchdog timer of the ICH9's total-cost-of-ownership logic (ICH9 data sheet §13.9, and §10.1.75 for the
// general control and status register, whose NO_REBOOT bit decides whether it has consequences): it counts
// down twice, unless the guest reloads it.
//
// It makes no SMI: the chipset has none.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/devices/pausable_timer.h"
#include "vmm-core/state/inspect.h"
#include "vmm-core/state/pausable.h"

namespace warren::vmm {

// Registers on vCPU threads, the timer on its own thread; one lock. Time stands still while it is paused.
class TcoWatchdog final : public IoHandler, public Pausable, public Inspectable {
 public:
  // Ports, behind those of power management (TCOBASE is PMBASE + 60h).
  static constexpr std::uint64_t kPorts = 0x20;
  // Where general control and status is in the chipset's configuration registers, and its size.
  static constexpr std::uint64_t kGeneralControlOffset = 0x3410;
  static constexpr std::uint64_t kGeneralControlSize = 4;
  // 0.6 s (§13.9.12).
  static constexpr std::uint64_t kTickNanoseconds = 600'000'000;

  struct State {
    std::uint32_t version = 1;
    std::uint16_t preload = 4;               // TCO_TMR: ticks, 10 bits
    std::uint16_t status1 = 0, status2 = 0;  // TCO1_STS, TCO2_STS
    std::uint16_t control1 = 0x0800;         // TCO1_CNT: halted, as firmware leaves it
    std::uint8_t timeouts = 0;               // since it was reloaded: 0 or 1, or 2 when it has stopped
    bool no_reboot = true;
    std::array<std::uint8_t, 5>
        scratch{};                       // data in and out, messages, watchdog control: bytes that are kept
    std::uint64_t left_nanoseconds = 0;  // 0: it does not run
  };

  // `expired` is called on `thread` when the timer has counted down twice and NO_REBOOT is clear. `thread`
  // outlives the device. Throws Error.
  TcoWatchdog(std::string name, EventThread& thread, std::function<void()> expired,
              std::uint64_t tick_nanoseconds = kTickNanoseconds);
  ~TcoWatchdog();

  const std::string& name() const noexcept { return name_; }
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  IoHandler& general_control() noexcept { return general_control_; }

  void reset() noexcept;
  void pause() noexcept override;
  void resume() noexcept override;
  // Only while paused. restore() throws Error for what cannot be.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  class GeneralControl final : public IoHandler {
   public:
    explicit GeneralControl(TcoWatchdog& watchdog) : watchdog_(watchdog) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

   private:
    TcoWatchdog& watchdog_;
  };

  std::uint8_t read_byte(std::uint64_t offset) const noexcept;
  void write_byte(std::uint64_t offset, std::uint8_t value) noexcept;
  void write_control1(std::uint16_t value) noexcept;
  void look_at_timer() noexcept;
  void clear() noexcept;
  void begin() noexcept;
  bool is_halted() const noexcept;
  std::uint16_t ticks_left() const noexcept;

  const std::string name_;
  const std::function<void()> expired_;
  const std::uint64_t tick_nanoseconds_;
  GeneralControl general_control_{*this};
  mutable std::mutex mutex_;
  State state_;  // but for left_nanoseconds, which timer_ has
  PausableTimer timer_;
  std::uint64_t expirations_ = 0;
};

}  // namespace warren::vmm
