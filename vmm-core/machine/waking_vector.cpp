#include "vmm-core/machine/waking_vector.h"

#include <cstdint>

#include "vmm-core/machine/boot_loading.h"

namespace warren::vmm::machine {
namespace {

// Offsets of the two vectors in the FACS (table 5.8).
constexpr std::uint64_t kRealModeVector = 12, kProtectedModeVector = 24;
constexpr std::uint64_t kRealModeEnd = std::uint64_t{1} << 20;
constexpr std::uint64_t kProtectedModeEnd = std::uint64_t{1} << 32;
constexpr std::uint64_t kInterruptsOff = 2;  // RFLAGS, whose bit 1 is always set

// CS:IP so that the vector is CS << 4 plus an IP below 16 (§16.3.2, step 5).
BootState begin_in_real_mode(std::uint32_t vector, const kvm_sregs& special) {
  BootState state{.registers = {}, .special = special};
  state.special.cs.selector = static_cast<std::uint16_t>(vector >> 4);
  state.special.cs.base = vector & ~0xfU;
  state.registers.rip = vector & 0xfU;
  state.registers.rflags = kInterruptsOff;
  return state;
}

// 32 bits, flat segments, no paging (table 5.8, X_Firmware_Waking_Vector; no 64-bit wake is offered).
BootState begin_in_protected_mode(std::uint32_t vector, const kvm_sregs& special) {
  constexpr std::uint64_t kProtectedMode = 1, kExtensionType = 1 << 4;
  constexpr std::uint8_t kCode = 11, kData = 3;
  BootState state{.registers = {}, .special = special};
  state.special.cs = flat_segment(0x8, kCode, false);
  const kvm_segment data = flat_segment(0x10, kData, false);
  state.special.ds = state.special.es = state.special.fs = state.special.gs = state.special.ss = data;
  state.special.cr0 = kProtectedMode | kExtensionType;
  state.registers.rip = vector;
  state.registers.rflags = kInterruptsOff;
  return state;
}

}  // namespace

std::optional<BootState> follow_waking_vector(GuestAddress facs, const GuestMemory& memory,
                                              const kvm_sregs& special) {
  const auto extended = memory.read_object<std::uint64_t>({facs.value + kProtectedModeVector});
  const auto plain = memory.read_object<std::uint32_t>({facs.value + kRealModeVector});
  if (!extended || !plain) return std::nullopt;
  if (*extended != 0) {
    if (*extended >= kProtectedModeEnd || !memory.contains({*extended}, 1)) return std::nullopt;
    return begin_in_protected_mode(static_cast<std::uint32_t>(*extended), special);
  }
  if (*plain == 0 || *plain >= kRealModeEnd || !memory.contains({*plain}, 1)) return std::nullopt;
  return begin_in_real_mode(*plain, special);
}

}  // namespace warren::vmm::machine
