// Exceptions and interrupts: IDT, local APIC, I/O APIC and inter-processor interrupts.
//
// Handlers are called with interrupts off, on the processor the interrupt came to.
#pragma once

#include <cstdint>

namespace guest {

struct InterruptFrame {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  std::uint64_t vector, error_code;
  std::uint64_t rip, cs, rflags, rsp, ss;
};

inline constexpr std::uint8_t kTimerVector = 0x20;
inline constexpr std::uint8_t kCallVector = 0x21;       // smp: work for another processor
inline constexpr std::uint8_t kFirstFreeVector = 0x30;  // for devices, see allocate_vector
inline constexpr std::uint8_t kSpuriousVector = 0x5f;

using InterruptHandler = void (*)();

// Boot processor: IDT, task state, both 8259s masked, local APIC on.
void initialize_interrupts();
// An application processor: loads the shared IDT, turns its local APIC on.
void initialize_processor_interrupts();

void set_handler(std::uint8_t vector, InterruptHandler handler);
// A vector nobody has; `handler` (may be null) runs after the vector's count went up.
std::uint8_t allocate_vector(InterruptHandler handler = nullptr);
// Interrupts taken on the vector by any processor.
std::uint32_t interrupt_count(std::uint8_t vector);

// The local APIC, by its xAPIC registers.
std::uint32_t local_apic_read(std::uint32_t offset);
void local_apic_write(std::uint32_t offset, std::uint32_t value);
std::uint32_t local_apic_id();
// Writes the interrupt command register and waits until it is sent.
void send_interrupt_command(std::uint32_t apic_id, std::uint32_t command);

// The first I/O APIC. `redirect` programs and unmasks an input to `vector` on the boot processor.
std::uint32_t io_apic_read(std::uint8_t index);
void io_apic_write(std::uint8_t index, std::uint32_t value);
void redirect(std::uint32_t gsi, std::uint8_t vector, bool level, bool active_low);
void redirect_isa(std::uint8_t irq, std::uint8_t vector);
void mask_input(std::uint32_t gsi);

// The address and data of a message-signalled interrupt for the boot processor.
std::uint64_t msi_address();
inline std::uint32_t msi_data(std::uint8_t vector) {
  return vector;
}

// Whether writing a byte of zero to the address raises a page fault.
bool write_faults(std::uint64_t address);

}  // namespace guest
