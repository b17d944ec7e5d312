// Text output: print("name ", 12, " at ", Hex{0x3f8}) writes its parts to the serial port.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "tests/guest/machine/serial.h"

namespace guest {

struct Hex {
  std::uint64_t value;
};

void print_part(std::string_view text);
void print_part(Hex number);
void print_part(std::uint64_t number);
void print_part(std::int64_t number);
inline void print_part(const char* text) {
  print_part(std::string_view(text));
}
inline void print_part(bool value) {
  print_part(value ? "true" : "false");
}
template <std::unsigned_integral T>
void print_part(T number) {
  print_part(std::uint64_t{number});
}
template <std::signed_integral T>
void print_part(T number) {
  print_part(std::int64_t{number});
}

template <typename... Parts>
void print(const Parts&... parts) {
  (print_part(parts), ...);
}

}  // namespace guest
