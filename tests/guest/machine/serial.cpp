#include "tests/guest/machine/serial.h"

#include "tests/guest/machine/cpu.h"

namespace guest {

void initialize_serial() {
  out8(kSerialPort + 1, 0);     // no interrupts
  out8(kSerialPort + 3, 0x03);  // 8n1
  out8(kSerialPort + 2, 0x07);  // FIFOs on and cleared
  out8(kSerialPort + 4, 0x0b);  // DTR, RTS, OUT2
}

void serial_write(std::string_view text) {
  for (char character : text) {
    // Bounded: a transmitter that never empties must show as a failure, not as a hang of every test.
    for (int spins = 0; spins < 100000 && !(in8(kSerialPort + 5) & 0x20); ++spins) relax();
    out8(kSerialPort, static_cast<std::uint8_t>(character));
  }
}

int serial_read() {
  if (!(in8(kSerialPort + 5) & 1)) return -1;
  return in8(kSerialPort);
}

}  // namespace guest
