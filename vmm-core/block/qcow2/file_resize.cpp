// The size of the disk: growing, shrinking, and space for all of it beforehand.
#include <algorithm>
#include <cerrno>
#include <limits>

#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {

void File::resize(std::uint64_t bytes) {
  const std::lock_guard lock(owner_);
  if (options_.read_only) throw Error(std::errc::read_only_file_system, name_ + ": read-only");
  if (bytes == 0 || bytes % 512 != 0 ||
      bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    throw Error(std::errc::invalid_argument, name_ + ": the new size is no multiple of 512 bytes, or 0");
  if (geometry_.l1_entries_for(bytes) * 8 > kMaximumL1Bytes)
    throw Error(std::errc::file_too_large, message(name_, ": ", bytes, " bytes are too many for clusters of ",
                                                   geometry_.cluster_size(), " bytes"));
  if (header().bitmaps)
    throw Error(std::errc::operation_not_supported,
                name_ + ": has persistent bitmaps, which fit its present size");
  if (header().version < 3 && header().snapshots != 0)
    throw Error(std::errc::operation_not_supported,
                name_ + ": has internal snapshots of version 2, which do not know their size");
  check(metadata_->begin_changes(), "resize");
  check(metadata_->commit(), "resize");
  if (bytes > size()) grow(bytes);
  if (bytes < size()) shrink(bytes);
}

void File::set_size(std::uint64_t bytes) {
  check(metadata_->commit(), "resize");
  check(metadata_->header_store().change([bytes](Header& header) { header.size = bytes; }), "resize");
  check(metadata_->sync(), "resize");
}

// Whatever is mapped from this cluster on is mapped no more: it lies behind the end of the disk.
int File::forget_clusters(std::uint64_t first) noexcept {
  Mapping& mapping = metadata_->mapping();
  for (std::uint64_t table = first >> geometry_.l2_bits(); table < mapping.l1().size(); ++table) {
    if ((mapping.l1()[table] & kOffsetMask) == 0) continue;
    const std::uint64_t begin = std::max(first, table << geometry_.l2_bits());
    for (std::uint64_t cluster = begin; cluster < (table + 1) << geometry_.l2_bits(); ++cluster) {
      Cluster old;
      if (const int error = mapping.get(cluster, old)) return error;
      if (old.kind == Cluster::Kind::none && old.zero == 0) continue;
      if (const int error = metadata_->prepare_table(cluster)) return error;
      if (const int error = set_cluster(cluster, old, {})) return error;
    }
  }
  return 0;
}

void File::grow_l1(std::uint64_t entries) {
  const Header& fields = header();
  if (entries <= fields.l1_size) return;
  Mapping& mapping = metadata_->mapping();
  const std::uint64_t old_offset = fields.l1_offset, old_bytes = std::uint64_t{fields.l1_size} * 8;
  const std::uint64_t clusters = divide_up(entries * 8, geometry_.cluster_size());
  std::uint64_t first = 0;
  check(metadata_->refcounts().allocate_contiguous(clusters, first), "resize: no room for a larger L1 table");
  const std::uint64_t offset = first << geometry_.cluster_bits;
  std::vector<std::byte> table(static_cast<std::size_t>(clusters * geometry_.cluster_size()));
  for (std::size_t i = 0; i < mapping.l1().size(); ++i) store(table.data() + i * 8, mapping.l1()[i]);
  mapping.extend_l1(entries);
  check(metadata_->file().structures().insert(Structure::l1_table, offset, table.size()), "resize");
  check(metadata_->file().write(Structure::l1_table, offset, table), "resize");
  check(metadata_->refcounts().write_back(), "resize");
  check(metadata_->sync(), "resize");
  check(metadata_->header_store().change([&](Header& header) {
    header.l1_offset = offset;
    header.l1_size = static_cast<std::uint32_t>(entries);
  }),
        "resize");
  check(metadata_->sync(), "resize");
  metadata_->file().structures().erase(Structure::l1_table, old_offset);
  check(metadata_->refcounts().add_all(old_offset >> geometry_.cluster_bits,
                                       divide_up(old_bytes, geometry_.cluster_size()), -1),
        "resize");
}

void File::grow(std::uint64_t bytes) {
  const std::uint64_t before = size();
  grow_l1(geometry_.l1_entries_for(bytes));
  // Nothing that is there from earlier comes to light: in the last cluster, behind it, or in the backing
  // file.
  check(forget_clusters(divide_up(before, geometry_.cluster_size())), "resize");
  const std::uint64_t tail = std::min(bytes, round_up(before, geometry_.cluster_size()));
  check(write_zero_bytes(before, tail - before), "resize");
  const std::uint64_t backed = backing_ ? std::min(bytes, backing_->size()) : 0;
  if (backed > tail) check(zero_locked(tail, backed - tail, true), "resize");
  if (has_raw_data()) check(data_->resize(bytes), "resize");
  set_size(bytes);
  size_.store(bytes, std::memory_order_release);
}

void File::shrink(std::uint64_t bytes) {
  const std::uint64_t tail = std::min(size(), round_up(bytes, geometry_.cluster_size()));
  set_size(bytes);
  size_.store(bytes, std::memory_order_release);
  // The rest of the last cluster too: others grow a disk without a look at what is behind its end.
  check(write_zero_bytes(bytes, tail - bytes), "resize");
  check(forget_clusters(divide_up(bytes, geometry_.cluster_size())), "resize");
  check(metadata_->commit(), "resize");
  if (has_raw_data()) check(data_->resize(bytes), "resize");
}

int File::preallocate_clusters() noexcept {
  const std::uint64_t total = divide_up(size(), geometry_.cluster_size());
  // Where the space may hold something already, it is not read.
  const std::uint32_t zero = !data().grows() && geometry_.has_zero_flag && !geometry_.extended_l2 ? 1 : 0;
  for (std::uint64_t cluster = 0; cluster < total;) {
    std::uint64_t count = 0, host = 0;
    if (const int error = metadata_->prepare_table(cluster)) return error;
    if (const int error = count_new(cluster, total - cluster, count)) return error;
    if (count == 0) {
      ++cluster;
      continue;
    }
    if (const int error = place_new(cluster, count, host, count)) return error;
    for (std::uint64_t i = 0; i < count; ++i) {
      Cluster next{
          .kind = Cluster::Kind::standard, .copied = true, .host = host + i * geometry_.cluster_size()};
      next.zero = zero;
      // With extended L2 entries the backing file, or zeros, are read until a subcluster is written.
      if (!geometry_.extended_l2 && zero == 0) next.allocated = 1;
      if (const int error = metadata_->mapping().set(cluster + i, next)) return error;
    }
    const std::uint64_t end = host + count * geometry_.cluster_size();
    if (data().grows() && end > data().size()) {
      if (const int error = data().resize(end)) return error;
    }
    data_end_.store(std::max(data_end_.load(), end));
    metadata_->note_data();
    cluster += count;
  }
  return metadata_->commit();
}

void File::preallocate() {
  const std::lock_guard lock(owner_);
  check(metadata_->begin_changes(), "preallocate");
  check(preallocate_clusters(), "preallocate");
}

}  // namespace warren::vmm::block::qcow2
