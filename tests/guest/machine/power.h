// Ways to end the machine.
#pragma once

#include <string_view>

namespace guest {

// ACPI S5; if that does nothing, the same message as stop().
[[noreturn]] void power_off();
// The FADT's reset register, then the i8042, then a triple fault.
[[noreturn]] void reset_machine();
[[noreturn]] void triple_fault();
// Prints "STOP reason" and powers off: for what makes going on pointless.
[[noreturn]] void stop(std::string_view reason);
// Halts with interrupts off.
[[noreturn]] void halt();

}  // namespace guest
