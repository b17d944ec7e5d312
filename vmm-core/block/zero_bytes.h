// Memory that holds nothing but zeros.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace warren::vmm::block {

inline bool is_zero(std::span<const std::byte> bytes) noexcept {
  // Equal to itself moved by one, and zero at the front.
  return bytes.empty() || (bytes.front() == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace warren::vmm::block
