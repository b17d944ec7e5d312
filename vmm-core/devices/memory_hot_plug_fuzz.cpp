// The register block of memory modules that come and go under random accesses (class T5): each ejection is of
// one that was there, and each refusal of one that was asked for.
#include <array>
#include <cstdlib>

#include "vmm-core/devices/memory_hot_plug.h"
#include "vmm-core/devices/register_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  constexpr std::uint32_t kSlots = 4;
  std::array<bool, kSlots> present{}, asked{};
  const auto expect = [](bool holds) {
    if (!holds) std::abort();
  };
  MemoryHotPlug device(kSlots, {.notify = [] {},
                                .ejected =
                                    [&](std::uint32_t slot) {
                                      expect(present.at(slot));
                                      present.at(slot) = asked.at(slot) = false;
                                    },
                                .refused =
                                    [&](std::uint32_t slot) {
                                      expect(asked.at(slot));
                                      asked.at(slot) = false;
                                    }});
  for_each_step(data, size, [&](const FuzzStep& step) {
    const std::uint32_t slot = step.argument % (kSlots + 1u);
    switch (step.action >> 1 & 7) {
      case 0:
        if (device.insert(slot, {.address = step.offset, .size = step.argument, .node = 0}, true)) {
          expect(!present.at(slot));
          present.at(slot) = true;
        }
        break;
      case 1:
        if (device.request_removal(slot)) asked.at(slot) = true;
        break;
      case 2:
        device.reset();
        asked = {};
        break;
      default:
        access(device, step, (kSlots + 1) * MemoryHotPlug::kSlotSize);
    }
    for (std::uint32_t i = 0; i < kSlots; ++i) expect(device.is_present(i) == present[i]);
  });
  return 0;
}
