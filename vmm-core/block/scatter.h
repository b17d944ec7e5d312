// A place in a list of memory ranges that is worked through from front to back.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/uio.h>

#include "vmm-core/memory/guest_bytes.h"

namespace warren::vmm::block {

class Scatter {
 public:
  Scatter() noexcept = default;
  explicit Scatter(std::span<const iovec> ranges) noexcept : ranges_(ranges) {}

  // Up to 64 ranges of at most `most` bytes together; good until the next call. Moves on behind them.
  std::span<iovec> take(std::uint64_t most, std::uint64_t& taken) noexcept {
    std::size_t used = 0;
    taken = 0;
    while (used < batch_.size() && taken < most && !ranges_.empty()) {
      const iovec piece = front(most - taken);
      if (piece.iov_len != 0) batch_[used++] = piece;
      taken += piece.iov_len;
      skip(piece.iov_len);
    }
    return {batch_.data(), used};
  }
  void fill_zeros(std::uint64_t length) noexcept {
    each(length, [](void* to, std::size_t size) { zero_guest_bytes(to, size); });
  }
  // Moves on.
  void pass(std::uint64_t length) noexcept {
    each(length, [](void*, std::size_t) {});
  }
  void copy_from(std::span<const std::byte> from) noexcept {
    const std::byte* next = from.data();
    each(from.size(), [&next](void* to, std::size_t size) {
      copy_guest_bytes(to, next, size);
      next += size;
    });
  }
  void copy_to(std::span<std::byte> to) noexcept {
    std::byte* next = to.data();
    each(to.size(), [&next](const void* from, std::size_t size) {
      copy_guest_bytes(next, from, size);
      next += size;
    });
  }

 private:
  iovec front(std::uint64_t most) const noexcept {
    const iovec& first = ranges_.front();
    return {static_cast<char*>(first.iov_base) + used_,
            static_cast<std::size_t>(std::min<std::uint64_t>(first.iov_len - used_, most))};
  }
  void skip(std::size_t bytes) noexcept {
    used_ += bytes;
    if (used_ < ranges_.front().iov_len) return;
    ranges_ = ranges_.subspan(1);
    used_ = 0;
  }
  void each(std::uint64_t length, auto&& work) noexcept {
    while (length != 0 && !ranges_.empty()) {
      const iovec piece = front(length);
      if (piece.iov_len != 0) work(piece.iov_base, piece.iov_len);
      length -= piece.iov_len;
      skip(piece.iov_len);
    }
  }

  std::span<const iovec> ranges_;
  std::size_t used_ = 0;  // bytes of the first range
  std::array<iovec, 64> batch_{};
};

}  // namespace warren::vmm::block
