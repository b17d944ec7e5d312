#include "tests/guest/runtime/print.h"

namespace guest {
namespace {

void print_number(std::uint64_t number, unsigned base) {
  char digits[20];
  unsigned at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number != 0);
  serial_write({digits + at, sizeof digits - at});
}

}  // namespace

void print_part(std::string_view text) {
  serial_write(text);
}
void print_part(Hex number) {
  serial_write("0x");
  print_number(number.value, 16);
}
void print_part(std::uint64_t number) {
  print_number(number, 10);
}
void print_part(std::int64_t number) {
  if (number < 0) serial_write("-");
  print_number(number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number), 10);
}

}  // namespace guest
