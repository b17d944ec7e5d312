// Several processors: start, inter-processor interrupts, CPUID on each of them, time on each of them.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/processors.h"
#include "tests/guest/runtime/test.h"

namespace guest {
namespace {

struct Observation {
  std::uint32_t apic_id = 0, cpuid_id = 0, x2apic_id = 0, features = 0;
  std::uint64_t tsc = 0;
};
Observation observation;

void observe(std::uint64_t) {
  auto features = cpuid(1);
  observation = {local_apic_id(), features.ebx >> 24, cpuid(0xb).edx, features.ecx, read_tsc()};
}

std::uint32_t enabled_processors() {
  std::uint32_t enabled = 0;
  for (const auto& cpu : acpi_machine.cpus()) enabled += cpu.enabled;
  return enabled;
}

}  // namespace

TEST(smp, start) {
  if (enabled_processors() < 2) SKIP("one processor");
  EXPECT_EQUAL(start_processors(), enabled_processors());
  for (std::uint32_t i = 0; i < running_processors(); ++i)
    for (std::uint32_t j = 0; j < i; ++j) EXPECT(processor_apic_id(i) != processor_apic_id(j));
}

TEST(smp, calls) {
  if (start_processors() < 2) SKIP("one processor");
  static volatile std::uint64_t sum;
  sum = 0;
  for (int round = 0; round < 20; ++round)
    for (std::uint32_t i = 1; i < running_processors(); ++i)
      REQUIRE(run_on_processor(i, [](std::uint64_t value) { sum = sum + value; }, i));
  std::uint64_t others = running_processors() - 1;
  EXPECT_EQUAL(std::uint64_t{sum}, 20 * others * (others + 1) / 2);
}

// CPUID leaf 1 EBX[31:24] and leaf 0xb EDX are the processor's own APIC id (SDM volume 2, CPUID).
TEST(smp, cpuid_identities) {
  start_processors();
  observe(0);
  EXPECT_EQUAL(observation.cpuid_id, observation.apic_id);
  if (cpuid(0).eax >= 0xb && cpuid(0xb).ebx != 0) EXPECT_EQUAL(observation.x2apic_id, observation.apic_id);
  std::uint32_t features = observation.features & ~(1u << 27);
  for (std::uint32_t i = 1; i < running_processors(); ++i) {
    REQUIRE(run_on_processor(i, observe, 0));
    EXPECT_EQUAL(observation.apic_id, processor_apic_id(i));
    EXPECT_EQUAL(observation.cpuid_id, observation.apic_id);
    if (cpuid(0).eax >= 0xb && cpuid(0xb).ebx != 0) EXPECT_EQUAL(observation.x2apic_id, observation.apic_id);
    EXPECT_EQUAL(observation.features & ~(1u << 27), features);  // the same kind of processor (bar OSXSAVE)
  }
}

// A call goes out and comes back between two readings of the boot processor's counter.
TEST(smp, tsc_agrees) {
  if (start_processors() < 2) SKIP("one processor");
  for (std::uint32_t i = 1; i < running_processors(); ++i) {
    std::uint64_t before = read_tsc();
    REQUIRE(run_on_processor(i, observe, 0));
    std::uint64_t after = read_tsc();
    EXPECT(observation.tsc > before);
    EXPECT(observation.tsc < after);
  }
}

TEST(smp, interrupt_to_self) {
  std::uint8_t vector = allocate_vector();
  local_apic_write(0x300, 0x40000 | vector);  // shorthand: self
  EXPECT(wait_until([&] { return interrupt_count(vector) == 1; }, 200));
}

TEST(smp, topology_leaf) {
  if (cpuid(0).eax < 0xb || cpuid(0xb).ebx == 0) SKIP("no leaf 0xb");
  std::uint32_t logical = cpuid(0xb, 0).ebx & 0xffff, package = cpuid(0xb, 1).ebx & 0xffff;
  EXPECT_EQUAL(cpuid(0xb, 0).ecx >> 8 & 0xff, 1u);  // SMT level
  EXPECT_EQUAL(cpuid(0xb, 1).ecx >> 8 & 0xff, 2u);  // core level
  EXPECT(logical >= 1 && package >= logical);
  if (auto cpus = command_line_number("cpus_per_socket", 0)) EXPECT_EQUAL(std::uint64_t{package}, cpus);
}

TEST(cpu, hypervisor_leaf) {
  EXPECT((cpuid(1).ecx >> 31 & 1) == 1);
  auto leaf = cpuid(0x40000000);
  EXPECT_EQUAL(leaf.ebx, 0x4b4d564bu);  // "KVMK"
  EXPECT_EQUAL(leaf.ecx, 0x564b4d56u);  // "VMKV"
  EXPECT_EQUAL(leaf.edx, 0x4du);        // "M"
  EXPECT(leaf.eax == 0 || leaf.eax >= 0x40000001);
}

TEST(cpu, x2apic_offered) {
  EXPECT((cpuid(1).ecx >> 21 & 1) == 1);
}

TEST(cpu, address_width) {
  EXPECT(cpuid(0x80000000).eax >= 0x80000008);
  std::uint32_t width = cpuid(0x80000008).eax & 0xff;
  EXPECT(width >= 36 && width <= 52);
  EXPECT((cpuid(0x80000001).edx >> 29 & 1) == 1);  // long mode
}

}  // namespace guest
