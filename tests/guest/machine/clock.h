// Time from KVM's paravirtual clock, and waiting with a deadline.
#pragma once

#include <cstdint>

namespace guest {

// False when the machine offers no kvmclock.
bool initialize_clock();
std::uint64_t now_nanoseconds();
inline constexpr std::uint64_t kMillisecond = 1000000;

// A periodic local APIC timer interrupt every `milliseconds` (0: off). Used by wait_until to leave HLT.
void set_tick(std::uint32_t milliseconds);

// Halts until `condition` (checked after every interrupt) or the deadline; returns the condition's last
// value. While it halts, the local APIC timer ticks every millisecond.
template <typename Condition>
bool wait_until(Condition condition, std::uint32_t milliseconds);

void wait_milliseconds(std::uint32_t milliseconds);

}  // namespace guest

#include "tests/guest/machine/cpu.h"

namespace guest {

template <typename Condition>
bool wait_until(Condition condition, std::uint32_t milliseconds) {
  if (condition()) return true;
  std::uint64_t deadline = now_nanoseconds() + milliseconds * kMillisecond;
  set_tick(1);
  bool reached;
  while (!(reached = condition()) && now_nanoseconds() < deadline) wait_for_interrupt();
  set_tick(0);
  return reached;
}

}  // namespace guest
