#include "vmm-core/virtio/device_fuzz.h"
#include "vmm-core/virtio/fake_scsi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static ScsiHost host;
  static DeviceFuzzer fuzzer(host, 6);
  fuzzer.run(data, size);
  return 0;
}
