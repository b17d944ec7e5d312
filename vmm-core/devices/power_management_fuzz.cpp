// The ACPI hardware and the reset control register under random accesses (class T5): SCI_EN stays on, the SCI
// is what status and enable say, and only states that exist are entered.
#include <cstdlib>

#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/devices/reset_control.h"
#include "vmm-core/pci/fake_interrupts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  bool line = false;
  std::uint64_t now = 0;
  const PowerManagement::SleepStates states{.s3 = size % 2 != 0, .s4 = size % 3 != 0};
  bool entered_s3 = false;
  PowerManagement power(std::make_unique<pci::FakeLine>(line), [&now] { return now; }, states,
                        {.sleep =
                             [&](PowerManagement::SleepState state) {
                               using enum PowerManagement::SleepState;
                               if (state != s5 && !(state == s3 ? states.s3 : state == s4 && states.s4))
                                 std::abort();
                               entered_s3 = entered_s3 || state == s3;
                             },
                         .wake =
                             [&] {
                               if (!entered_s3) std::abort();
                             }});
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
        hostile.asleep = entered_s3 && (step.argument & 1) != 0;
        power.restore(hostile);
        break;
      }
      case 3:
        access(reset, step, 1);
        break;
      case 4:
        power.raise_event(step.argument);
        break;
      case 5:
        power.note_alarm();
        break;
      case 6:
        if (power.wakes_guest()) power.wake(power.wake_events());
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
