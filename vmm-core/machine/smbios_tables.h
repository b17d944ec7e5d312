// The SMBIOS tables a guest identifies its machine by, made anew at every boot (SMBIOS 3.3, DMTF DSP0134):
// dmidecode, systemd and guest agents read the domain's UUID and its memory from here.
#pragma once

#include <array>
#include <cstdint>

#include "vmm-core/machine/cpuid.h"
#include "vmm-core/machine/memory_map.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"

namespace warren::vmm::machine {

struct SmbiosConfiguration {
  std::array<std::uint8_t, 16> uuid{};  // in the order it is written in text
  MemoryMap memory_map;
  CpuConfiguration cpu;
};

// The last segment below 1 MiB, where a guest without EFI scans for the entry point (§5.2).
inline constexpr GuestAddress kSmbiosTables{0xf0000};
inline constexpr std::uint64_t kSmbiosTablesSize = 0x10000;

// Writes the entry point and all structures. Throws Error when they do not fit.
void write_smbios_tables(const SmbiosConfiguration& configuration, GuestMemory& memory);

}  // namespace warren::vmm::machine
