#include "tests/guest/machine/pci.h"

#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"

namespace guest {
namespace {

std::uint32_t config_address(PciAddress address, std::uint16_t offset) {
  return 0x80000000 | address.bus << 16 | address.device << 11 | address.function << 8 | (offset & 0xfc);
}

}  // namespace

std::uint8_t port_config_read8(PciAddress address, std::uint16_t offset) {
  out32(0xcf8, config_address(address, offset));
  return in8(static_cast<std::uint16_t>(0xcfc + (offset & 3)));
}
std::uint16_t port_config_read16(PciAddress address, std::uint16_t offset) {
  out32(0xcf8, config_address(address, offset));
  return in16(static_cast<std::uint16_t>(0xcfc + (offset & 2)));
}
std::uint32_t port_config_read32(PciAddress address, std::uint16_t offset) {
  out32(0xcf8, config_address(address, offset));
  return in32(0xcfc);
}
void port_config_write32(PciAddress address, std::uint16_t offset, std::uint32_t value) {
  out32(0xcf8, config_address(address, offset));
  out32(0xcfc, value);
}

std::uint64_t ecam_address(PciAddress address) {
  const auto& machine = acpi_machine;
  if (machine.ecam == 0 || address.bus < machine.first_bus || address.bus > machine.last_bus) return 0;
  return machine.ecam + (std::uint64_t{address.bus} << 20 | address.device << 15 | address.function << 12);
}

PciFunction::PciFunction(PciAddress address) : address_(address), ecam_(ecam_address(address)) {}

std::uint8_t PciFunction::read8(std::uint16_t offset) const {
  return ecam_ ? guest::read8(ecam_ + offset) : port_config_read8(address_, offset);
}
std::uint16_t PciFunction::read16(std::uint16_t offset) const {
  return ecam_ ? guest::read16(ecam_ + offset) : port_config_read16(address_, offset);
}
std::uint32_t PciFunction::read32(std::uint16_t offset) const {
  return ecam_ ? guest::read32(ecam_ + offset) : port_config_read32(address_, offset);
}
void PciFunction::write8(std::uint16_t offset, std::uint8_t value) {
  if (ecam_) return guest::write8(ecam_ + offset, value);
  out32(0xcf8, config_address(address_, offset));
  out8(static_cast<std::uint16_t>(0xcfc + (offset & 3)), value);
}
void PciFunction::write16(std::uint16_t offset, std::uint16_t value) {
  if (ecam_) return guest::write16(ecam_ + offset, value);
  out32(0xcf8, config_address(address_, offset));
  out16(static_cast<std::uint16_t>(0xcfc + (offset & 2)), value);
}
void PciFunction::write32(std::uint16_t offset, std::uint32_t value) {
  if (ecam_) return guest::write32(ecam_ + offset, value);
  port_config_write32(address_, offset, value);
}

std::uint8_t PciFunction::find_capability(std::uint8_t id, std::uint8_t after) const {
  if (!(read16(6) & 1 << 4)) return 0;
  std::uint8_t at = after ? read8(static_cast<std::uint16_t>(after + 1)) : read8(0x34);
  for (int hops = 0; at >= 0x40 && hops < 48; ++hops) {
    if (read8(at) == id) return at;
    at = read8(static_cast<std::uint16_t>(at + 1));
  }
  return 0;
}

PciBar PciFunction::bar(unsigned index) {
  auto offset = static_cast<std::uint16_t>(0x10 + 4 * index);
  std::uint16_t command = read16(4);
  write16(4, static_cast<std::uint16_t>(command & ~3));
  std::uint32_t low = read32(offset);
  write32(offset, 0xffffffff);
  std::uint32_t mask = read32(offset);
  write32(offset, low);
  PciBar bar;
  if (low & 1) {
    bar.io = true;
    bar.address = low & ~3u;
    if (mask != 0) bar.size = (~(mask & ~3u) + 1) & 0xffff;
  } else {
    bar.wide = (low & 6) == 4;
    bar.prefetchable = (low & 8) != 0;
    std::uint64_t address = low & ~0xfu;
    std::uint64_t wide_mask = 0xffffffff00000000 | (mask & ~0xfu);
    if (bar.wide) {
      auto upper = static_cast<std::uint16_t>(offset + 4);
      std::uint32_t high = read32(upper);
      write32(upper, 0xffffffff);
      wide_mask = std::uint64_t{read32(upper)} << 32 | (mask & ~0xfu);
      write32(upper, high);
      address |= std::uint64_t{high} << 32;
    }
    bar.address = address;
    if ((mask & ~0xfu) != 0 || (bar.wide && wide_mask >> 32 != 0)) bar.size = ~wide_mask + 1;
  }
  write16(4, command);
  return bar;
}

void PciFunction::set_bar(unsigned index, std::uint64_t address) {
  PciBar found = bar(index);
  auto offset = static_cast<std::uint16_t>(0x10 + 4 * index);
  write32(offset, static_cast<std::uint32_t>(address));
  if (found.wide) write32(static_cast<std::uint16_t>(offset + 4), static_cast<std::uint32_t>(address >> 32));
}

void PciFunction::enable() {
  for_each_bar(*this, [](unsigned, const PciBar& found) {
    if (!found.io && found.address + found.size > 0x100000000) map_identity(found.address, found.size);
  });
  write16(4, static_cast<std::uint16_t>(read16(4) | 6));
}

}  // namespace guest
