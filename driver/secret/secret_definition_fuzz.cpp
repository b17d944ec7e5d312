// T18: whatever parses is written as something that parses to the same.

#include <cstdlib>
#include <string_view>

#include "driver/secret/secret_definition.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const secret::SecretDefinition definition = secret::parse_secret(xml);
    if (!(secret::parse_secret(secret::format_secret(definition)) == definition)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
