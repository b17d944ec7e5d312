// The watchdog under random accesses, pauses and hostile saved states (classes T5 and T21).
#include "vmm-core/devices/i6300esb_watchdog.h"
#include "vmm-core/devices/register_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  constexpr std::uint64_t kBar = 0xe000'0000;
  static EventThread thread("watchdog-fuzz");
  AddressSpace memory("mmio", ~std::uint64_t{0}), ports("ports", 0xffff);
  I6300esbWatchdog device("watchdog0", pci::Place{memory, ports, nullptr}, thread, [] {});
  device.place_bar(0, kBar);
  device.enable_decoding();
  for_each_step(data, size, [&](const FuzzStep& step) {
    std::array<std::byte, 8> bytes = step.data;
    switch (step.action >> 1 & 7) {
      case 0: {
        const auto offset = static_cast<std::uint16_t>(step.offset & ~3U);
        device.config_write(offset, std::span(bytes).first(4));
        device.config_read(offset, std::span(bytes).first(4));
        break;
      }
      case 1:
        device.config_write(0x68, std::span(bytes).first(1));
        break;
      case 2:
        restore_spoiled(device, [&](auto& state) {
          state.stage = step.argument;
          std::memcpy(&state.left_nanoseconds, step.data.data(), sizeof(state.left_nanoseconds));
        });
        break;
      case 3:
        if (step.argument == 0) device.reset();
        break;
      case 4: {
        const std::uint16_t unlock[] = {0x80, 0x86};
        for (const auto& value : unlock) memory.write(kBar + 0xc, std::as_bytes(std::span(&value, 1)));
        [[fallthrough]];
      }
      default: {
        const std::size_t length = step.size % 8u + 1;
        const std::uint64_t offset = step.offset % (17 - length);
        if ((step.action & 1) != 0) {
          memory.write(kBar + offset, std::span<const std::byte>(bytes).first(length));
        } else {
          memory.read(kBar + offset, std::span(bytes).first(length));
        }
      }
    }
  });
  return 0;
}
