#include "vmm-core/virtio/device_fuzz.h"
#include "vmm-core/virtio/fake_input.h"

namespace {

using namespace warren::vmm::virtio;

// Somebody types while the driver does what it does, also when it gives no buffers.
class TypingHost final : public InputHost {
 public:
  std::size_t offer(FakeGuest& guest) override {
    std::array<InputEvent, 20> frame;
    for (std::size_t i = 0; i < frame.size(); ++i)
      frame[i] = {kEventKey, static_cast<std::uint16_t>(next_++ % 1024), next_ % 3};
    device().send(frame);
    if (next_ % 7 == 0) device().release_keys();
    return InputHost::offer(guest);
  }

 private:
  std::uint32_t next_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static TypingHost host;
  static DeviceFuzzer fuzzer(host, 0);
  fuzzer.run(data, size);
  return 0;
}
