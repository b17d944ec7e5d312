// The register space of every PC device: the first byte chooses the device, the rest are accesses.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm-core/devices/fakes.h"
#include "vmm-core/devices/keyboard_controller.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/devices/serial.h"

namespace {
using namespace warren::vmm;

void access(IoHandler& device, std::uint64_t size, std::span<const std::uint8_t> input, auto&& between) {
  while (input.size() >= 10) {
    const std::size_t width = 1 + (input[0] >> 1) % 8;
    const std::uint64_t offset = input[1] % size;
    if (offset + width <= size) {
      std::array<std::byte, 8> data;
      for (std::size_t i = 0; i < 8; ++i) data[i] = std::byte{input[2 + i]};
      if ((input[0] & 1) != 0) {
        device.write(offset, std::span(data).first(width));
      } else {
        device.read(offset, std::span(data).first(width));
      }
    }
    between(input[0]);
    input = input.subspan(10);
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> input(data + 1, size - 1);
  bool line = false;
  auto wire = std::make_unique<FakeLine>(line);
  if (data[0] % 4 == 0) {
    FakeCharacterBackend backend;
    Serial serial("serial0", std::move(wire), backend);
    access(serial, 8, input, [&](std::uint8_t how) {
      backend.room = how;
      if (how > 0xc0) backend.type("typed");
      if (how > 0xe0) backend.listener().output_ready();
    });
    serial.restore(serial.save());
  } else if (data[0] % 4 == 1) {
    std::int64_t now = 0;
    RealTimeClock clock(std::move(wire), [&] { return now; }, 0, {});
    access(clock, 2, input, [&](std::uint8_t how) {
      now += std::int64_t{how} * how * how * how * 1000;
      (void)clock.next_tick();
      clock.tick();
    });
  } else if (data[0] % 4 == 2) {
    std::uint64_t now = 0;
    PowerManagement power(std::move(wire), [&] { return now; }, [] {});
    access(power, PowerManagement::kSize, input, [&](std::uint8_t how) {
      now += std::uint64_t{how} << 40;
      if (how > 0xf0) power.press_power_button();
    });
  } else {
    KeyboardController keyboard(std::move(wire), [] {});
    access(keyboard, 5, input, [&](std::uint8_t how) {
      if (how > 0xf0) keyboard.press_ctrl_alt_del();
    });
  }
  return 0;
}
