// A table of hostile firmware: whatever is found lies within it.

#include <cstdint>
#include <cstdlib>

#include "driver/host/smbios_table.h"

using namespace warren::driver::host;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* text = reinterpret_cast<const char*>(data);  // bytes as text
  for (const SmbiosStructure& structure : parse_smbios_table({data, size})) {
    for (const std::string_view string : structure.strings())
      if (string.data() < text || string.data() + string.size() > text + size) std::abort();
    for (std::size_t offset = 0; offset < 300; ++offset) {
      static_cast<void>(structure.string(offset));
      static_cast<void>(structure.double_word(offset));
    }
  }
  return 0;
}
