// What an image has by itself, and taking over what is below it, beside whoever writes to it.
#include <algorithm>
#include <array>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {
namespace {
constexpr std::uint64_t kMostClusters = 4096;  // that are looked at under one lock
}

int File::own_piece(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept {
  const std::uint64_t index = offset >> geometry_.cluster_bits;
  const Mapping& known = metadata_->mapping();
  const std::uint64_t table = index >> geometry_.l2_bits();
  if (table >= known.l1().size() || (known.l1()[table] & kOffsetMask) == 0) {
    // Nothing in all of the table's reach.
    const std::uint64_t reach = geometry_.l2_reach();
    to = {Allocation::Kind::below, std::min(length, reach - offset % reach)};
    return 0;
  }
  Cluster cluster;
  if (const int error = metadata_->mapping().get(index, cluster)) return error;
  const std::uint64_t in = offset & geometry_.cluster_mask();
  const auto kind_of = [&](std::uint64_t subcluster) {
    if (cluster.kind == Cluster::Kind::compressed || (cluster.allocated >> subcluster & 1) != 0)
      return Allocation::Kind::data;
    return (cluster.zero >> subcluster & 1) != 0 ? Allocation::Kind::zeros : Allocation::Kind::below;
  };
  const std::uint64_t unit = geometry_.subcluster_size();
  std::uint64_t subcluster = in / unit;
  to.kind = kind_of(subcluster);
  while (subcluster < geometry_.subclusters() && kind_of(subcluster) == to.kind) ++subcluster;
  to.length = std::min(length, subcluster * unit - in);
  return 0;
}

int File::allocation(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept {
  const std::lock_guard lock(owner_);
  if (const int error = own_piece(offset, length, to)) return finish(error);
  for (std::uint64_t looked = 1; to.length < length && looked < kMostClusters; ++looked) {
    Allocation next;
    if (own_piece(offset + to.length, length - to.length, next) != 0 || next.kind != to.kind) break;
    to.length += next.length;
  }
  return finish(0);
}

int File::fill(std::uint64_t offset, std::uint64_t length, Scatter& from) noexcept {
  const std::lock_guard lock(owner_);
  int error = metadata_->begin_changes();
  while (error == 0 && length != 0) {
    Allocation piece;
    error = own_piece(offset, length, piece);
    if (error != 0) break;
    if (piece.kind == Allocation::Kind::below) {
      error = write_locked(offset, piece.length, from);
    } else {
      from.pass(piece.length);
    }
    offset += piece.length;
    length -= piece.length;
  }
  return finish(error);
}

int File::fill_zeroes(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::lock_guard lock(owner_);
  int error = metadata_->begin_changes();
  while (error == 0 && length != 0) {
    Allocation piece;
    error = own_piece(offset, length, piece);
    if (error != 0) break;
    if (piece.kind == Allocation::Kind::below) error = fill_zeroes_locked(offset, piece.length);
    offset += piece.length;
    length -= piece.length;
  }
  return finish(error);
}

// zero_locked() leaves out what reads as zeros already, which is not enough here: what is below may become
// another one, of another size.
int File::fill_zeroes_locked(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t unit = geometry_.subcluster_size();
  const std::uint64_t end = offset + length;
  const std::uint64_t whole_begin = std::min(end, round_up(offset, unit));
  const std::uint64_t whole_end = end == size() ? end : end / unit * unit;
  if (!geometry_.has_zero_flag || whole_begin >= whole_end) return write_zero_piece(offset, length);
  if (const int error = write_zero_piece(offset, whole_begin - offset)) return error;
  if (const int error = zero_locked(whole_begin, whole_end - whole_begin, true)) return error;
  return write_zero_piece(whole_end, end - whole_end);
}

int File::write_zero_piece(std::uint64_t offset, std::uint64_t length) noexcept {
  static constexpr std::array<std::byte, kFillPiece> kZeros{};
  while (length != 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(length, kZeros.size());
    // An iovec serves both directions; this one is only read from.
    const iovec range{const_cast<std::byte*>(kZeros.data()), static_cast<std::size_t>(piece)};
    Scatter from(std::span<const iovec>(&range, 1));
    if (const int error = write_locked(offset, piece, from)) return error;
    offset += piece;
    length -= piece;
  }
  return 0;
}

}  // namespace warren::vmm::block::qcow2
