// PCI functions: configuration space by both mechanisms, capabilities, BARs.
#pragma once

#include <cstdint>
#include <span>

namespace guest {

struct PciAddress {
  std::uint8_t bus = 0, device = 0, function = 0;
};

// Configuration mechanism #1 (PCI 3.0 §3.2.2.3.2): ports 0xcf8 and 0xcfc.
std::uint8_t port_config_read8(PciAddress address, std::uint16_t offset);
std::uint16_t port_config_read16(PciAddress address, std::uint16_t offset);
std::uint32_t port_config_read32(PciAddress address, std::uint16_t offset);
void port_config_write32(PciAddress address, std::uint16_t offset, std::uint32_t value);
// The address of a function's 4 KiB in the enhanced configuration space; 0 when the MCFG does not cover it.
std::uint64_t ecam_address(PciAddress address);

struct PciBar {
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // 0: not implemented
  bool io = false, wide = false, prefetchable = false;
};

class PciFunction {
 public:
  explicit PciFunction(PciAddress address);

  PciAddress address() const { return address_; }
  std::uint16_t vendor() const { return read16(0); }
  std::uint16_t device() const { return read16(2); }
  std::uint32_t class_code() const { return read32(8) >> 8; }

  // Through the enhanced configuration space when there is one.
  std::uint8_t read8(std::uint16_t offset) const;
  std::uint16_t read16(std::uint16_t offset) const;
  std::uint32_t read32(std::uint16_t offset) const;
  void write8(std::uint16_t offset, std::uint8_t value);
  void write16(std::uint16_t offset, std::uint16_t value);
  void write32(std::uint16_t offset, std::uint32_t value);

  // The offset of the next capability with that id after `after` (0: from the start); 0 when there is none.
  std::uint8_t find_capability(std::uint8_t id, std::uint8_t after = 0) const;

  // Sizes the BAR (decoding is off meanwhile).
  PciBar bar(unsigned index);
  void set_bar(unsigned index, std::uint64_t address);
  bool is_bridge() const { return (read8(0x0e) & 0x7f) == 1; }
  // Maps the memory BARs, and turns memory decoding and bus mastering on.
  void enable();

 private:
  PciAddress address_;
  std::uint64_t ecam_;
};

// Calls visit(index, bar) for every BAR the function has.
template <typename Visit>
void for_each_bar(PciFunction& function, Visit visit) {
  for (unsigned index = 0, count = function.is_bridge() ? 2 : 6; index < count; ++index) {
    PciBar bar = function.bar(index);
    if (bar.size != 0) visit(index, bar);
    if (bar.wide) ++index;
  }
}

// All functions, found once: bus 0 and the buses behind its bridges, each device of a bus after the other.
std::span<PciFunction> pci_functions();

// Finds them; numbers the buses, opens the bridges' windows and places the memory BARs where no firmware did.
void initialize_pci();

}  // namespace guest
