#include "vmm-core/virtio/device_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static RngHost host;
  static DeviceFuzzer fuzzer(host, 0);
  fuzzer.run(data, size);
  return 0;
}
