#include "tests/guest/runtime/mode.h"

#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/machine/user_mode.h"
#include "tests/guest/runtime/block_bench.h"
#include "tests/guest/runtime/channels.h"
#include "tests/guest/runtime/disk_facts.h"
#include "tests/guest/runtime/disk_load.h"
#include "tests/guest/runtime/hot_plug.h"
#include "tests/guest/runtime/media.h"
#include "tests/guest/runtime/net_bench.h"
#include "tests/guest/runtime/scsi_units.h"
#include "tests/guest/runtime/test.h"

namespace guest {
namespace {

constexpr std::uint16_t kPowerButton = 1 << 8;  // PM1_STS and PM1_EN (ACPI 6.4 §4.8.3.1)

void power_button_pressed() {
  std::uint16_t status = in16(acpi_machine.pm1_event);
  out16(acpi_machine.pm1_event, status);
  if (!(status & kPowerButton)) return;
  print("POWER BUTTON\n");
  power_off();
}

void listen_to_power_button() {
  const auto& machine = acpi_machine;
  if (machine.pm1_event == 0) return;
  std::uint8_t vector = allocate_vector(power_button_pressed);
  // The SCI is level triggered; an override may say which way (ACPI 6.4 §5.2.15).
  redirect(isa_gsi(static_cast<std::uint8_t>(machine.sci)), vector, true,
           isa_active_low(static_cast<std::uint8_t>(machine.sci)));
  out16(machine.pm1_control, static_cast<std::uint16_t>(in16(machine.pm1_control) | 1));  // SCI_EN
  out16(machine.pm1_event, 0xffff);
  out16(static_cast<std::uint16_t>(machine.pm1_event + machine.pm1_event_length / 2), kPowerButton);
}

void echo_serial() {
  for (int byte; (byte = serial_read()) >= 0;) {
    char character = static_cast<char>(byte);
    serial_write({&character, 1});
  }
}

[[noreturn]] void idle(bool echo) {
  listen_to_power_button();
  if (echo) {
    redirect_isa(kSerialInterrupt, allocate_vector(echo_serial));
    out8(kSerialPort + 1, 1);  // received data available
  }
  print("READY\n");
  for (;;) wait_for_interrupt();
}

std::uint64_t spin_for_good(std::uint64_t) {
  for (volatile std::uint64_t counter = 0;;) counter = counter + 1;
}

[[noreturn]] void tick() {
  listen_to_power_button();
  std::uint64_t start = now_nanoseconds();
  for (std::uint64_t second = 0;; ++second) {
    print("TICK ", second, " ", (now_nanoseconds() - start) / kMillisecond, "\n");
    wait_milliseconds(1000);
  }
}

// Runs where no memory is: an instruction fetch that nobody can emulate, on any host.
[[noreturn]] void fail_emulation() {
  reinterpret_cast<void (*)()>(std::uint64_t{0xfea00000})();
  halt();
}

}  // namespace

void run_mode(std::string_view mode) {
  if (mode.empty()) return;
  if (mode == "list") {
    list_tests();
    power_off();
  }
  if (mode == "idle") idle(false);
  if (mode == "echo") idle(true);
  if (mode == "tick") tick();
  if (mode == "channels") {
    listen_to_power_button();
    serve_channels();
  }
  if (mode == "hot_plug") serve_hot_plug_slots();
  if (mode == "media") watch_media();
  if (mode == "block_bench") measure_disk();
  if (mode == "net_bench") measure_network();
  if (mode == "scsi") watch_scsi_units();
  if (mode == "disk_facts") {
    listen_to_power_button();
    tell_disk_facts();
  }
  if (mode == "disk_load") {
    listen_to_power_button();
    load_disks();
  }
  print(mode.starts_with("reboot") ? "BOOT\n" : "READY\n");
  if (mode == "ignore")
    for (;;) wait_for_interrupt();
  if (mode == "spin") run_in_user_mode(spin_for_good, 0);
  if (mode == "reboot") reset_machine();
  if (mode == "reboot_keyboard") out8(0x64, 0xfe);
  if (mode == "triple_fault") triple_fault();
  if (mode == "emulation_failure") fail_emulation();
  if (mode.starts_with("reboot") || mode == "halt") halt();
  stop("unknown mode");
}

}  // namespace guest
