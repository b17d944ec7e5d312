// ACPI tables and the fixed hardware they name (ACPI 6.4 §5.2, §4.8).
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/runtime/test.h"

namespace guest {

TEST(acpi, rsdp) {
  std::uint64_t rsdp = acpi_rsdp();
  REQUIRE(rsdp != 0);
  EXPECT(AcpiTable(rsdp).signature_is("RSD PTR "));
  EXPECT_EQUAL(unsigned{acpi_checksum(rsdp, 20)}, 0u);
  if (read8(rsdp + 15) < 2) SKIP("ACPI 1.0 firmware");
  EXPECT_EQUAL(unsigned{acpi_checksum(rsdp, read32(rsdp + 20))}, 0u);
}

TEST(acpi, tables) {
  auto root = acpi_root();
  REQUIRE(bool{root});
  if (root.signature_is("RSDT")) SKIP("ACPI 1.0 firmware");
  EXPECT(root.signature_is("XSDT"));
  EXPECT(root.checksum_good());
  EXPECT_EQUAL((root.length() - 36) % 8, 0u);
  for (std::uint32_t at = 36; at + 8 <= root.length(); at += 8) {
    AcpiTable table(root.u64(at));
    REQUIRE(table.length() >= 36 && table.length() < 0x100000);
    EXPECT(table.checksum_good());
  }
}

TEST(acpi, fadt) {
  auto fadt = acpi_find("FACP");
  REQUIRE(bool{fadt});
  EXPECT(fadt.checksum_good());
  EXPECT(fadt.length() >= 244);
  EXPECT(acpi_machine.sci != 0);
  EXPECT(acpi_machine.pm1_event != 0);
  EXPECT(acpi_machine.pm1_control != 0);
  EXPECT(acpi_machine.pm1_event_length >= 4);
  EXPECT((fadt.u32(112) >> 10 & 1) != 0);  // RESET_REG_SUP
  if (auto firmware_control = fadt.u32(36); firmware_control != 0) {
    EXPECT(AcpiTable(firmware_control).signature_is("FACS"));
    EXPECT_EQUAL(firmware_control % 64, 0u);
  }
}

TEST(acpi, dsdt) {
  auto dsdt = acpi_dsdt();
  REQUIRE(bool{dsdt});
  EXPECT(dsdt.signature_is("DSDT"));
  EXPECT(dsdt.checksum_good());
  EXPECT(acpi_machine.sleep_type_known);
  EXPECT(acpi_machine.sleep_type_s5 < 8);
}

TEST(acpi, madt) {
  auto madt = acpi_find("APIC");
  REQUIRE(bool{madt});
  EXPECT_EQUAL(std::uint64_t{madt.u32(36)}, read_msr(0x1b) & 0xfffff000);
  EXPECT(acpi_machine.processor_count > 0);
  EXPECT_EQUAL(acpi_machine.io_apic_count, 1u);
  // The I/O APIC is where the table says, and answers with its version and 24 inputs.
  EXPECT_EQUAL(io_apic_read(1) >> 16 & 0xff, 23u);
  bool self = false;
  for (const auto& cpu : acpi_machine.cpus()) self = self || (cpu.enabled && cpu.apic_id == local_apic_id());
  EXPECT(self);
  if (auto expected = command_line_number("cpus", 0)) {
    std::uint64_t enabled = 0;
    for (const auto& cpu : acpi_machine.cpus()) enabled += cpu.enabled;
    EXPECT_EQUAL(enabled, expected);
  }
}

TEST(acpi, madt_ids_unique) {
  auto cpus = acpi_machine.cpus();
  for (std::size_t i = 0; i < cpus.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      EXPECT(cpus[i].apic_id != cpus[j].apic_id && cpus[i].uid != cpus[j].uid);
}

TEST(acpi, mcfg) {
  auto mcfg = acpi_find("MCFG");
  REQUIRE(bool{mcfg});
  EXPECT(acpi_machine.ecam != 0);
  EXPECT_EQUAL(acpi_machine.ecam & 0xfffff, std::uint64_t{0});
  EXPECT_EQUAL(unsigned{acpi_machine.first_bus}, 0u);
  EXPECT_EQUAL(read32(ecam_address({0, 0, 0})), port_config_read32({0, 0, 0}, 0));
}

// The PM timer runs at 3.579545 MHz (ACPI 6.4 §4.8.3.3).
TEST(acpi, pm_timer) {
  if (acpi_machine.pm_timer == 0) SKIP("no PM timer in the FADT");
  std::uint32_t start = in32(acpi_machine.pm_timer);
  std::uint64_t from = now_nanoseconds();
  wait_milliseconds(50);
  std::uint32_t ticks = (in32(acpi_machine.pm_timer) - start) & 0xffffff;
  std::uint64_t elapsed = now_nanoseconds() - from;
  std::uint64_t measured = ticks * 1000000000ull / elapsed;
  EXPECT(measured > 3579545 * 9ull / 10);
  EXPECT(measured < 3579545 * 11ull / 10);
}

TEST(acpi, power_button_registers) {
  const auto& machine = acpi_machine;
  REQUIRE(machine.pm1_event != 0);
  auto enable = static_cast<std::uint16_t>(machine.pm1_event + machine.pm1_event_length / 2);
  out16(enable, 1 << 8);
  EXPECT_EQUAL(in16(enable) & 1 << 8, 1 << 8);
  out16(enable, 0);
  EXPECT_EQUAL(in16(enable) & 1 << 8, 0);
  out16(machine.pm1_event, 0xffff);  // write one to clear
  EXPECT_EQUAL(in16(machine.pm1_event) & 1 << 8, 0);
}

// T5: every width at and across the PM registers, reads only: writes could put the machine to sleep.
TEST(acpi, access_sweep) {
  const auto& machine = acpi_machine;
  for (std::uint16_t base : {machine.pm1_event, machine.pm1_control, machine.pm_timer}) {
    if (base == 0) continue;
    for (std::uint16_t offset = 0; offset < 8; ++offset) {
      auto port = static_cast<std::uint16_t>(base + offset);
      in8(port);
      in16(port);
      in32(port);
    }
  }
  EXPECT_EQUAL(in16(machine.pm1_control) >> 13 & 1, 0);  // SLP_EN always reads zero
}

}  // namespace guest
