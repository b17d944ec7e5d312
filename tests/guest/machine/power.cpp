#include "tests/guest/machine/power.h"

#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/runtime/print.h"

namespace guest {

void halt() {
  for (;;) asm volatile("cli\n\thlt");
}

void power_off() {
  acpi_power_off();
  print("STOP power off had no effect\n");
  halt();
}

void triple_fault() {
  struct [[gnu::packed]] {
    std::uint16_t limit = 0;
    std::uint64_t base = 0;
  } none;
  asm volatile("lidt %0" : : "m"(none));
  // A write to an address that is not mapped: a page fault without a handler.
  write32(0x7fffffff0000, 0);
  halt();
}

void reset_machine() {
  acpi_reset();
  for (int i = 0; i < 1000; ++i) in8(0x80);
  out8(0x64, 0xfe);
  for (int i = 0; i < 1000; ++i) in8(0x80);
  triple_fault();
}

void stop(std::string_view reason) {
  print("STOP ", reason, "\n");
  power_off();
}

}  // namespace guest

// Called when a pure virtual function is: never, unless memory was overwritten.
extern "C" void __cxa_pure_virtual() {
  guest::stop("pure virtual call");
}
