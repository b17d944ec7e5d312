#include <new>

#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/machine/power.h"

namespace guest {
namespace {

constexpr unsigned kMaximumFunctions = 96;
constexpr std::uint64_t kWindowEnd = 0xfec00000;  // the I/O APIC
constexpr std::uint64_t kBridgeGranularity = 1 << 20;

alignas(PciFunction) std::uint8_t function_storage[kMaximumFunctions * sizeof(PciFunction)];
unsigned function_count;
std::uint64_t next_address;
std::uint8_t last_bus;

PciFunction* functions() {
  return reinterpret_cast<PciFunction*>(function_storage);
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

void scan_bus(std::uint8_t bus);

// Bus numbers, PCI-to-PCI Bridge 1.2 §3.2.5.3: those firmware gave, or the next one.
void scan_behind(PciFunction& bridge) {
  std::uint8_t secondary = bridge.read8(0x19);
  if (secondary == 0) {
    secondary = static_cast<std::uint8_t>(last_bus + 1);
    bridge.write8(0x18, bridge.address().bus);
    bridge.write8(0x19, secondary);
    bridge.write8(0x1a, 0xff);
  }
  if (secondary > last_bus) last_bus = secondary;
  scan_bus(secondary);
  bridge.write8(0x1a, last_bus);
}

void scan_bus(std::uint8_t bus) {
  for (unsigned slot = 0; slot < 256 && function_count < kMaximumFunctions; ++slot) {
    PciAddress address{bus, static_cast<std::uint8_t>(slot >> 3), static_cast<std::uint8_t>(slot & 7)};
    if (port_config_read16(address, 0) == 0xffff) {
      if (address.function == 0) slot |= 7;
      continue;
    }
    auto* function = new (functions() + function_count++) PciFunction(address);
    bool single = address.function == 0 && !(function->read8(0x0e) & 0x80);
    if (function->is_bridge()) scan_behind(*function);
    if (single) slot |= 7;
  }
}

bool placed(const PciBar& bar) {
  return bar.address != 0;
}

// New BARs go above everything that has a place already.
void find_free_space() {
  std::uint64_t ecam_end = acpi_machine.ecam + ((acpi_machine.last_bus + std::uint64_t{1}) << 20);
  next_address = acpi_machine.ecam != 0 && ecam_end < 0xf8000000 ? ecam_end : 0xf0000000;
  for (auto& function : pci_functions())
    for_each_bar(function, [](unsigned, const PciBar& bar) {
      std::uint64_t end = bar.address + bar.size;
      if (!bar.io && placed(bar) && end <= kWindowEnd && end > next_address) next_address = end;
    });
}

// The unplaced memory BARs of one bus.
bool place_bars(std::uint8_t bus) {
  bool any = false;
  for (auto& function : pci_functions()) {
    if (function.address().bus != bus) continue;
    for_each_bar(function, [&](unsigned index, const PciBar& bar) {
      if (bar.io || placed(bar)) return;
      next_address = round_up(next_address, bar.size < 0x1000 ? 0x1000 : bar.size);
      function.set_bar(index, next_address);
      next_address += bar.size;
      if (next_address > kWindowEnd) stop("no room for BARs");
      any = true;
    });
  }
  return any;
}

// The memory window has megabyte granularity (PCI-to-PCI Bridge 1.2 §3.2.5.6).
void open_bridge(PciFunction& bridge) {
  next_address = round_up(next_address, kBridgeGranularity);
  std::uint64_t start = next_address;
  if (place_bars(bridge.read8(0x19))) {
    next_address = round_up(next_address, kBridgeGranularity);
    bridge.write16(0x20, static_cast<std::uint16_t>(start >> 16));
    bridge.write16(0x22, static_cast<std::uint16_t>((next_address - 1) >> 16 & 0xfff0));
  }
  bridge.write16(4, static_cast<std::uint16_t>(bridge.read16(4) | 6));
}

}  // namespace

std::span<PciFunction> pci_functions() {
  return {functions(), function_count};
}

void initialize_pci() {
  scan_bus(0);
  find_free_space();
  place_bars(0);
  for (auto& function : pci_functions())
    if (function.is_bridge()) open_bridge(function);
}

}  // namespace guest
