// A PCI Express root port: a type 1 function of the root bus with one device behind it.
//
// Its windows are registers that software finds programmed and may program again; they do not gate what the
// device behind decodes. (DEVNOTE: guests place BARs inside the windows they program, so gating would change
// nothing but the cost of each remap.)
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "vmm-core/pci/address.h"
#include "vmm-core/pci/function.h"

namespace warren::vmm::pci {

// A range of addresses, inclusive; empty when last < first.
struct Window {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
};

class RootPort final : public Function {
 public:
  RootPort(std::string name, Place place, std::uint8_t port_number);

  // The bus behind the port, as the guest numbered it.
  std::uint8_t secondary_bus() noexcept;
  // Functions of the device behind the port (slot 0).
  void attach(std::uint8_t function, Function& device);
  Function* find(std::uint8_t function) const noexcept { return devices_[function]; }

  // From the machine, before the guest runs.
  void set_buses(std::uint8_t secondary, std::uint8_t subordinate);
  void set_windows(const Window& io, const Window& memory, const Window& prefetchable);

 private:
  template <typename T>
  void set_register(std::uint16_t offset, T value);

  std::array<Function*, kFunctions> devices_{};
};

}  // namespace warren::vmm::pci
