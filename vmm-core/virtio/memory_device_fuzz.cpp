#include "vmm-core/virtio/device_fuzz.h"
#include "vmm-core/virtio/fake_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static MemoryHost host;
  static DeviceFuzzer fuzzer(host, 3);
  fuzzer.run(data, size);
  // No more than was asked for, whatever the guest did, and no slot of memory that is not plugged.
  if (host.device().plugged_bytes() > host.device().requested_bytes()) std::abort();
  if (host.device().plugged_bytes() == 0 && host.slots().count() != 0) std::abort();
  return 0;
}
