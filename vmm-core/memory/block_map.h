// Which blocks of a memory device are plugged, for whoever checks an access to its memory.
//
// Set by the one thread that serves the device, read by any: an access that races with the unplugging of its
// block reaches a page of the device's own file that is discarded anyway.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace warren::vmm {

class BlockMap {
 public:
  // `block_bytes`: a power of two.
  BlockMap(std::uint64_t block_bytes, std::uint64_t blocks)
      : block_bytes_(block_bytes), blocks_(blocks), words_((blocks + kBits - 1) / kBits) {}

  std::uint64_t block_bytes() const noexcept { return block_bytes_; }
  std::uint64_t blocks() const noexcept { return blocks_; }

  bool is_plugged(std::uint64_t block) const noexcept {
    return (words_[block / kBits].load(std::memory_order_acquire) >> (block % kBits) & 1) != 0;
  }
  // Whether all blocks that [offset, offset + size) touches are; the range lies within the device.
  bool holds(std::uint64_t offset, std::uint64_t size) const noexcept {
    if (size == 0) return true;
    const std::uint64_t last = (offset + size - 1) / block_bytes_;
    for (std::uint64_t block = offset / block_bytes_; block <= last; ++block)
      if (!is_plugged(block)) return false;
    return true;
  }
  // How many of [first, first + count), all below blocks(), are.
  std::uint64_t plugged(std::uint64_t first, std::uint64_t count) const noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t block = first; block < first + count; ++block) sum += is_plugged(block) ? 1U : 0U;
    return sum;
  }
  void set(std::uint64_t first, std::uint64_t count, bool plugged) noexcept {
    for (std::uint64_t block = first; block < first + count; ++block) {
      const std::uint64_t bit = std::uint64_t{1} << (block % kBits);
      auto& word = words_[block / kBits];
      if (plugged) {
        word.fetch_or(bit, std::memory_order_acq_rel);
      } else {
        word.fetch_and(~bit, std::memory_order_acq_rel);
      }
    }
  }

 private:
  static constexpr std::uint64_t kBits = 64;

  const std::uint64_t block_bytes_;
  const std::uint64_t blocks_;
  std::vector<std::atomic<std::uint64_t>> words_;
};

}  // namespace warren::vmm
