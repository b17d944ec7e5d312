// The text of an error, put together of strings and numbers. The worker carries no formatting library.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace warren::vmm::block::qcow2 {

inline std::string hex(std::uint64_t value) {
  char text[16];
  const auto end = std::to_chars(std::begin(text), std::end(text), value, 16).ptr;
  return "0x" + std::string(text, end);
}

template <typename... Parts>
std::string message(const Parts&... parts) {
  std::string text;
  const auto add = [&text](const auto& part) {
    if constexpr (std::integral<std::remove_cvref_t<decltype(part)>>) {
      text += std::to_string(part);
    } else {
      text += std::string_view(part);
    }
  };
  (add(parts), ...);
  return text;
}

}  // namespace warren::vmm::block::qcow2
