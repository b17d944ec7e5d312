// T10: the first bytes of an image may be anything.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "driver/store/image_header.h"

using namespace warren::driver::store;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const ImageHeader probed = probe_header(bytes);
  if (!is_utf8(probed.backing_path) || !is_utf8(probed.backing_format)) std::abort();
  if (read_header("raw", bytes).format != "raw") std::abort();
  read_header(probed.format, bytes);
  return 0;
}
