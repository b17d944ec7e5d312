#include "tests/guest/machine/interrupts.h"

#include "tests/guest/boot/selectors.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/runtime/test.h"

extern "C" {
extern char interrupt_stubs[], leave_user_mode[], user_mode_end[];
extern std::uint64_t gdt_task_state[2];
void dispatch_interrupt(guest::InterruptFrame* frame);
}

namespace guest {
namespace {

constexpr std::uint64_t kLocalApic = 0xfee00000;
constexpr std::uint8_t kExceptionUndefined = 6, kExceptionPageFault = 14, kNoVector = 0xff;

struct [[gnu::packed]] Gate {
  std::uint16_t offset_low;
  std::uint16_t selector;
  std::uint8_t stack, type;
  std::uint16_t offset_middle;
  std::uint32_t offset_high, reserved;
};
static_assert(sizeof(Gate) == 16);

alignas(16) Gate table[VECTOR_COUNT];
alignas(16) std::uint8_t interrupt_stack[16384];
alignas(16) std::uint32_t task_state[26];
InterruptHandler handlers[VECTOR_COUNT];
std::uint32_t counts[VECTOR_COUNT];
std::uint8_t next_vector = kFirstFreeVector;
std::uint8_t expected_vector = kNoVector;
std::uint64_t expected_resume;
bool expected_came;

void load_table() {
  struct [[gnu::packed]] {
    std::uint16_t limit;
    std::uint64_t base;
  } pointer{sizeof table - 1, physical(table)};
  asm volatile("lidt %0" : : "m"(pointer));
}

void fill_table() {
  for (unsigned i = 0; i < VECTOR_COUNT; ++i) {
    std::uint64_t entry = physical(interrupt_stubs) + 16 * i;
    table[i] = {static_cast<std::uint16_t>(entry),
                SELECTOR_CODE_64,
                0,
                0x8e,
                static_cast<std::uint16_t>(entry >> 16),
                0,
                0};
  }
}

void load_task_state() {
  std::uint64_t base = physical(task_state);
  std::uint64_t stack = physical(interrupt_stack + sizeof interrupt_stack);
  task_state[1] = static_cast<std::uint32_t>(stack);  // RSP0
  task_state[25] = 104u << 16;                        // no I/O bitmap
  gdt_task_state[0] = 103 | (base & 0xffffff) << 16 | std::uint64_t{0x89} << 40 | (base >> 24 & 0xff) << 56;
  gdt_task_state[1] = base >> 32;
  asm volatile("ltr %w0" : : "r"(SELECTOR_TASK_STATE));
}

void turn_local_apic_on() {
  write_msr(0x1b, read_msr(0x1b) | 1 << 11);
  local_apic_write(0xf0, 0x100 | kSpuriousVector);
  local_apic_write(0x80, 0);  // task priority: take everything
}

[[noreturn]] void report_exception(const InterruptFrame& frame) {
  std::uint64_t address;
  asm volatile("mov %%cr2, %0" : "=r"(address));
  print("FAIL ", current_test().empty() ? std::string_view("(no test)") : current_test(), ": exception ",
        frame.vector, " error ", Hex{frame.error_code}, " at ", Hex{frame.rip}, " cr2 ", Hex{address}, "\n");
  stop("unexpected exception");
}

void handle_exception(InterruptFrame& frame) {
  if (frame.vector == expected_vector) {
    expected_vector = kNoVector;
    expected_came = true;
    frame.rip = expected_resume;
    return;
  }
  // The end of enter_user_mode's function: go back to ring 0 with its result.
  if (frame.vector == kExceptionUndefined && frame.rip == physical(user_mode_end)) {
    frame.rdi = frame.rax;
    frame.rip = physical(leave_user_mode);
    frame.cs = SELECTOR_CODE_64;
    frame.ss = SELECTOR_DATA;
    frame.rsp = physical(interrupt_stack + sizeof interrupt_stack);
    frame.rflags = 2;
    return;
  }
  report_exception(frame);
}

}  // namespace

void initialize_interrupts() {
  fill_table();
  load_table();
  load_task_state();
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
  turn_local_apic_on();
}

void initialize_processor_interrupts() {
  load_table();
  turn_local_apic_on();
}

void set_handler(std::uint8_t vector, InterruptHandler handler) {
  handlers[vector] = handler;
}

std::uint8_t allocate_vector(InterruptHandler handler) {
  if (next_vector == kSpuriousVector) next_vector = kFirstFreeVector;
  counts[next_vector] = 0;
  handlers[next_vector] = handler;
  return next_vector++;
}

std::uint32_t interrupt_count(std::uint8_t vector) {
  return *const_cast<volatile std::uint32_t*>(&counts[vector]);
}

std::uint32_t local_apic_read(std::uint32_t offset) {
  return read32(kLocalApic + offset);
}
void local_apic_write(std::uint32_t offset, std::uint32_t value) {
  write32(kLocalApic + offset, value);
}
std::uint32_t local_apic_id() {
  return local_apic_read(0x20) >> 24;
}

void send_interrupt_command(std::uint32_t apic_id, std::uint32_t command) {
  local_apic_write(0x310, apic_id << 24);
  local_apic_write(0x300, command);
  while (local_apic_read(0x300) & 1 << 12) relax();
}

std::uint32_t io_apic_read(std::uint8_t index) {
  write32(acpi_machine.io_apic, index);
  return read32(acpi_machine.io_apic + 0x10);
}
void io_apic_write(std::uint8_t index, std::uint32_t value) {
  write32(acpi_machine.io_apic, index);
  write32(acpi_machine.io_apic + 0x10, value);
}

void redirect(std::uint32_t gsi, std::uint8_t vector, bool level, bool active_low) {
  auto index = static_cast<std::uint8_t>(0x10 + 2 * gsi);
  io_apic_write(static_cast<std::uint8_t>(index + 1), local_apic_id() << 24);
  io_apic_write(index, vector | (level ? 1u << 15 : 0) | (active_low ? 1u << 13 : 0));
}

void redirect_isa(std::uint8_t irq, std::uint8_t vector) {
  redirect(isa_gsi(irq), vector, isa_level(irq), isa_active_low(irq));
}

void mask_input(std::uint32_t gsi) {
  io_apic_write(static_cast<std::uint8_t>(0x10 + 2 * gsi), 1 << 16);
}

std::uint64_t msi_address() {
  return kLocalApic | std::uint64_t{local_apic_id()} << 12;
}

bool write_faults(std::uint64_t address) {
  expected_vector = kExceptionPageFault;
  expected_came = false;
  asm volatile(
      "lea 1f(%%rip), %%rax\n\t"
      "mov %%rax, %0\n\t"
      "movb $0, (%1)\n"
      "1:"
      : "=m"(expected_resume)
      : "r"(address)
      : "rax", "memory");
  expected_vector = kNoVector;
  return *const_cast<volatile bool*>(&expected_came);
}

}  // namespace guest

void dispatch_interrupt(guest::InterruptFrame* frame) {
  using namespace guest;
  if (frame->vector < 32) return handle_exception(*frame);
  if (frame->vector == kSpuriousVector) return;  // needs no end of interrupt
  __atomic_fetch_add(&counts[frame->vector], 1, __ATOMIC_RELAXED);
  if (auto handler = handlers[frame->vector]) handler();
  local_apic_write(0xb0, 0);
}
