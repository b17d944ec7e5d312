#include "tests/guest/machine/acpi.h"

#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"

namespace guest {

AcpiMachine acpi_machine;

namespace {

std::uint64_t rsdp_address;
AcpiTable root, fixed, differentiated;

bool bytes_are(std::uint64_t address, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (read8(address + i) != static_cast<std::uint8_t>(text[i])) return false;
  return true;
}

void find_rsdp() {
  rsdp_address = boot_information.rsdp;
  for (std::uint64_t at = 0xe0000; rsdp_address == 0 && at < 0x100000; at += 16)
    if (bytes_are(at, "RSD PTR ")) rsdp_address = at;
}

void read_madt(AcpiTable madt) {
  auto& machine = acpi_machine;
  std::uint32_t length = madt.length();
  for (std::uint32_t at = 44; at + 2 <= length;) {
    std::uint8_t size = madt.u8(at + 1);
    if (size < 2) break;
    switch (madt.u8(at)) {
      case 0:  // processor local APIC
        if (machine.processor_count < 256)
          machine.processors[machine.processor_count++] = {madt.u8(at + 2), madt.u8(at + 3),
                                                           (madt.u32(at + 4) & 1) != 0};
        break;
      case 1:  // I/O APIC
        if (machine.io_apic_count++ == 0) machine.io_apic = madt.u32(at + 4);
        break;
      case 2:  // interrupt source override
        if (machine.override_count < 16)
          machine.overrides[machine.override_count++] = {madt.u8(at + 3), madt.u32(at + 4), madt.u16(at + 8)};
        break;
      case 9:  // processor local x2APIC
        if (machine.processor_count < 256)
          machine.processors[machine.processor_count++] = {madt.u32(at + 12), madt.u32(at + 4),
                                                           (madt.u32(at + 8) & 1) != 0};
        break;
      default:
        break;
    }
    at += size;
  }
}

// Name(_S5_, Package(){SLP_TYPa, …}) in AML: 08 "_S5_" 12 PkgLength NumElements element… (ACPI 6.4 §20.2.5).
void find_sleep_type() {
  if (!differentiated) return;
  std::uint32_t length = differentiated.length();
  for (std::uint32_t at = 36; at + 8 < length; ++at) {
    if (!bytes_are(differentiated.address() + at, "_S5_") || differentiated.u8(at + 4) != 0x12) continue;
    std::uint32_t element = at + 5;
    element += (differentiated.u8(element) >> 6) + 2;  // package length and element count
    std::uint8_t prefix = differentiated.u8(element);
    acpi_machine.sleep_type_known = true;
    acpi_machine.sleep_type_s5 = prefix == 0x0a ? differentiated.u8(element + 1) : prefix;
    return;
  }
}

void read_fadt() {
  auto& machine = acpi_machine;
  if (!fixed) return;
  machine.sci = fixed.u16(46);
  machine.pm1_event = static_cast<std::uint16_t>(fixed.u32(56));
  machine.pm1_control = static_cast<std::uint16_t>(fixed.u32(64));
  machine.pm_timer = static_cast<std::uint16_t>(fixed.u32(76));
  machine.pm1_event_length = fixed.u8(88);
  machine.hardware_reduced = (fixed.u32(112) >> 20 & 1) != 0;
  std::uint64_t dsdt = fixed.length() >= 148 ? fixed.u64(140) : 0;
  if (dsdt == 0) dsdt = fixed.u32(40);
  if (dsdt != 0) differentiated = AcpiTable(dsdt);
  find_sleep_type();
}

}  // namespace

bool AcpiTable::signature_is(std::string_view signature) const {
  return bytes_are(address_, signature);
}
bool AcpiTable::checksum_good() const {
  return acpi_checksum(address_, length()) == 0;
}
std::uint8_t AcpiTable::u8(std::uint32_t offset) const {
  return read8(address_ + offset);
}
std::uint16_t AcpiTable::u16(std::uint32_t offset) const {
  return read16(address_ + offset);
}
std::uint32_t AcpiTable::u32(std::uint32_t offset) const {
  return read32(address_ + offset);
}
std::uint64_t AcpiTable::u64(std::uint32_t offset) const {
  return read64(address_ + offset);
}

std::uint8_t acpi_checksum(std::uint64_t address, std::uint32_t length) {
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < length; ++i) sum += read8(address + i);
  return static_cast<std::uint8_t>(sum);
}

