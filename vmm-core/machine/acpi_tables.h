// The ACPI tables of the q35 machine, made anew at every boot (ACPI 6.5 §5.2, PCI Firmware 3.3 §4.1.2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm-core/devices/power_management.h"
#include "vmm-core/machine/memory_map.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"

namespace warren::vmm::machine {

// A NUMA node of the guest. Nodes take RAM in their order, from address 0 on.
struct NumaNode {
  std::uint64_t memory_bytes = 0;
  std::vector<std::uint32_t> vcpus;
  std::vector<std::uint8_t> distances;  // to every node; 10: itself, 255: cannot be reached
};

// A root port whose device comes and goes through PciHotPlug.
struct HotPlugPort {
  std::uint8_t bus = 0;                 // behind it, as the machine names it
  std::uint8_t slot = 0, function = 0;  // where it is on bus 0
  std::uint8_t number = 0;              // what users know the slot by; as the port's own registers
};

struct AcpiConfiguration {
  std::vector<std::uint32_t> apic_ids;             // of each vCPU that there can be, in their order
  std::vector<std::uint32_t> hot_pluggable_vcpus;  // which come and go through VcpuHotPlug
  std::vector<std::uint32_t> absent_vcpus;         // of these, those that are not there now
  std::uint32_t memory_slots = 0;                  // for modules that come and go through MemoryHotPlug
  std::vector<HotPlugPort> hot_plug_ports;
  MemoryMap memory_map;
  std::vector<NumaNode> numa;              // none: one node, and nothing said about it
  std::vector<std::uint8_t> serial_ports;  // 0 to 3, those that are there
  bool panic_port = false;
  bool root_complex = false;                  // the chipset's configuration registers are there
  PowerManagement::SleepStates sleep_states;  // besides S5
  std::optional<std::array<std::uint8_t, 16>> generation_id;  // in the order it is written in text
};

// Tables go to the reserved part of the first mebibyte, behind the VGA hole.
inline constexpr GuestAddress kAcpiTables{0xe0000};
inline constexpr std::uint64_t kAcpiTablesSize = 0x10000;

// The tables of root ports, of which there can be many, have the rest in front of it to themselves.
inline constexpr GuestAddress kMoreAcpiTables{0xd1000};
inline constexpr std::uint64_t kMoreAcpiTablesSize = 0xf000;

// The page of the generation id, likewise in what memory maps leave out, with nothing else in it.
inline constexpr GuestAddress kGenerationIdPage{0xd0000};

// Where those of the tables are that others look for.
struct AcpiPlaces {
  GuestAddress root;  // the RSDP
  GuestAddress facs;
};

// Writes all tables, and the generation id if there is one. Throws Error when they do not fit.
AcpiPlaces write_acpi_tables(const AcpiConfiguration& configuration, GuestMemory& memory);

}  // namespace warren::vmm::machine
