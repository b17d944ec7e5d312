// A guest-physical address, in bytes. A strong type so that it is never mixed with host addresses or lengths.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace warren::vmm {

struct GuestAddress {
  std::uint64_t value = 0;

  friend auto operator<=>(GuestAddress, GuestAddress) = default;

  // This address plus `bytes`, or nothing when the sum does not fit 64 bits.
  std::optional<GuestAddress> plus(std::uint64_t bytes) const noexcept {
    std::uint64_t sum = 0;
    if (__builtin_add_overflow(value, bytes, &sum)) return std::nullopt;
    return GuestAddress{sum};
  }
};

}  // namespace warren::vmm
