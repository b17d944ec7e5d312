// The register block of vCPUs that come and go under random accesses (class T5): what cannot go stays, each
// ejection is of one that was there, and each refusal of one that was asked for.
#include <array>
#include <cstdlib>

#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/devices/vcpu_hot_plug.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  constexpr std::uint32_t kVcpus = 8;
  constexpr std::array<std::uint32_t, 5> kHotPluggable = {3, 4, 5, 6, 7};
  constexpr std::array<std::uint32_t, 2> kAbsent = {6, 7};
  std::array<bool, kVcpus> present = {true, true, true, true, true, true, false, false};
  std::array<bool, kVcpus> asked{};
  const auto expect = [](bool holds) {
    if (!holds) std::abort();
  };
  VcpuHotPlug device(kVcpus, kHotPluggable, kAbsent,
                     {.notify = [] {},
                      .ejected =
                          [&](std::uint32_t vcpu) {
                            expect(vcpu >= 3 && present.at(vcpu));
                            present.at(vcpu) = asked.at(vcpu) = false;
                          },
                      .refused =
                          [&](std::uint32_t vcpu) {
                            expect(asked.at(vcpu));
                            asked.at(vcpu) = false;
                          }});
  for_each_step(data, size, [&](const FuzzStep& step) {
    const std::uint32_t vcpu = step.argument % (kVcpus + 1u);
    switch (step.action >> 1 & 7) {
      case 0:
        if (device.insert(vcpu)) {
          expect(!present.at(vcpu));
          present.at(vcpu) = true;
        }
        break;
      case 1:
        if (device.request_removal(vcpu)) asked.at(vcpu) = true;
        break;
      case 2:
        device.reset();
        asked = {};
        break;
      case 3: {
        // What one hostile document says of the whole.
        VcpuHotPlug::State state = device.save();
        state.slots.resize(step.argument);
        for (auto& slot : state.slots) slot.request.event = step.offset;
        device.restore(state);
        break;
      }
      default:
        access(device, step, (kVcpus + 1) * VcpuHotPlug::kSlotSize);
    }
    for (std::uint32_t i = 0; i < kVcpus; ++i) expect(device.is_present(i) == present[i]);
  });
  return 0;
}
