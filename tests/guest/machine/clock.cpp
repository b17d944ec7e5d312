#include "tests/guest/machine/clock.h"

#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"

namespace guest {
namespace {

constexpr std::uint32_t kMsrSystemTime = 0x4b564d01;
// KVM's local APIC timer counts nanoseconds.
constexpr std::uint32_t kTicksPerMillisecond = 1000000;

// struct pvclock_vcpu_time_info.
struct SystemTime {
  volatile std::uint32_t version, padding;
  volatile std::uint64_t tsc_timestamp, system_time;
  volatile std::uint32_t tsc_to_system_mul;
  volatile std::int8_t tsc_shift;
  volatile std::uint8_t flags, padding2[2];
};
static_assert(sizeof(SystemTime) == 32);
alignas(64) SystemTime system_time;

}  // namespace

bool initialize_clock() {
  auto base = cpuid(0x40000000);
  if (base.ebx != 0x4b4d564b || !(cpuid(0x40000001).eax & 1 << 3)) return false;
  write_msr(kMsrSystemTime, physical(&system_time) | 1);
  return system_time.tsc_to_system_mul != 0;
}

std::uint64_t now_nanoseconds() {
  for (;;) {
    std::uint32_t version = system_time.version;
    compiler_fence();
    std::uint64_t delta = read_tsc() - system_time.tsc_timestamp;
    int shift = system_time.tsc_shift;
    delta = shift >= 0 ? delta << shift : delta >> -shift;
    auto scaled = static_cast<std::uint64_t>(
        static_cast<unsigned __int128>(delta) * system_time.tsc_to_system_mul >> 32);
    std::uint64_t result = system_time.system_time + scaled;
    compiler_fence();
    if (!(version & 1) && version == system_time.version) return result;
  }
}

void set_tick(std::uint32_t milliseconds) {
  if (milliseconds == 0) {
    local_apic_write(0x320, 1 << 16);
    local_apic_write(0x380, 0);
    return;
  }
  local_apic_write(0x3e0, 0x0b);                    // divide by 1
  local_apic_write(0x320, 1 << 17 | kTimerVector);  // periodic
  local_apic_write(0x380, milliseconds * kTicksPerMillisecond);
}

void wait_milliseconds(std::uint32_t milliseconds) {
  wait_until([] { return false; }, milliseconds);
}

}  // namespace guest
