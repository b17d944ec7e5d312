// A 16550A UART (National Semiconductor PC16550D data sheet) at eight byte-wide ports.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/chardev/character_backend.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class Serial final : public IoHandler, public CharacterListener, public Inspectable {
 public:
  static constexpr std::size_t kFifoSize = 16;

  // A bounded byte queue; part of the state.
  struct Fifo {
    std::array<std::uint8_t, kFifoSize> bytes{};
    std::uint8_t first = 0;
    std::uint8_t count = 0;
    bool push(std::uint8_t byte) noexcept;
    std::uint8_t pop() noexcept;  // 0 when empty
    void clear() noexcept { first = count = 0; }
  };

  struct State {
    std::uint32_t version = 1;
    std::uint8_t interrupt_enable = 0;
    std::uint8_t fifo_control = 0;
    std::uint8_t line_control = 0;
    std::uint8_t modem_control = 0;
    std::uint8_t scratch = 0;
    std::uint8_t divisor_low = 1, divisor_high = 0;
    std::uint8_t modem_status_changes = 0;  // the delta bits of MSR
    bool overrun = false;
    bool transmit_interrupt = false;  // THRE happened and was neither read from IIR nor answered by a write
    Fifo receive;
    Fifo transmit;
  };

  // Both outlive the device. `name` is the alias, for inspect().
  Serial(std::string name, std::unique_ptr<InterruptLine> interrupt, CharacterBackend& backend);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  std::size_t receive_capacity() noexcept override;
  void receive(std::span<const std::byte> bytes) noexcept override;
  void output_ready() noexcept override;

  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  const std::string& name() const noexcept { return name_; }
  void inspect(InspectNode& node) const override;

 private:
  std::uint8_t read_register(unsigned index) noexcept;
  void write_register(unsigned index, std::uint8_t value) noexcept;
  std::uint8_t line_status() const noexcept;
  std::uint8_t modem_status() const noexcept;
  std::uint8_t interrupt_identification() const noexcept;
  std::size_t receive_size() const noexcept;
  void transmit(std::uint8_t byte) noexcept;
  void flush_transmit() noexcept;
  void write_fifo_control(std::uint8_t value) noexcept;
  void write_modem_control(std::uint8_t value) noexcept;
  bool fifos_enabled() const noexcept;
  bool loops_back() const noexcept;
  void update_interrupt() noexcept;

  const std::string name_;
  const std::unique_ptr<InterruptLine> interrupt_;
  CharacterBackend& backend_;
  mutable std::mutex mutex_;
  State state_;
  std::uint64_t transmitted_ = 0, received_ = 0, lost_ = 0;
};

}  // namespace warren::vmm
