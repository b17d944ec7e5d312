// The ACPI hardware and the reset control register under random accesses (class T5): SCI_EN stays on, and
// the SCI is what status and enable say.
#include <cstdlib>

#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/devices/reset_control.h"
#include "vmm-core/pci/fake_interrupts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  bool line = false;
  std::uint64_t now = 0;
  PowerManagement power(std::make_unique<pci::FakeLine>(line), [&now] { return now; }, [] {});
  ResetControl reset([] {});
  for_each_step(data, size, [&](const FuzzStep& step) {
    switch (step.action >> 1 & 7) {
      case 0:
        static_cast<void>(power.press_power_button());
        break;
      case 1:
        std::memcpy(&now, step.data.data(), sizeof(now));
        break;
      case 2: {
        PowerManagement::State hostile;
        std::memcpy(&hostile.status, step.data.data(), sizeof(hostile.status));
        std::memcpy(&hostile.enable, step.data.data() + 2, sizeof(hostile.enable));
        std::memcpy(&hostile.control, step.data.data() + 4, sizeof(hostile.control));
        power.restore(hostile);
        break;
      }
      case 3:
        access(reset, step, 1);
        break;
      case 4:
        power.raise_event(step.argument);
        break;
      default:
        access(power, step, PowerManagement::kSize);
    }
    const auto state = power.save();
    if ((state.control & 1) == 0 ||
        line != ((state.status & state.enable) != 0 || (state.event_status & state.event_enable) != 0))
      std::abort();
  });
  return 0;
}
