// Where things are in the guest-physical and port address spaces of the q35 machine, and which interrupt goes
// where. The one place that the assembly, the ACPI tables and the boot protocols take these numbers from.
//
// Addresses and sizes in bytes. Fixed places follow the Q35/ICH9 data sheets (MCH §2, ICH9 §6), so that
// firmware finds what it expects.
#pragma once

#include <algorithm>
#include <cstdint>

namespace warren::vmm::machine {

inline constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGibibyte = std::uint64_t{1} << 30;

// RAM below 4 GiB ends here at the latest; the rest continues at 4 GiB. A gibibyte boundary keeps the second
// part alignable for huge pages.
inline constexpr std::uint64_t kLowRamMaximum = 2 * kGibibyte;
inline constexpr std::uint64_t kHighRamStart = 4 * kGibibyte;

// The VGA and option ROM hole of every PC: RAM lies behind it, but memory maps leave it out.
inline constexpr std::uint64_t kLegacyHoleStart = 0xa0000;
inline constexpr std::uint64_t kLegacyHoleEnd = 0x100000;

// PCI Express configuration space by memory (PCIe 5.0 §7.2.2): segment 0, buses 0 to 255.
inline constexpr std::uint64_t kEcamBase = 0xb000'0000;
inline constexpr std::uint64_t kEcamSize = 256 * kMebibyte;
inline constexpr std::uint8_t kLastBus = 255;

// What the host bridge forwards to PCI below 4 GiB.
inline constexpr std::uint64_t kPciWindow32Start = 0xc000'0000;
inline constexpr std::uint64_t kPciWindow32End = 0xfec0'0000;

inline constexpr std::uint64_t kIoApicBase = 0xfec0'0000;
inline constexpr std::uint64_t kLocalApicBase = 0xfee0'0000;

// Pages KVM takes for itself on Intel hosts (KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR: three pages).
inline constexpr std::uint64_t kKvmIdentityMapAddress = 0xfffb'c000;
inline constexpr std::uint64_t kKvmTssAddress = 0xfffb'd000;

// What the host bridge forwards to PCI above 4 GiB: it starts at the first gibibyte boundary behind RAM and
// what is kept free for memory devices.
inline constexpr std::uint64_t kPciWindow64Size = 32 * kGibibyte;

// Ports that PCI I/O BARs are placed in; the ISA and chipset ports are all below.
inline constexpr std::uint16_t kPciPortWindowStart = 0xc000;
inline constexpr std::uint32_t kPciPortWindowEnd = 0x1'0000;
inline constexpr std::uint16_t kPciConfigAddressPort = 0xcf8;  // PCI 3.0 §3.2.2.3.2
inline constexpr std::uint16_t kPciConfigDataPort = 0xcfc;
inline constexpr std::uint16_t kResetControlPort = 0xcf9;  // ICH9 RST_CNT, §13.7.5

// ACPI power management block (ICH9 PMBASE) and its interrupt.
inline constexpr std::uint16_t kPowerManagementBase = 0x600;
inline constexpr std::uint16_t kPowerManagementSize = 0x80;
inline constexpr std::uint32_t kSciGsi = 9;

// Behind them, the TCO block (ICH9 TCOBASE, §13.9), where it is there.
inline constexpr std::uint16_t kTcoOffset = 0x60;

// The chipset's configuration registers (ICH9 RCBA, §10.1), as firmware places them.
inline constexpr std::uint64_t kRootComplexBase = 0xfed1'c000;
inline constexpr std::uint64_t kRootComplexSize = 0x4000;

// The registers of vCPUs that come and go, in the chipset's range below the local APICs.
inline constexpr std::uint64_t kVcpuHotPlugBase = 0xfec2'0000;

// Likewise of memory modules, and of PCI devices behind root ports.
inline constexpr std::uint64_t kMemoryHotPlugBase = 0xfec3'0000;
inline constexpr std::uint64_t kPciHotPlugBase = 0xfec4'0000;

inline constexpr std::uint32_t kIoApicPins = 24;

// The INTx wires of the root bus end at the I/O APIC's upper eight inputs (PIRQA#–PIRQH#), level, active low.
inline constexpr std::uint32_t kFirstPciGsi = 16;
inline constexpr std::uint32_t kPciGsis = 8;

// The GSI of pin 0–3 (INTA#–INTD#) of a slot of bus 0. The DSDT's _PRT says the same. Behind a root port pins
// are swizzled first: (slot + pin) % 4 at the port's own slot (PCI-to-PCI Bridge 1.2 §9.1).
constexpr std::uint32_t pci_interrupt_gsi(std::uint8_t slot, std::uint8_t pin) noexcept {
  return kFirstPciGsi + (std::uint32_t{slot} + pin) % kPciGsis;
}

// Where `ram_bytes` of RAM and the windows that depend on it lie.
struct MemoryMap {
  std::uint64_t low_ram_size = 0;    // from 0
  std::uint64_t high_ram_size = 0;   // from kHighRamStart; 0: none
  std::uint64_t hot_plug_start = 0;  // what memory devices come to
  std::uint64_t hot_plug_size = 0;   // 0: none comes
  std::uint64_t pci_window64_start = 0;
  std::uint64_t pci_window64_end = 0;

  constexpr std::uint64_t ram_end() const noexcept {
    return high_ram_size != 0 ? kHighRamStart + high_ram_size : low_ram_size;
  }
};

// `ram_bytes`: a multiple of 4 KiB, at most 2^46; `hot_plug_bytes` likewise, for `hot_plug_devices` of at
// most 2^16 memory devices, each of which begins at a gibibyte boundary.
constexpr MemoryMap make_memory_map(std::uint64_t ram_bytes, std::uint64_t hot_plug_bytes = 0,
                                    std::uint32_t hot_plug_devices = 0) noexcept {
  MemoryMap map;
  map.low_ram_size = std::min(ram_bytes, kLowRamMaximum);
  map.high_ram_size = ram_bytes - map.low_ram_size;
  constexpr auto aligned = [](std::uint64_t value) {
    return (value + kGibibyte - 1) / kGibibyte * kGibibyte;
  };
  map.hot_plug_start = aligned(kHighRamStart + map.high_ram_size);
  if (hot_plug_bytes != 0) map.hot_plug_size = aligned(hot_plug_bytes) + hot_plug_devices * kGibibyte;
  map.pci_window64_start = map.hot_plug_start + map.hot_plug_size;
  map.pci_window64_end = map.pci_window64_start + kPciWindow64Size;
  return map;
}

static_assert(kLowRamMaximum <= kEcamBase && kEcamBase + kEcamSize <= kPciWindow32Start);
static_assert(kPciWindow32End <= kIoApicBase);

}  // namespace warren::vmm::machine
