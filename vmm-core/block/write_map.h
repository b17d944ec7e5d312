// Which parts of a disk may have been written since somebody last looked: what a copy of it must follow.
//
// Marked by any thread without waiting, when a write is done and before its guest knows; taken by one. A part
// that is taken and then read has all that was done before it was taken, and what is done later marks it
// again.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>

namespace warren::vmm::block {

class WriteMap {
 public:
  static constexpr std::uint64_t kSmallestPart = std::uint64_t{64} << 10;  // bytes
  static constexpr std::uint64_t kMostParts = std::uint64_t{1} << 26;      // whose bits are 8 MiB

  struct Range {
    std::uint64_t offset = 0, length = 0;
  };

  // Of a disk of `bytes`, nothing of it marked. A disk may be as large as its image says, for nothing: its
  // parts are larger then, and the map never is.
  explicit WriteMap(std::uint64_t bytes)
      : bytes_(bytes),
        part_(part_of(bytes)),
        parts_(bytes / part_ + (bytes % part_ != 0)),
        words_(std::make_unique<std::atomic<std::uint64_t>[]>(word_count())) {}

  std::uint64_t part() const noexcept { return part_; }  // bytes

  void mark(std::uint64_t offset, std::uint64_t length) noexcept {
    if (length == 0 || offset >= bytes_) return;
    const std::uint64_t first = offset / part_;
    const std::uint64_t last = (offset + std::min(length, bytes_ - offset) - 1) / part_;
    for (std::uint64_t word = first / 64; word <= last / 64; ++word) {
      std::uint64_t bits = ~std::uint64_t{0};
      if (word == first / 64) bits &= ~std::uint64_t{0} << first % 64;
      if (word == last / 64) bits &= ~std::uint64_t{0} >> (63 - last % 64);
      const std::uint64_t before = words_[word].fetch_or(bits);
      marked_.fetch_add(std::popcount(bits & ~before));
    }
  }

  // Marked bytes, or a little more where the disk ends.
  std::uint64_t marked_bytes() const noexcept {
    return std::min(static_cast<std::uint64_t>(std::max(marked_.load(), std::int64_t{0})), parts_) * part_;
  }

  // The next marked range, which is not marked then: at most `most` bytes (of whole parts, and one at least).
  // Goes round.
  std::optional<Range> take(std::uint64_t most) noexcept {
    if (marked_.load() <= 0) return std::nullopt;
    const std::uint64_t count = word_count();
    for (std::uint64_t looked = 0; looked <= count; ++looked) {
      const std::uint64_t word = next_ / 64;
      const std::uint64_t bits = words_[word].load() & ~std::uint64_t{0} << next_ % 64;
      if (bits != 0)
        return take_from(word * 64 + static_cast<std::uint64_t>(std::countr_zero(bits)),
                         std::max(most / part_, std::uint64_t{1}));
      next_ = (word + 1) % count * 64;
    }
    return std::nullopt;
  }

 private:
  static std::uint64_t part_of(std::uint64_t bytes) noexcept {
    return std::max(kSmallestPart, std::bit_ceil(bytes / kMostParts + (bytes % kMostParts != 0)));
  }
  std::uint64_t word_count() const noexcept { return parts_ / 64 + 1; }

  Range take_from(std::uint64_t first, std::uint64_t most) noexcept {
    std::uint64_t part = first;
    while (part < parts_ && part - first < most) {
      const std::uint64_t bit = std::uint64_t{1} << part % 64;
      if ((words_[part / 64].fetch_and(~bit) & bit) == 0) break;
      marked_.fetch_sub(1);
      ++part;
    }
    next_ = part < parts_ ? part : 0;
    const std::uint64_t offset = first * part_;
    return {offset, std::min((part - first) * part_, bytes_ - offset)};
  }

  const std::uint64_t bytes_, part_, parts_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::atomic<std::int64_t> marked_{0};  // parts; a bit and its count change one after the other
  std::uint64_t next_ = 0;               // the taker's: where it looks first
};

}  // namespace warren::vmm::block
