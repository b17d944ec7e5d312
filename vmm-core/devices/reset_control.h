// The reset control register at port 0xcf9 (ICH9 data sheet §13.7.5, RST_CNT): how PCs without anything
// better, and ACPI's reset register, reset the machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class ResetControl final : public IoHandler, public Inspectable {
 public:
  // Written to the register, it resets processors and devices; the ACPI tables tell guests so.
  static constexpr std::uint8_t kResetEverything = 0x06;

  struct State {
    std::uint32_t version = 1;
    std::uint8_t value = 0;
  };

  // `reset` is called on a vCPU thread when the guest asks for it; it must not wait for that thread.
  explicit ResetControl(std::function<void()> reset) : reset_(std::move(reset)) {}

  // One register, whatever the offset.
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  void reset() noexcept { value_.store(0, std::memory_order_relaxed); }
  State save() const noexcept { return {.value = value_.load(std::memory_order_relaxed)}; }
  void restore(const State& state) noexcept { value_.store(state.value, std::memory_order_relaxed); }
  void inspect(InspectNode& node) const override;

 private:
  const std::function<void()> reset_;
  std::atomic<std::uint8_t> value_{0};
};

}  // namespace warren::vmm
