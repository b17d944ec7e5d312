// The first serial port (16550), polled: where the test guest reports.
#pragma once

#include <cstdint>
#include <string_view>

namespace guest {

inline constexpr std::uint16_t kSerialPort = 0x3f8;
inline constexpr std::uint32_t kSerialInterrupt = 4;  // ISA IRQ

void initialize_serial();
void serial_write(std::string_view text);
// The next received byte, or -1.
int serial_read();

}  // namespace guest
