// The fixed ACPI hardware: PM1 status, enable and control, the PM timer and the GPE block (ACPI 6.5 §4.8), as
// the FADT describes them; and what comes through them: the power button, the clock's alarm, sleep states and
// general events.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class PowerManagement final : public IoHandler, public Inspectable {
 public:
  // Offsets of the registers in the block; the ACPI tables are made from these.
  static constexpr std::uint16_t kSize = 0x80;
  static constexpr std::uint16_t kPm1Status = 0x00, kPm1Enable = 0x02, kPm1Control = 0x04, kTimer = 0x08;
  static constexpr std::uint16_t kGpe0 = 0x20;
  static constexpr std::uint8_t kGpe0Size = 16;
  // A sleep state is its own SLP_TYP; the DSDT says so (§7.4.2).
  enum class SleepState : std::uint8_t { s3 = 3, s4 = 4, s5 = 5 };
  struct SleepStates {  // besides S5
    bool s3 = false;
    bool s4 = false;
  };
  // The general events that vCPUs, memory modules or PCI devices came or are to go (_E02, _E03 and _E04 of
  // the tables).
  static constexpr std::uint8_t kVcpuEvent = 2, kMemoryEvent = 3, kPciEvent = 4;

  struct State {
    std::uint32_t version = 3;
    std::uint16_t status = 0;
    std::uint16_t enable = 0;
    std::uint16_t control = 1;  // SCI_EN: there is no legacy mode
    // From version 2 on, a bit for each general event (§4.8.5.1).
    std::uint64_t event_status = 0;
    std::uint64_t event_enable = 0;
    // From version 3 on: the guest has entered S3, and nothing has woken it yet.
    bool asleep = false;
  };

  struct Actions {
    // The guest enters a state that it was told of. On a vCPU thread; must not wait for that thread.
    std::function<void(SleepState)> sleep;
    // There may be something that wakes_guest(). On any thread, and must not come back.
    std::function<void()> wake;
  };

  // `monotonic` gives nanoseconds that stand still while the machine is paused.
  PowerManagement(std::unique_ptr<InterruptLine> sci, std::function<std::uint64_t()> monotonic,
                  SleepStates states, Actions actions);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // The user presses the power button. False when the guest has not enabled it, and so will not notice. Any
  // thread.
  bool press_power_button() noexcept;

  // The real-time clock's alarm rings. Any thread.
  void note_alarm() noexcept;

  // Of a guest in S3: the power button was pressed, or an alarm that it enabled has rung (§4.8.3.1.1).
  bool wakes_guest() const noexcept;
  // What a machine that is reset to leave S3 tells its guest: what has woken it, or else the power button, by
  // which operating systems know that a user is there.
  struct WakeEvents {
    std::uint16_t status = 0;
  };
  WakeEvents wake_events() const noexcept;
  void wake(WakeEvents events) noexcept;

  // A general event happens, below 64. The guest learns of it once it has enabled it. Any thread.
  void raise_event(std::uint8_t event) noexcept;

  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  std::uint8_t read_byte(std::uint64_t offset, std::uint32_t timer) const noexcept;
  // The state that the guest enters with it.
  std::optional<SleepState> write_byte(std::uint64_t offset, std::uint8_t value) noexcept;
  std::optional<SleepState> entered(std::uint16_t control) const noexcept;
  bool has_wake_event() const noexcept;
  void note_status(std::uint16_t bit) noexcept;
  std::uint32_t timer() const noexcept;
  void update_interrupt() noexcept;

  const std::unique_ptr<InterruptLine> sci_;
  const std::function<std::uint64_t()> monotonic_;
  const SleepStates states_;
  const Actions actions_;
  mutable std::mutex mutex_;
  State state_;
};

}  // namespace warren::vmm
