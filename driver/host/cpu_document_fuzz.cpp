// T18: hostile <cpu> documents; what parses can be compared, and is its own baseline.

#include <cstdlib>
#include <string_view>

#include <libvirt/libvirt.h>

#include "driver/contract/error.h"
#include "driver/host/cpu_comparison.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const host::CpuDocument cpu = host::parse_cpu_document(xml, false);
    host::compare_cpu(cpu, {.features = {}, .vendor = "Intel"});
    const host::CpuDocument again = host::parse_cpu_document(host::format_baseline({cpu}, {}), false);
    if (again.model != cpu.model) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
