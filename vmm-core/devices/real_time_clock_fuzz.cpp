// The clock under random accesses, jumps of the host's clock and hostile saved states (classes T5 and T25).
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/pci/fake_interrupts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  bool line = false;
  RealTimeClock::Nanoseconds host = 1'700'000'000'000'000'000;
  RealTimeClock clock(std::make_unique<pci::FakeLine>(line), [&host] { return host; }, 0, [] {});
  for_each_step(data, size, [&](const FuzzStep& step) {
    RealTimeClock::Nanoseconds number = 0;
    std::memcpy(&number, step.data.data(), sizeof(number));
    switch (step.action >> 1 & 7) {
      case 0:
        host += number % 10'000'000'000;
        break;
      case 1:
        host = number;  // a host whose clock is anything
        break;
      case 2: {
        RealTimeClock::State hostile = clock.save();
        hostile.offset = number;
        hostile.checked_until = number ^ step.argument;
        hostile.index = step.argument;
        clock.restore(hostile);
        break;
      }
      case 3:
        if (step.argument == 0) clock.reset();
        clock.tick();
        static_cast<void>(clock.next_tick());
        break;
      default: {
        // Most accesses select a register first, so that all are reached.
        const std::byte index{step.argument};
        clock.write(0, {&index, 1});
        access(clock, step, 2);
      }
    }
  });
  return 0;
}
