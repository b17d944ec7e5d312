// The keyboard controller under random accesses and key presses (class T5): its queue stays within bounds.
#include <cstdlib>

#include "vmm-core/devices/keyboard_controller.h"
#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/pci/fake_interrupts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  bool line = false;
  KeyboardController keyboard(std::make_unique<pci::FakeLine>(line), [] {});
  for_each_step(data, size, [&](const FuzzStep& step) {
    switch (step.action >> 1 & 7) {
      case 0:
        static_cast<void>(keyboard.press_ctrl_alt_del());
        break;
      case 1: {
        KeyboardController::State hostile = keyboard.save();
        hostile.first = step.argument;
        hostile.count = step.offset;
        keyboard.restore(hostile);
        break;
      }
      case 2:
        if (step.argument == 0) keyboard.reset();
        break;
      default:
        access(keyboard, step, 5);
    }
    const auto state = keyboard.save();
    if (state.first >= KeyboardController::kQueueSize || state.count > KeyboardController::kQueueSize) {
      std::abort();
    }
  });
  return 0;
}
