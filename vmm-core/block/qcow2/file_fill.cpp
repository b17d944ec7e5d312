// What an image has by itself, and taking over what is below it, beside whoever writes to it.
#include <algorithm>

#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/zero_bytes.h"

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

// Does `work` for each piece of which the image by itself has nothing.
template <typename Work>
int File::for_each_below(std::uint64_t offset, std::uint64_t length, Work work) noexcept {
  const std::uint64_t end = offset + length;
  while (offset != end) {
    Allocation piece;
    if (const int error = own_piece(offset, end - offset, piece)) return error;
    if (piece.kind == Allocation::Kind::below) {
      if (const int error = work(offset, piece.length)) return error;
    }
    offset += piece.length;
  }
  return 0;
}

int File::fill(std::uint64_t offset, std::span<std::byte> bytes) noexcept {
  const std::lock_guard lock(owner_);
  int error = metadata_->begin_changes();
  if (error == 0) {
    error = for_each_below(offset, bytes.size(), [&](std::uint64_t at, std::uint64_t length) {
      return take_up(at,
                     bytes.subspan(static_cast<std::size_t>(at - offset), static_cast<std::size_t>(length)));
    });
  }
  return finish(error);
}

int File::fill_zeroes(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::lock_guard lock(owner_);
  int error = metadata_->begin_changes();
  if (error == 0) {
    error = for_each_below(
        offset, length, [this](std::uint64_t at, std::uint64_t piece) { return take_up_zeroes(at, piece); });
  }
  return finish(error);
}

// The image by itself has nothing there, and what is below reads as `bytes`, which become its own.
int File::take_up(std::uint64_t offset, std::span<std::byte> bytes) noexcept {
  // Zeros need no place where the mapping can say so.
  if (geometry_.has_zero_flag && is_zero(bytes)) return take_up_zeroes(offset, bytes.size());
  const iovec range{bytes.data(), bytes.size()};
  Scatter from(std::span<const iovec>(&range, 1));
  return write_locked(offset, bytes.size(), from);
}

// Also where they read as zeros already, unlike zero_locked(): what is below may become another one, of
// another size.
int File::take_up_zeroes(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t unit = geometry_.subcluster_size();
  const std::uint64_t end = offset + length;
  const std::uint64_t whole_begin = std::min(end, round_up(offset, unit));
  const std::uint64_t whole_end = end == size() ? end : end / unit * unit;
  if (!geometry_.has_zero_flag || whole_begin >= whole_end)
    return write_zero_bytes(offset, length, WrittenZeros::everywhere);
  if (const int error = write_zero_bytes(offset, whole_begin - offset, WrittenZeros::everywhere))
    return error;
  if (const int error = zero_locked(whole_begin, whole_end - whole_begin, true)) return error;
  return write_zero_bytes(whole_end, end - whole_end, WrittenZeros::everywhere);
}

}  // namespace warren::vmm::block::qcow2
