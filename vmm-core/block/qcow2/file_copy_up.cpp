// Copy on read: what is read from the files below becomes the image's own.
#include <algorithm>
#include <cerrno>
#include <new>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::uint64_t kCopiedAtOnce = std::uint64_t{256} << 10;

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
  const auto bytes = std::span(copied_up_).first(static_cast<std::size_t>(length));
  const iovec range{bytes.data(), bytes.size()};
  Scatter to(std::span<const iovec>(&range, 1));
  if (const int error = backing_->read(offset, length, to)) return error;
  return take_up(offset, bytes);
}

}  // namespace warren::vmm::block::qcow2
