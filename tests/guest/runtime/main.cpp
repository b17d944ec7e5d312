// The test guest's main: sets the machine up, then runs what the command line asks for and powers off.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/runtime/mode.h"
#include "tests/guest/runtime/test.h"

extern "C" {
using Constructor = void (*)();
extern const Constructor init_array_start[], init_array_end[];
[[noreturn]] void boot_main(std::uint32_t protocol, std::uint64_t information);
}

void boot_main(std::uint32_t protocol, std::uint64_t information) {
  using namespace guest;
  for (auto* constructor = init_array_start; constructor < init_array_end; ++constructor) (*constructor)();
  read_boot_information(protocol, information);
  initialize_serial();
  initialize_memory();
  initialize_acpi();
  initialize_interrupts();
  if (!initialize_clock()) stop("no kvmclock");
  initialize_pci();
  run_mode(command_line_value("mode"));
  if (auto patterns = command_line_value("test"); !patterns.empty()) run_tests(patterns);
  power_off();
}
