// Where a PCI function is: bus, slot (device number) and function.
#pragma once

#include <compare>
#include <cstdint>

namespace warren::vmm::pci {

inline constexpr std::uint8_t kSlots = 32;
inline constexpr std::uint8_t kFunctions = 8;

struct Address {
  std::uint8_t bus = 0;
  std::uint8_t slot = 0;      // 0..31
  std::uint8_t function = 0;  // 0..7

  friend auto operator<=>(const Address&, const Address&) = default;
};

}  // namespace warren::vmm::pci
