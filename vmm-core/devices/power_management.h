// The fixed ACPI hardware: PM1 status, enable and control, the PM timer and the GPE block (ACPI 6.5 §4.8), as
// the FADT describes them; and the power button, sleep state S5 and general events that come through them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

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
  static constexpr std::uint8_t kSleepTypeS5 = 5;
  // The general events that vCPUs or memory modules came or are to go (_E02 and _E03 of the DSDT).
  static constexpr std::uint8_t kVcpuEvent = 2, kMemoryEvent = 3;

  struct State {
    std::uint32_t version = 2;
    std::uint16_t status = 0;
    std::uint16_t enable = 0;
    std::uint16_t control = 1;  // SCI_EN: there is no legacy mode
    // From version 2 on, a bit for each general event (§4.8.5.1).
    std::uint64_t event_status = 0;
    std::uint64_t event_enable = 0;
  };

  // `monotonic` gives nanoseconds that stand still while the machine is paused. `power_off` is called on a
  // vCPU thread when the guest enters S5; it must not wait for that thread.
  PowerManagement(std::unique_ptr<InterruptLine> sci, std::function<std::uint64_t()> monotonic,
                  std::function<void()> power_off);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // The user presses the power button. False when the guest has not enabled it, and so will not notice. Any
  // thread.
  bool press_power_button() noexcept;

  // A general event happens, below 64. The guest learns of it once it has enabled it. Any thread.
  void raise_event(std::uint8_t event) noexcept;

  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  std::uint8_t read_byte(std::uint64_t offset, std::uint32_t timer) const noexcept;
  // True when the guest enters S5 with it.
  bool write_byte(std::uint64_t offset, std::uint8_t value) noexcept;
  std::uint32_t timer() const noexcept;
  void update_interrupt() noexcept;

  const std::unique_ptr<InterruptLine> sci_;
  const std::function<std::uint64_t()> monotonic_;
  const std::function<void()> power_off_;
  mutable std::mutex mutex_;
  State state_;
};

}  // namespace warren::vmm
