// The SMBIOS tables a guest identifies its machine by, made anew at every boot (SMBIOS 3.3, DMTF DSP0134):
// dmidecode, systemd and guest agents read the domain's UUID and its memory from here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/machine/cpuid.h"
#include "vmm-core/machine/memory_map.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"

namespace warren::vmm::machine {

// What the tables say in words. An empty text: Warren's own where it has one, else none. No text may hold a
// NUL.
struct SmbiosStrings {
  struct Bios {
    std::string vendor, version, date, release;  // release: "1.2"
  } bios;
  struct System {
    std::string manufacturer, product, version, serial, sku, family;
  } system;
  struct BaseBoard {
    std::string manufacturer, product, version, serial, asset, location;
  } base_board;
  struct Chassis {
    std::string manufacturer, version, serial, asset, sku;
  } chassis;
  std::vector<std::string> oem_strings;
};

struct SmbiosConfiguration {
  std::array<std::uint8_t, 16> uuid{};  // in the order it is written in text
  MemoryMap memory_map;
  CpuConfiguration cpu;
  SmbiosStrings strings;
};

// The last segment below 1 MiB, where a guest without EFI scans for the entry point (§5.2).
inline constexpr GuestAddress kSmbiosTables{0xf0000};
inline constexpr std::uint64_t kSmbiosTablesSize = 0x10000;

// Writes the entry point and all structures. Throws Error when they do not fit.
void write_smbios_tables(const SmbiosConfiguration& configuration, GuestMemory& memory);

}  // namespace warren::vmm::machine
