// T18: whatever parses is written as something that parses to the same.

#include <cstdlib>
#include <string_view>

#include "driver/contract/error.h"
#include "driver/interface/interface_definition.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const interface::InterfaceDefinition definition = interface::parse_interface(xml, false);
    if (!(interface::parse_interface(interface::format_interface(definition), true) == definition))
      std::abort();
  } catch (const Error& error) {
    // What we write ourselves is valid.
    if (error.code() == VIR_ERR_XML_INVALID_SCHEMA) std::abort();
  }
  return 0;
}
