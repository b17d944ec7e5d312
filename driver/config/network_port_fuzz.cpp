// T18: whatever parses is written as something that parses to the same and is of the schema.

#include <cstdlib>
#include <string_view>

#include "driver/config/network_port.h"
#include "driver/contract/error.h"

using namespace warren::driver;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    const config::NetworkPort port = config::parse_network_port(xml, false);
    if (!(config::parse_network_port(config::format_network_port(port), true) == port)) std::abort();
  } catch (const Error& error) {
    if (error.code() == VIR_ERR_XML_INVALID_SCHEMA) std::abort();
  }
  return 0;
}
