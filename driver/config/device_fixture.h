// What the tests of devices begin with: one from its document, and why something is refused.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "driver/config/device_change.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

inline Device device(std::string_view xml, DeviceUse use = DeviceUse::change) {
  Device parsed = parse_device(xml, use, true);
  if (!std::holds_alternative<Interface>(parsed)) complete_device(parsed);
  return parsed;
}

// The code and the message; 0 and none of what goes well.
template <typename Work>
std::pair<int, std::string> refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {0, ""};
}

}  // namespace warren::driver::config
