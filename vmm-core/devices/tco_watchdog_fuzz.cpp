// The chipset's watchdog under random accesses, pauses and hostile saved states (classes T5 and T21).
#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/devices/tco_watchdog.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  static EventThread thread("watchdog-fuzz");
  TcoWatchdog device("watchdog0", thread, [] {});
  for_each_step(data, size, [&](const FuzzStep& step) {
    switch (step.action >> 1 & 7) {
      case 0:
        access(device.general_control(), step, TcoWatchdog::kGeneralControlSize);
        break;
      case 1:
        restore_spoiled(device, [&](auto& state) {
          state.timeouts = step.argument;
          std::memcpy(&state.left_nanoseconds, step.data.data(), sizeof(state.left_nanoseconds));
        });
        break;
      case 2:
        if (step.argument == 0) device.reset();
        break;
      default:
        access(device, step, TcoWatchdog::kPorts);
    }
  });
  return 0;
}
