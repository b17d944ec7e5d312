// A domain's (network's, pool's, …) UUID: 16 bytes in the order they are written, as libvirt's RPC carries
// them.
//
// A value type; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace warren::driver {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  bool is_nil() const noexcept { return bytes == std::array<std::uint8_t, 16>{}; }

  // Lower case with hyphens (RFC 4122 §3).
  std::string to_string() const;
  // What libvirt's parser takes: 32 hexadecimal digits, hyphens and white space around or between the pairs.
  static std::optional<Uuid> parse(std::string_view text);
  // Version 4 (RFC 4122 §4.4), from the kernel's random source. Throws Error.
  static Uuid random();
};

}  // namespace warren::driver

template <>
struct std::hash<warren::driver::Uuid> {
  std::size_t operator()(const warren::driver::Uuid& uuid) const noexcept {
    return std::hash<std::string_view>{}(std::string_view(reinterpret_cast<const char*>(uuid.bytes.data()),
                                                          uuid.bytes.size()));  // bytes as text
  }
};
