#include "vmm-core/virtio/device_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static ChannelHost host;
  static DeviceFuzzer fuzzer(host, Console::kFeatureMultiport);
  fuzzer.run(data, size);
  return 0;
}
