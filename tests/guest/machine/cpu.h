// Privileged instructions of the processor, one inline function each.
#pragma once

#include <cstdint>

namespace guest {

inline std::uint8_t in8(std::uint16_t port) {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
inline std::uint16_t in16(std::uint16_t port) {
  std::uint16_t value;
  asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
inline std::uint32_t in32(std::uint16_t port) {
  std::uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
inline void out8(std::uint16_t port, std::uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
inline void out16(std::uint16_t port, std::uint16_t value) {
  asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
inline void out32(std::uint16_t port, std::uint32_t value) {
  asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

// Device memory: exactly one access of the width, through plain mov (what every interpreter knows).
inline std::uint8_t read8(std::uint64_t address) {
  std::uint8_t value;
  asm volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
  return value;
}
inline std::uint16_t read16(std::uint64_t address) {
  std::uint16_t value;
  asm volatile("movw (%1), %0" : "=r"(value) : "r"(address) : "memory");
  return value;
}
inline std::uint32_t read32(std::uint64_t address) {
  std::uint32_t value;
  asm volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
  return value;
}
inline std::uint64_t read64(std::uint64_t address) {
  std::uint64_t value;
  asm volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
  return value;
}
inline void write8(std::uint64_t address, std::uint8_t value) {
  asm volatile("movb %0, (%1)" : : "q"(value), "r"(address) : "memory");
}
inline void write16(std::uint64_t address, std::uint16_t value) {
  asm volatile("movw %0, (%1)" : : "r"(value), "r"(address) : "memory");
}
inline void write32(std::uint64_t address, std::uint32_t value) {
  asm volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}
inline void write64(std::uint64_t address, std::uint64_t value) {
  asm volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

inline std::uint64_t read_msr(std::uint32_t index) {
  std::uint32_t low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return std::uint64_t{high} << 32 | low;
}
inline void write_msr(std::uint32_t index, std::uint64_t value) {
  asm volatile("wrmsr"
               :
               : "c"(index), "a"(static_cast<std::uint32_t>(value)),
                 "d"(static_cast<std::uint32_t>(value >> 32))
               : "memory");
}
inline std::uint64_t read_tsc() {
  std::uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return std::uint64_t{high} << 32 | low;
}

struct Cpuid {
  std::uint32_t eax, ebx, ecx, edx;
};
inline Cpuid cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Cpuid result;
  asm volatile("cpuid"
               : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
               : "a"(leaf), "c"(subleaf));
  return result;
}

inline void disable_interrupts() {
  asm volatile("cli" : : : "memory");
}
inline void enable_interrupts() {
  asm volatile("sti" : : : "memory");
}
// Waits for one interrupt, taking it, and returns with interrupts off. Interrupts must be off before, so that
// one which comes between a test of a condition and the HLT is not lost.
inline void wait_for_interrupt() {
  asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}
inline void relax() {
  asm volatile("pause" : : : "memory");
}
// A full fence by a locked instruction: mfence is not known to every interpreter of ring 0.
inline void full_fence() {
  asm volatile("lock orl $0, (%%rsp)" : : : "memory", "cc");
}
inline void compiler_fence() {
  asm volatile("" : : : "memory");
}

}  // namespace guest
