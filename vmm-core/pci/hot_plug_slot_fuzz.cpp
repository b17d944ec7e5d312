// A hot-plug slot under random accesses, requests, resets and restored states (classes T5, T7): what it says
// of itself stays what it is, the wire follows its registers, and a device is released once for each request.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/hot_plug_slot.h"

namespace {

using warren::vmm::pci::HotPlugSlot;
using warren::vmm::pci::HotPlugSlotState;

struct Step {
  std::uint8_t action, offset, size;
  std::array<std::uint8_t, 4> bytes;
};

void check(bool holds) {
  if (!holds) std::abort();
}

std::uint16_t read16(HotPlugSlot& slot, std::uint64_t offset) {
  std::uint16_t value = 0;
  slot.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint16_t kInterruptEnable = 1 << 5;
  bool wire = false;
  unsigned requests = 0, releases = 0;
  HotPlugSlot slot(7, {[&](bool level) { wire = level; }, [&] { ++releases; }});
  for (; size >= sizeof(Step); data += sizeof(Step), size -= sizeof(Step)) {
    Step step;
    std::memcpy(&step, data, sizeof(step));
    const auto bytes = std::as_bytes(std::span(step.bytes)).first(1U << step.size % 3);
    const std::uint64_t offset = step.offset % 0x3c;
    switch (step.action % 8) {
      case 0:
        slot.set_present(step.offset % 2 != 0);
        break;
      case 1:
        ++requests;
        slot.request_removal();
        break;
      case 2:
        slot.reset();
        break;
      case 3: {
        HotPlugSlotState state = slot.save();
        std::memcpy(&state.control, step.bytes.data(), sizeof(state.control));
        std::memcpy(&state.status, step.bytes.data() + 2, sizeof(state.status));
        state.removal_requested = false;
        slot.restore(state);
        break;
      }
      case 4:
        slot.set_power(step.offset % 2 != 0);
        break;
      default:
        slot.write(offset, bytes);
    }
    check(read16(slot, 0x14) == 0x005b);
    check((read16(slot, 0x18) & kInterruptEnable) != 0 || !wire);
    check(releases <= requests);
  }
  return 0;
}
