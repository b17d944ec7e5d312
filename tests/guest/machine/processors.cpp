#include "tests/guest/machine/processors.h"

#include "tests/guest/boot/selectors.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"

extern "C" {
extern const std::uint8_t processor_start[], processor_start_end[];
volatile std::uint32_t processor_stack;
void processor_main();
void* memcpy(void*, const void*, std::size_t);
}

namespace guest {
namespace {

constexpr std::uint32_t kMaximumProcessors = 64;
constexpr std::uint32_t kStackBytes = 4096;
constexpr std::uint32_t kDeliverInit = 0x4500, kDeliverStartup = 0x4600, kDeliverFixed = 0x4000;

struct Mailbox {
  volatile ProcessorFunction function = nullptr;
  volatile std::uint64_t argument = 0;
};

alignas(16) std::uint8_t stacks[kMaximumProcessors][kStackBytes];
Mailbox mailboxes[kMaximumProcessors];
std::uint32_t apic_ids[kMaximumProcessors];
volatile std::uint32_t running = 1;

bool start_processor(std::uint32_t apic_id) {
  std::uint32_t before = running;
  processor_stack = static_cast<std::uint32_t>(physical(stacks[before] + kStackBytes));
  send_interrupt_command(apic_id, kDeliverInit);
  wait_milliseconds(10);
  send_interrupt_command(apic_id, kDeliverStartup | PROCESSOR_START_ADDRESS >> 12);
  return wait_until([&] { return running > before; }, 1000);
}

}  // namespace

std::uint32_t start_processors() {
  if (running > 1) return running;
  apic_ids[0] = local_apic_id();
  memcpy(reinterpret_cast<void*>(std::uint64_t{PROCESSOR_START_ADDRESS}), processor_start,
         static_cast<std::size_t>(processor_start_end - processor_start));
  for (const auto& cpu : acpi_machine.cpus()) {
    if (!cpu.enabled || cpu.apic_id == apic_ids[0] || running == kMaximumProcessors) continue;
    if (!start_processor(cpu.apic_id)) break;
  }
  return running;
}

std::uint32_t running_processors() {
  return running;
}
std::uint32_t processor_apic_id(std::uint32_t index) {
  return apic_ids[index];
}

bool run_on_processor(std::uint32_t index, ProcessorFunction function, std::uint64_t argument) {
  Mailbox& mailbox = mailboxes[index];
  mailbox.argument = argument;
  compiler_fence();
  mailbox.function = function;
  send_interrupt_command(apic_ids[index], kDeliverFixed | kCallVector);
  return wait_until([&] { return mailbox.function == nullptr; }, 1000);
}

}  // namespace guest

// Entered by each application processor on its own stack; the boot processor starts the next one only when
// `running` has gone up.
void processor_main() {
  using namespace guest;
  std::uint32_t index = running;
  initialize_processor_interrupts();
  apic_ids[index] = local_apic_id();
  compiler_fence();
  running = index + 1;
  for (;;) {
    Mailbox& mailbox = mailboxes[index];
    while (mailbox.function == nullptr) wait_for_interrupt();
    mailbox.function(mailbox.argument);
    compiler_fence();
    mailbox.function = nullptr;
  }
}
