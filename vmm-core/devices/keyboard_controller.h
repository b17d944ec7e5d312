// An i8042 keyboard controller with a PS/2 keyboard and nothing at its mouse port (IBM PS/2 Technical
// Reference, "Keyboard and Auxiliary Device Controller"): resets the machine, and can type ctrl-alt-del.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class KeyboardController final : public IoHandler, public Inspectable {
 public:
  static constexpr std::size_t kQueueSize = 64;

  struct State {
    std::uint32_t version = 1;
    std::uint8_t command_byte = 0x61;  // translation, no mouse, keyboard interrupt
    std::uint8_t output_port = 0xdf;   // reset line high, A20 open
    std::uint8_t pending_command = 0;  // waits for its data byte at port 0x60; 0: none
    std::uint8_t pending_keyboard_command = 0;
    bool scanning = true;
    std::array<std::uint8_t, kQueueSize> queue{};  // bytes for the guest
    std::uint8_t first = 0, count = 0;
  };

  // Mapped at port 0x60 with size 5: offset 0 is the data port, 4 the command and status port; the ports
  // between are others'. `reset` is called on a vCPU thread; it must not wait for that thread.
  KeyboardController(std::unique_ptr<InterruptLine> interrupt, std::function<void()> reset);

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // Keys go down in the order of `codes`, or up in the other: AT set 1 make codes, 0xe0 in the high byte for
  // extended keys. False, with nothing sent, when the keyboard is disabled or its queue is too full. Any
  // thread.
  bool press(std::span<const std::uint16_t> codes) noexcept;
  bool release(std::span<const std::uint16_t> codes) noexcept;
  // Types ctrl-alt-del; as press().
  bool press_ctrl_alt_del() noexcept;

  void reset() noexcept;
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

 private:
  bool push(std::uint8_t byte) noexcept;
  bool can_type(std::size_t bytes) const noexcept;
  void type(std::uint16_t code, bool up) noexcept;
  std::uint8_t pop() noexcept;
  std::uint8_t status() const noexcept;
  // Both return true when the machine is to be reset.
  bool write_command(std::uint8_t command) noexcept;
  bool write_data(std::uint8_t value) noexcept;
  void write_keyboard(std::uint8_t value) noexcept;
  void update_interrupt() noexcept;

  const std::unique_ptr<InterruptLine> interrupt_;
  const std::function<void()> reset_;
  mutable std::mutex mutex_;
  State state_;
};

}  // namespace warren::vmm
