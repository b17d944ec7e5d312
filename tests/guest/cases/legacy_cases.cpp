// The small old devices: CMOS clock (Motorola MC146818A), i8042 keyboard controller, debug and unclaimed
// ports.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/acpi.h"
#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/pci.h"
#include "tests/guest/runtime/test.h"

namespace guest {
namespace {

std::uint8_t cmos_read(std::uint8_t index) {
  out8(0x70, index);
  return in8(0x71);
}
void cmos_write(std::uint8_t index, std::uint8_t value) {
  out8(0x70, index);
  out8(0x71, value);
}

struct Date {
  unsigned year, month, day, hour, minute, second;
};

unsigned decimal(std::uint8_t value, bool binary) {
  return binary ? value : (value >> 4) * 10u + (value & 0xf);
}

Date read_date() {
  while (cmos_read(0x0a) & 0x80) relax();  // update in progress
  std::uint8_t mode = cmos_read(0x0b);
  bool binary = (mode & 4) != 0;
  std::uint8_t hour = cmos_read(4);
  Date date{decimal(cmos_read(9), binary) + 2000, decimal(cmos_read(8), binary),
            decimal(cmos_read(7), binary),        decimal(hour & 0x7f, binary),
            decimal(cmos_read(2), binary),        decimal(cmos_read(0), binary)};
  if (!(mode & 2)) date.hour = date.hour % 12 + (hour & 0x80 ? 12 : 0);
  return date;
}

// Seconds since 1970 (days from civil, Hinnant).
std::uint64_t seconds_of(const Date& date) {
  unsigned year = date.year - (date.month <= 2), era_year = year % 400;
  unsigned day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
  std::uint64_t days =
      year / 400 * 146097ull + era_year * 365 + era_year / 4 - era_year / 100 + day_of_year - 719468;
  return days * 86400 + date.hour * 3600 + date.minute * 60 + date.second;
}

bool controller_wait_input() {
  return wait_until([] { return !(in8(0x64) & 2); }, 100);
}
// The next byte of the output buffer, or -1.
int controller_read() {
  return wait_until([] { return (in8(0x64) & 1) != 0; }, 200) ? in8(0x60) : -1;
}
int controller_command(std::uint8_t command) {
  while (in8(0x64) & 1) in8(0x60);
  controller_wait_input();
  out8(0x64, command);
  return controller_read();
}

}  // namespace

TEST(rtc, date) {
  Date date = read_date();
  EXPECT(date.year >= 2024 && date.year < 2100);
  EXPECT(date.month >= 1 && date.month <= 12);
  EXPECT(date.day >= 1 && date.day <= 31);
  EXPECT(date.hour < 24 && date.minute < 60 && date.second < 60);
  // The harness gives its own time; UTC guests must agree within a minute.
  if (auto host = command_line_number("time", 0)) {
    std::uint64_t ours = seconds_of(date);
    EXPECT(ours + 60 > host && ours < host + 60);
  }
}

TEST(rtc, runs) {
  std::uint64_t first = seconds_of(read_date());
  wait_milliseconds(2200);
  std::uint64_t elapsed = seconds_of(read_date()) - first;
  EXPECT(elapsed >= 2 && elapsed <= 4);
}

TEST(rtc, registers) {
  EXPECT_EQUAL(cmos_read(0x0d) & 0x80, 0x80);  // battery good
  EXPECT_EQUAL(cmos_read(0x0a) & 0x70, 0x20);  // divider: 32.768 kHz
  EXPECT_EQUAL(cmos_read(0x0b) & 0x02, 0x02);  // 24 hours
}

TEST(rtc, memory) {
  std::uint8_t saved = cmos_read(0x50);
  for (unsigned value : {0x00u, 0x5au, 0xffu}) {
    cmos_write(0x50, static_cast<std::uint8_t>(value));
    EXPECT_EQUAL(unsigned{cmos_read(0x50)}, value);
  }
  cmos_write(0x50, saved);
}

// T5: every index, and wide accesses to both ports.
TEST(rtc, access_sweep) {
  for (unsigned index = 0; index < 256; ++index) {
    cmos_read(static_cast<std::uint8_t>(index & 0x7f));
    in16(0x70);
    in32(0x70);
    in16(0x71);
  }
  Date date = read_date();
  EXPECT(date.month >= 1 && date.month <= 12);
}

TEST(i8042, self_test) {
  EXPECT_EQUAL(controller_command(0xaa), 0x55);
}

TEST(i8042, port_test) {
  EXPECT_EQUAL(controller_command(0xab), 0);
}

TEST(i8042, configuration_byte) {
  int before = controller_command(0x20);
  REQUIRE(before >= 0);
  controller_wait_input();
  out8(0x64, 0x60);
  controller_wait_input();
  out8(0x60, static_cast<std::uint8_t>(before ^ 0x40));  // translation
  EXPECT_EQUAL(controller_command(0x20), before ^ 0x40);
  controller_wait_input();
  out8(0x64, 0x60);
  controller_wait_input();
  out8(0x60, static_cast<std::uint8_t>(before));
}

TEST(i8042, output_buffer_empty) {
  while (in8(0x64) & 1) in8(0x60);
  EXPECT_EQUAL(in8(0x64) & 3, 0);
}

// T5: wide accesses and unknown commands must leave the controller working. Left out: pulse commands
// 0xf0…0xff, which reset the machine, and 0xd1, whose data byte may.
TEST(i8042, command_sweep) {
  for (unsigned command = 0; command < 0xf0; ++command) {
    if (command == 0xd1 || command == 0xd2 || command == 0xd3 || command == 0xd4) continue;
    out8(0x64, static_cast<std::uint8_t>(command));
    for (int i = 0; i < 8 && in8(0x64) & 1; ++i) in8(0x60);
  }
  for (std::uint16_t port : {std::uint16_t{0x60}, std::uint16_t{0x64}}) {
    in16(port);
    in32(port);
  }
  out8(0x60, 0);  // ends a command that still waits for data
  EXPECT_EQUAL(controller_command(0xaa), 0x55);
}

// Nothing there: reads are all ones, writes are lost.
TEST(ports, unclaimed) {
  for (std::uint16_t port : {std::uint16_t{0x2e8}, std::uint16_t{0x1ce0}, std::uint16_t{0xf00c}}) {
    EXPECT_EQUAL(unsigned{in8(port)}, 0xffu);
    EXPECT_EQUAL(unsigned{in16(port)}, 0xffffu);
    EXPECT_EQUAL(in32(port), 0xffffffffu);
    out32(port, 0);
  }
}

// T5: reads of every width at every port survive.
TEST(ports, read_sweep) {
  for (std::uint32_t port = 0; port < 0x10000; ++port) {
    if (port > 0x1000 && port % 61 != 0) continue;  // sample what lies above the classic range
    in8(static_cast<std::uint16_t>(port));
    in16(static_cast<std::uint16_t>(port));
    in32(static_cast<std::uint16_t>(port));
  }
  EXPECT_EQUAL(read32(ecam_address({0, 0, 0})) == 0xffffffff, false);
}

}  // namespace guest