std::uint64_t acpi_rsdp() {
  return rsdp_address;
}
AcpiTable acpi_root() {
  return root;
}
AcpiTable acpi_dsdt() {
  return differentiated;
}

AcpiTable acpi_find(std::string_view signature) {
  if (!root) return {};
  // An RSDT, of firmware that still speaks ACPI 1.0, has 32-bit entries.
  std::uint32_t width = root.signature_is("XSDT") ? 8 : 4;
  for (std::uint32_t at = 36; at + width <= root.length(); at += width) {
    AcpiTable table(width == 8 ? root.u64(at) : root.u32(at));
    if (table && table.signature_is(signature)) return table;
  }
  return {};
}

void initialize_acpi() {
  find_rsdp();
  if (rsdp_address == 0) return;
  root = AcpiTable(read8(rsdp_address + 15) < 2 ? read32(rsdp_address + 16) : read64(rsdp_address + 24));
  fixed = acpi_find("FACP");
  read_fadt();
  if (auto madt = acpi_find("APIC")) read_madt(madt);
  if (auto mcfg = acpi_find("MCFG"); mcfg && mcfg.length() >= 60) {
    acpi_machine.ecam = mcfg.u64(44);
    acpi_machine.first_bus = mcfg.u8(54);
    acpi_machine.last_bus = mcfg.u8(55);
    if (acpi_machine.ecam >= 0x100000000)
      map_identity(acpi_machine.ecam, (acpi_machine.last_bus + std::uint64_t{1}) << 20);
  }
}

std::uint32_t isa_gsi(std::uint8_t irq) {
  for (std::uint32_t i = 0; i < acpi_machine.override_count; ++i)
    if (acpi_machine.overrides[i].source == irq) return acpi_machine.overrides[i].gsi;
  return irq;
}

bool isa_level(std::uint8_t irq) {
  for (std::uint32_t i = 0; i < acpi_machine.override_count; ++i)
    if (acpi_machine.overrides[i].source == irq) return (acpi_machine.overrides[i].flags >> 2 & 3) == 3;
  return false;
}

bool isa_active_low(std::uint8_t irq) {
  for (std::uint32_t i = 0; i < acpi_machine.override_count; ++i)
    if (acpi_machine.overrides[i].source == irq) return (acpi_machine.overrides[i].flags & 3) == 3;
  return false;
}

void acpi_power_off() {
  const auto& machine = acpi_machine;
  if (!machine.sleep_type_known || machine.pm1_control == 0) return;
  // SLP_TYP and SLP_EN (ACPI 6.4 §4.8.3.2.1), keeping SCI_EN.
  auto keep = static_cast<std::uint16_t>(in16(machine.pm1_control) & 1);
  out16(machine.pm1_control, static_cast<std::uint16_t>(keep | machine.sleep_type_s5 << 10 | 1 << 13));
  // The machine may need a moment to stop us.
  for (std::uint64_t start = now_nanoseconds(); now_nanoseconds() - start < 2000 * kMillisecond;) relax();
}

void acpi_reset() {
  // RESET_REG and RESET_VALUE (ACPI 6.4 §5.2.9), offered when bit 10 of the flags says so.
  if (!fixed || fixed.length() < 129 || !(fixed.u32(112) >> 10 & 1)) return;
  std::uint64_t address = fixed.u64(120);
  if (fixed.u8(116) == 1)
    out8(static_cast<std::uint16_t>(address), fixed.u8(128));
  else if (fixed.u8(116) == 0)
    write8(address, fixed.u8(128));
}

}  // namespace guest
