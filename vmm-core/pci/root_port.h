// A PCI Express root port: a type 1 function of the root bus with one device behind it.
//
// Its windows are registers that software finds programmed and may program again; they do not gate what the
// device behind decodes. (DEVNOTE: guests place BARs inside the windows they program, so gating would change
// nothing but the cost of each remap.)
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "vmm-core/pci/address.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/pci/hot_plug_slot.h"

namespace warren::vmm::pci {

// A range of addresses, inclusive; empty when last < first.
struct Window {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
};

class RootPort final : public Function {
 public:
  // The device behind it stays.
  RootPort(std::string name, Place place, std::uint8_t port_number);
  // The device behind it comes and goes; `release` as in HotPlugSlot::Actions. It interrupts by INTA#.
  RootPort(std::string name, Place place, std::uint8_t port_number, std::function<void()> release);

  // The bus behind the port, as the guest numbered it.
  std::uint8_t secondary_bus() noexcept;
  // Functions of the device behind the port (slot 0).
  void attach(std::uint8_t function, Function& device);
  // Nothing answers behind a slot without power.
  Function* find(std::uint8_t function) const noexcept {
    return slot_ == nullptr || slot_->link_active() ? devices_[function] : nullptr;
  }

  // Only with a hot-plug slot, while no vCPU accesses configuration space. plug() attaches function 0 and
  // tells the guest, throws Error when the slot is taken; unplug() forgets what is behind the port, which the
  // owner may destroy then.
  void plug(Function& device);
  void unplug();
  bool has_slot() const noexcept { return slot_ != nullptr; }
  std::uint8_t slot_number() const noexcept { return slot_number_; }
  // As HotPlugSlot.
  bool is_driven() const noexcept { return slot_->is_driven(); }
  void set_power(bool on) { slot_->set_power(on); }
  // Asks the guest to let go. Any thread.
  RemovalRequest request_removal() { return slot_->request_removal(); }

  void reset() override;

  // From the machine, before the guest runs.
  void set_buses(std::uint8_t secondary, std::uint8_t subordinate);
  void set_windows(const Window& io, const Window& memory, const Window& prefetchable);

 private:
  void initialize_header();

  template <typename T>
  void set_register(std::uint16_t offset, T value);

  std::array<Function*, kFunctions> devices_{};
  std::uint8_t slot_number_ = 0;
  std::unique_ptr<HotPlugSlot> slot_;  // null: not hot-pluggable
};

}  // namespace warren::vmm::pci
