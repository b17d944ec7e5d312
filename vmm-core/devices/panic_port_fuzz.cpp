// The panic port under random accesses (class T5).
#include "vmm-core/devices/panic_port.h"
#include "vmm-core/devices/register_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  PanicPort port([] {});
  for_each_step(data, size, [&](const FuzzStep& step) { access(port, step, 1); });
  return 0;
}
