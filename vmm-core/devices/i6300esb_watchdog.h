// The watchdog timer of the Intel 6300ESB (data sheet 300641, §16): a timer of two stages on PCI, which the
// guest must reload before the second one ends.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "vmm-core/devices/pausable_timer.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/state/pausable.h"

namespace warren::vmm {

// Registers on vCPU threads, the timer on its own thread; one lock. Time stands still while it is paused.
class I6300esbWatchdog final : public pci::Function, public Pausable, private IoHandler {
 public:
  struct State {
    std::uint32_t version = 1;
    std::array<std::uint32_t, 2> preload{};  // of each stage, in ticks: 20 bits
    std::uint16_t configuration = 0;
    std::uint8_t lock = 0;
    std::uint8_t stage = 0;   // that runs: 1 or 2; 0: none
    std::uint8_t unlock = 0;  // how much of the unlock sequence has been written: 0, 1 or 2
    bool interrupt_status = false;
    bool timed_out = false;
    std::uint64_t left_nanoseconds = 0;  // of the stage
  };

  // `expired` is called on `thread` when the second stage has ended and the guest wants that to have
  // consequences. `thread` outlives the device. Throws Error.
  I6300esbWatchdog(std::string name, pci::Place place, EventThread& thread, std::function<void()> expired);
  ~I6300esbWatchdog() override;

  void reset() override;
  void pause() noexcept override;
  void resume() noexcept override;
  // Only while paused. restore() throws Error for what cannot be.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

  static constexpr std::uint64_t kMemoryBytes = 16;
  // Of its registers in configuration space (§16.4): WDT configuration at 0x60, lock at 0x68.
  static constexpr std::uint16_t kConfigurationOffset = 0x60;
  static constexpr std::uint8_t kConfigurationBytes = 12;

 private:
  class ConfigurationRegisters;

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept;
  void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept;
  void write_lock(std::uint8_t value) noexcept;
  void write_reload(std::uint32_t value, std::size_t size) noexcept;
  void look_at_timer() noexcept;
  void clear() noexcept;
  void begin() noexcept;
  void begin_stage(std::uint8_t stage) noexcept;
  bool is_free_running() const noexcept;

  const std::function<void()> expired_;
  mutable std::mutex mutex_;
  State state_;  // but for left_nanoseconds, which timer_ has
  PausableTimer timer_;
  std::uint64_t expirations_ = 0;
  std::unique_ptr<ConfigurationRegisters> configuration_registers_;
};

}  // namespace warren::vmm
