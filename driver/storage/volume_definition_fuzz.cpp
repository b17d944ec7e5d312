// T18: whatever parses is written as something that parses to the same.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "driver/storage/volume_definition.h"

using namespace warren::driver::storage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    VolumeDefinition definition = parse_volume(xml, PoolType::dir, CapacityRule::optional);
    VolumeDefinition again = parse_volume(format_volume(definition), PoolType::dir, CapacityRule::optional);
    // Said at a creation, and not shown: both sizes are, always.
    for (VolumeDefinition* each : {&definition, &again}) {
      each->target.no_cow = false;
      each->allocation_given = true;
      if (each->backing) each->backing->no_cow = false;
    }
    if (!(again == definition)) std::abort();
  } catch (const warren::driver::Error&) {
  }
  return 0;
}
