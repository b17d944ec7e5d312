#include "vmm-core/virtio/device_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static BalloonHost host;
  static DeviceFuzzer fuzzer(host, BalloonHost::kStatistics | BalloonHost::kReporting);
  fuzzer.run(data, size);
  return 0;
}
