#include "tests/guest/runtime/bench_line.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/serial.h"

namespace guest {
namespace {

char line[128];

}  // namespace

std::string_view read_line() {
  unsigned length = 0;
  for (;;) {
    const int byte = serial_read();
    if (byte < 0) {
      wait_milliseconds(1);
      continue;
    }
    if (byte == '\n') return {line, length};
    if (length < sizeof(line)) line[length++] = static_cast<char>(byte);
  }
}

std::string_view take_word(std::string_view& text) {
  const auto end = text.find(' ');
  const auto word = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return word;
}
std::uint32_t take_number(std::string_view& text) {
  std::uint32_t value = 0;
  for (const char digit : take_word(text)) value = value * 10 + static_cast<std::uint32_t>(digit - '0');
  return value;
}

}  // namespace guest
