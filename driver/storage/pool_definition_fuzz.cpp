// T18: whatever parses is written as something that parses to the same.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "driver/storage/pool_definition.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const storage::PoolDefinition definition = storage::parse_pool(xml);
    if (!(storage::parse_pool(storage::format_pool(definition)) == definition)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
