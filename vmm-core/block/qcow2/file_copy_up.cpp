// Copy on read: what is read from the files below becomes the image's own.
#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::uint64_t kCopiedAtOnce = std::uint64_t{256} << 10;

bool is_zero(std::span<const std::byte> bytes) noexcept {
  // Equal to itself moved by one, and zero at the front.
  return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

// Whole clusters: a part of one would take the rest of it along anyway.
int File::copy_up(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t end = std::min(size(), round_up(offset + length, geometry_.cluster_size()));
  offset &= ~geometry_.cluster_mask();
  while (offset < end) {
    Piece piece;
    if (const int error = locate(offset, end - offset, piece)) return error;
    if (piece.kind == Piece::Kind::backing) {
      piece.length = std::min(piece.length, kCopiedAtOnce);
      if (const int error = copy_up_piece(offset, piece.length)) return error;
    }
    offset += piece.length;
  }
  return 0;
}

int File::copy_up_piece(std::uint64_t offset, std::uint64_t length) noexcept {
  try {
    // Not buffer_, in which write_locked() fills what is around.
    copied_up_.resize(static_cast<std::size_t>(kCopiedAtOnce));
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  const iovec range{copied_up_.data(), static_cast<std::size_t>(length)};
  const std::span<const iovec> ranges(&range, 1);
  Scatter to(ranges), from(ranges);
  if (const int error = backing_->read(offset, length, to)) return error;
  // Zeros need no place where the mapping can say so.
  if (geometry_.has_zero_flag && is_zero(std::span(copied_up_).first(range.iov_len)))
    return zero_locked(offset, length, true);
  return write_locked(offset, length, from);
}

}  // namespace warren::vmm::block::qcow2
