// What a helper that went wrong may send: frames of any length, no JSON, no message.

#include <cstdint>
#include <string_view>

#include "driver/storage/backend_message.h"

using namespace warren::driver::storage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    FrameReader frames(kMostReplyBytes);
    // In two parts, as a socket may cut it.
    for (std::string_view part : {bytes.substr(0, size / 3), bytes.substr(size / 3)}) {
      frames.append(part);
      while (const auto frame = frames.next()) decode_reply(*frame);
    }
  } catch (const warren::driver::Error&) {
  }
  try {
    decode_reply(bytes);
  } catch (const warren::driver::Error&) {
  }
  return 0;
}
