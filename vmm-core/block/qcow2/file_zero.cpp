// Zeroing and discarding: by what the mapping says, where it can say it.
#include <algorithm>
#include <array>
#include <cerrno>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {

int File::write_zero_bytes(std::uint64_t offset, std::uint64_t length, WrittenZeros which) noexcept {
  static constexpr std::array<std::byte, 65536> kZeros{};
  while (length != 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(length, kZeros.size());
    bool zeros = false;
    if (which == WrittenZeros::where_needed) {
      if (const int error = reads_as_zeros(offset, piece, zeros)) return error;
    }
    if (!zeros) {
      // An iovec serves both directions; this one is only read from.
      const iovec range{const_cast<std::byte*>(kZeros.data()), static_cast<std::size_t>(piece)};
      Scatter from(std::span<const iovec>(&range, 1));
      if (const int error = write_locked(offset, piece, from)) return error;
    }
    offset += piece;
    length -= piece;
  }
  return 0;
}

int File::zero_locked(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept {
  if (has_raw_data()) {
    // "the data file can be read as a consistent standalone raw image".
    if (const int error = data_->zero(offset, length, may_unmap)) return error;
  }
  const std::uint64_t unit = geometry_.subcluster_size();
  const std::uint64_t end = offset + length;
  // What ends with the disk ends with its last subcluster: nothing else is there.
  const std::uint64_t whole_end = end == size() ? round_up(end, unit) : end / unit * unit;
  const std::uint64_t whole_begin = round_up(offset, unit);
  if (whole_begin >= whole_end) return write_zero_bytes(offset, length);
  if (const int error = write_zero_bytes(offset, whole_begin - offset)) return error;
  for (std::uint64_t at = whole_begin; at < whole_end;) {
    const std::uint64_t cluster = at >> geometry_.cluster_bits;
    const std::uint64_t stop = std::min(whole_end, (cluster + 1) << geometry_.cluster_bits);
    const unsigned first = static_cast<unsigned>((at & geometry_.cluster_mask()) / unit);
    const unsigned count = static_cast<unsigned>((stop - at) / unit);
    const auto mask = static_cast<std::uint32_t>(((std::uint64_t{1} << count) - 1) << first);
    if (const int error = zero_cluster(cluster, mask, end, may_unmap)) return error;
    at = stop;
  }
  return whole_end < end ? write_zero_bytes(whole_end, end - whole_end) : 0;
}

// The disk is zeroed up to `end`, and nothing behind it.
int File::zero_cluster(std::uint64_t cluster, std::uint32_t subclusters, std::uint64_t end,
                       bool may_unmap) noexcept {
  const std::uint64_t at = cluster << geometry_.cluster_bits;
  Cluster old;
  if (const int error = metadata_->mapping().get(cluster, old)) return error;
  const bool is_whole = subclusters == geometry_.all_subclusters();
  const std::uint64_t unit = geometry_.subcluster_size();
  if ((!geometry_.has_zero_flag && covers_backing(at)) ||
      (!is_whole && old.kind == Cluster::Kind::compressed)) {
    // No way to say it: zeros are written.
    for (unsigned i = 0; i < geometry_.subclusters(); ++i) {
      const std::uint64_t begin = at + i * unit;
      if ((subclusters >> i & 1) == 0 || begin >= end) continue;
      if (const int error = write_zero_bytes(begin, std::min(unit, end - begin))) return error;
    }
    return 0;
  }
  Cluster next = old;
  const bool keeps = !is_whole || (old.kind == Cluster::Kind::standard && old.copied && !may_unmap);
  if (!keeps) next = {};
  next.allocated &= ~subclusters;
  next.zero |= subclusters;
  if (!geometry_.has_zero_flag) next = {};
  if (encode(geometry_, next) == encode(geometry_, old) && old.kind == next.kind) return 0;
  if (const int error = metadata_->prepare_table(cluster)) return error;
  return set_cluster(cluster, old, next);
}

int File::discard_locked(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t end = offset + length;
  const std::uint64_t whole_end =
      end == size() ? round_up(end, geometry_.cluster_size()) : end & ~geometry_.cluster_mask();
  if (has_raw_data()) return zero_locked(offset, length, true);
  for (std::uint64_t at = round_up(offset, geometry_.cluster_size()); at < whole_end;
       at += geometry_.cluster_size()) {
    if (const int error = discard_cluster(at >> geometry_.cluster_bits)) return error;
  }
  return 0;
}

int File::discard_cluster(std::uint64_t cluster) noexcept {
  const std::uint64_t at = cluster << geometry_.cluster_bits;
  Cluster old;
  if (const int error = metadata_->mapping().get(cluster, old)) return error;
  // What the backing file has there is not to come back.
  Cluster next;
  if (covers_backing(at)) {
    if (!geometry_.has_zero_flag) return 0;
    next.zero = geometry_.all_subclusters();
  }
  if (old.kind == Cluster::Kind::none && encode(geometry_, old) == encode(geometry_, next)) return 0;
  if (old.kind == Cluster::Kind::none && old.zero == geometry_.all_subclusters()) return 0;
  if (const int error = metadata_->prepare_table(cluster)) return error;
  return set_cluster(cluster, old, next);
}

}  // namespace warren::vmm::block::qcow2
