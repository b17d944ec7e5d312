// The UART under random accesses, input and a back end that takes what it likes (class T5). Its queues stay
// within their bounds, and a state that was saved restores.
#include <algorithm>
#include <cstdlib>

#include "vmm-core/devices/register_fuzz.h"
#include "vmm-core/devices/serial.h"
#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm {
namespace {

struct MoodyBackend final : CharacterBackend {
  void set_listener(CharacterListener*) noexcept override {}
  bool watch_peer(PeerListener*) noexcept override { return true; }
  std::size_t write(std::span<const std::byte> bytes) noexcept override { return blocked ? 0 : bytes.size(); }
  void resume_input() noexcept override {}
  bool blocked = false;
};

void check(const Serial::State& state) {
  for (const auto& fifo : {state.receive, state.transmit}) {
    if (fifo.first >= Serial::kFifoSize || fifo.count > Serial::kFifoSize) std::abort();
  }
}

}  // namespace
}  // namespace warren::vmm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  bool line = false;
  MoodyBackend backend;
  Serial serial("serial0", std::make_unique<pci::FakeLine>(line), backend);
  for_each_step(data, size, [&](const FuzzStep& step) {
    switch (step.action >> 1 & 7) {
      case 0:
        serial.receive(std::span(step.data).first(step.argument % 9u));  // more than it said it has room for
        break;
      case 1:
        serial.receive(std::span(step.data).first(std::min<std::size_t>(serial.receive_capacity(), 8)));
        break;
      case 2:
        backend.blocked = (step.argument & 1) != 0;
        if (!backend.blocked) serial.output_ready();
        break;
      case 3:
        if (step.argument == 0) serial.reset();
        serial.restore(serial.save());
        break;
      case 4: {
        Serial::State hostile = serial.save();
        hostile.receive.first = step.argument;
        hostile.transmit.count = step.offset;
        serial.restore(hostile);
        break;
      }
      default:
        access(serial, step, 8);
    }
    check(serial.save());
  });
  return 0;
}
