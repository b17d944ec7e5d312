#include "vmm-core/virtio/device_fuzz.h"
#include "vmm-core/virtio/fake_vsock.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static VsockHost host;
  static DeviceFuzzer fuzzer(host, Vsock::kFeatureStream | Vsock::kFeatureSeqpacket);
  fuzzer.run(data, size);
  return 0;
}
