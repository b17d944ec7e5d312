// The entries of refcount blocks, of every width ("Refcount block entry").
#pragma once

#include <cstdint>

#include "vmm-core/block/qcow2/format.h"

namespace warren::vmm::block::qcow2 {

inline std::uint64_t get_refcount(const std::byte* bytes, unsigned order, std::uint64_t index) noexcept {
  switch (order) {
    case 3:
      return static_cast<std::uint64_t>(bytes[index]);
    case 4:
      return load<std::uint16_t>(bytes + index * 2);
    case 5:
      return load<std::uint32_t>(bytes + index * 4);
    case 6:
      return load<std::uint64_t>(bytes + index * 8);
    default: {
      // "If refcount_bits implies a sub-byte width, bit 0 means the least significant bit".
      const unsigned bits = 1u << order, per_byte = 8 / bits;
      const unsigned shift = static_cast<unsigned>(index % per_byte) * bits;
      return static_cast<std::uint64_t>(bytes[index / per_byte]) >> shift & ((1u << bits) - 1);
    }
  }
}

inline void set_refcount(std::byte* bytes, unsigned order, std::uint64_t index,
                         std::uint64_t count) noexcept {
  switch (order) {
    case 3:
      bytes[index] = static_cast<std::byte>(count);
      break;
    case 4:
      store(bytes + index * 2, static_cast<std::uint16_t>(count));
      break;
    case 5:
      store(bytes + index * 4, static_cast<std::uint32_t>(count));
      break;
    case 6:
      store(bytes + index * 8, count);
      break;
    default: {
      const unsigned bits = 1u << order, per_byte = 8 / bits;
      const unsigned shift = static_cast<unsigned>(index % per_byte) * bits;
      const unsigned mask = ((1u << bits) - 1) << shift;
      const unsigned old = static_cast<unsigned>(bytes[index / per_byte]);
      bytes[index / per_byte] =
          static_cast<std::byte>((old & ~mask) | (static_cast<unsigned>(count) << shift));
    }
  }
}

}  // namespace warren::vmm::block::qcow2
