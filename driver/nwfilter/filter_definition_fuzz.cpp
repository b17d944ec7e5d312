// T18: whatever parses is written as something that parses to the same.

#include <cstdlib>
#include <string_view>

#include "driver/config/filter_binding.h"
#include "driver/nwfilter/filter_definition.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const nwfilter::FilterDefinition filter = nwfilter::parse_filter(xml);
    if (!(nwfilter::parse_filter(nwfilter::format_filter(filter), true) == filter)) std::abort();
  } catch (const Error& error) {
    // What is written is always of the schema.
    if (error.code() == VIR_ERR_XML_INVALID_SCHEMA) std::abort();
  }
  try {
    const config::FilterBinding binding = config::parse_binding(xml);
    if (!(config::parse_binding(config::format_binding(binding), true) == binding)) std::abort();
  } catch (const Error& error) {
    if (error.code() == VIR_ERR_XML_INVALID_SCHEMA) std::abort();
  }
  return 0;
}
