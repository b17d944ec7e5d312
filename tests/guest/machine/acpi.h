// ACPI tables (ACPI 6.4 §5.2): found by walking RSDP → XSDT, every checksum verified, and the few fixed
// registers the tests use.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace guest {

// A table at a physical address; reads are plain and the caller keeps within length().
class AcpiTable {
 public:
  AcpiTable() = default;
  explicit AcpiTable(std::uint64_t address) : address_(address) {}
  explicit operator bool() const { return address_ != 0; }
  std::uint64_t address() const { return address_; }
  std::uint32_t length() const { return u32(4); }
  bool signature_is(std::string_view signature) const;
  bool checksum_good() const;
  std::uint8_t u8(std::uint32_t offset) const;
  std::uint16_t u16(std::uint32_t offset) const;
  std::uint32_t u32(std::uint32_t offset) const;
  std::uint64_t u64(std::uint32_t offset) const;

 private:
  std::uint64_t address_ = 0;
};

// Sum of the bytes modulo 256; 0 for a good table.
std::uint8_t acpi_checksum(std::uint64_t address, std::uint32_t length);

// Reads the RSDP's address from the boot information or finds it in the BIOS area, and the tables behind it.
void initialize_acpi();
std::uint64_t acpi_rsdp();
AcpiTable acpi_root();  // the XSDT, or RSDT
// The first table of that signature whose checksum is good; DSDT and FACS are found through the FADT.
AcpiTable acpi_find(std::string_view signature);
AcpiTable acpi_dsdt();

struct ProcessorEntry {
  std::uint32_t uid, apic_id;
  bool enabled;
};
struct InterruptOverride {
  std::uint8_t source;
  std::uint32_t gsi;
  std::uint16_t flags;
};
struct AcpiMachine {
  ProcessorEntry processors[256];
  std::uint32_t processor_count = 0;
  std::uint32_t io_apic = 0, io_apic_count = 0;
  InterruptOverride overrides[16];
  std::uint32_t override_count = 0;
  std::uint64_t ecam = 0;
  std::uint8_t first_bus = 0, last_bus = 0;
  std::uint16_t sci = 0;
  std::uint16_t pm1_event = 0, pm1_control = 0, pm_timer = 0;
  std::uint8_t pm1_event_length = 0;
  bool hardware_reduced = false;
  bool sleep_type_known = false;
  std::uint8_t sleep_type_s5 = 0;

  std::span<const ProcessorEntry> cpus() const { return {processors, processor_count}; }
};
// Collected by initialize_acpi; zero where a table is missing.
extern AcpiMachine acpi_machine;

// The global system interrupt of an ISA IRQ, after the overrides.
std::uint32_t isa_gsi(std::uint8_t irq);
// Whether the override makes it level triggered / active low.
bool isa_level(std::uint8_t irq);
bool isa_active_low(std::uint8_t irq);

void acpi_power_off();
void acpi_reset();

}  // namespace guest
