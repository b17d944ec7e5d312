// The slot of a PCI Express port whose device comes and goes while the guest runs: the slot registers and
// native hot plug (PCIe 5.0 §6.7, §7.5.3.9 to §7.5.3.11), with an attention button for orderly removal, a
// power controller and indicators. Commands take effect at once, so none is ever reported as completed.
//
// Registers are accessed from vCPU threads, everything else from the machine's; the slot has its own lock.
// The interrupt function is called with it held and must not come back; the release function is called
// without.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "vmm-core/bus/io_handler.h"

namespace warren::vmm::pci {

struct HotPlugSlotState {
  std::uint32_t version = 1;
  std::uint16_t control = 0;
  std::uint16_t status = 0;
  bool removal_requested = false;
};

enum class RemovalRequest : std::uint8_t {
  asked,        // the button was pressed: the guest decides
  in_progress,  // it was pressed before, and the guest has not come to it or is about to let go
  released,     // the guest does not use the device: the release function has been called
  empty,
};

class HotPlugSlot final : public IoHandler {
 public:
  struct Actions {
    // The level of the port's interrupt.
    std::function<void(bool)> interrupt;
    // The guest has let go of the device whose removal was requested: power and power indicator are off. From
    // a vCPU thread, once a request. Must not block or access the port.
    std::function<void()> release;
  };
  // `number` is the physical slot number, below 8192, unique in the machine.
  HotPlugSlot(std::uint16_t number, Actions actions);

  // A device is in the slot from now on, or no longer; the guest is told. Nothing happens when it is so
  // already.
  void set_present(bool present);
  // The guest's own driver listens to the slot: its interrupt is enabled.
  bool is_driven() const noexcept;
  // What firmware does to a slot that no driver of the guest's drives: power for what is in it, or none. An
  // orderly removal that was under way has come to its end then, without the release function being called.
  void set_power(bool on);
  // Asks the guest to let go.
  RemovalRequest request_removal();
  // Whether what is in the slot answers: it is there and has power.
  bool link_active() const noexcept;

  // To power-on state. A device whose removal was requested counts as released.
  void reset();

  HotPlugSlotState save() const;
  // Throws Error when it is of another version.
  void restore(const HotPlugSlotState& state);

  // Inside the PCI Express capability of the port; `offset` counts from its first byte. Reads replace what
  // the slot answers for.
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

 private:
  std::uint8_t byte_at(std::uint64_t offset, std::uint8_t stored) const noexcept;
  bool is_linked() const noexcept;
  bool is_let_go() const noexcept;
  void raise(std::uint16_t events) noexcept;
  bool take_release() noexcept;

  const std::uint32_t capabilities_;
  const Actions actions_;
  mutable std::mutex mutex_;
  std::uint16_t control_;
  std::uint16_t status_ = 0;
  bool removal_requested_ = false;
};

}  // namespace warren::vmm::pci
