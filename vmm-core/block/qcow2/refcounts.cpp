#include "vmm-core/block/qcow2/refcounts.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/block/qcow2/refcount_block.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {
constexpr std::uint64_t kCacheBytes = std::uint64_t{512} << 10;
constexpr std::uint64_t kNone = ~std::uint64_t{0};
}  // namespace

Refcounts::Refcounts(MetadataFile& file, HeaderStore& header, const std::string& name)
    : file_(file),
      header_(header),
      geometry_(header.get().geometry),
      cache_(kCacheBytes, geometry_.slice_bytes()) {
  const Header& fields = header.get();
  table_on_disk_ = fields.refcount_table_clusters * geometry_.cluster_size() / 8;
  table_.resize(table_on_disk_);
  std::span<std::byte> bytes = std::as_writable_bytes(std::span(table_));
  if (const int error = file_.read(fields.refcount_table_offset, bytes))
    throw Error::from_errno(error, name + ": read the refcount table");
  if (file_.structures().insert(Structure::refcount_table, fields.refcount_table_offset, bytes.size()) != 0)
    throw Error(std::errc::invalid_argument, name + ": its refcount table overlaps other metadata");
  for (std::uint64_t& entry : table_) {
    entry = swap_bytes(entry);
    if (entry == 0) continue;
    if ((entry & ~kRefcountOffsetMask) != 0 || (entry & geometry_.cluster_mask()) != 0 ||
        entry >= kMaximumOffset)
      throw Error(std::errc::invalid_argument,
                  message(name, ": refcount block at ", hex(entry), " is misplaced"));
    if (file_.structures().insert(Structure::refcount_block, entry, geometry_.cluster_size()) != 0)
      throw Error(std::errc::invalid_argument,
                  message(name, ": the refcount block at ", hex(entry), " overlaps other metadata"));
  }
}

std::uint64_t Refcounts::cluster_limit() const noexcept {
  const std::uint64_t limit = kMaximumOffset >> geometry_.cluster_bits;
  if (file_.file().grows()) return limit;
  return std::min(limit, file_.file().size() >> geometry_.cluster_bits);
}

std::uint64_t Refcounts::value(const TableCache::Slot& slot, std::uint64_t index) const noexcept {
  return get_refcount(slot.bytes, geometry_.refcount_order, index);
}

void Refcounts::set_value(TableCache::Slot& slot, std::uint64_t index, std::uint64_t count) noexcept {
  set_refcount(slot.bytes, geometry_.refcount_order, index, count);
  slot.dirty = dirty_ = true;
}

int Refcounts::load_slice(std::uint64_t cluster, TableCache::Slot*& slot) noexcept {
  slot = nullptr;
  const std::uint64_t host = table_entry(cluster / geometry_.refcounts_per_block());
  if (host == 0) return 0;
  const std::uint64_t number = cluster / geometry_.refcounts_per_slice();
  slot = cache_.find(number);
  if (slot != nullptr) return 0;
  slot = cache_.victim(number);
  if (slot == nullptr) {
    if (const int error = write_slices()) return error;
    slot = cache_.victim(number);
  }
  cache_.forget(*slot);
  const std::uint64_t at = host + number % geometry_.slices_per_cluster() * geometry_.slice_bytes();
  if (const int error = file_.read(at, cache_.bytes_of(*slot))) {
    slot = nullptr;
    return error;
  }
  slot->host = at;
  slot->key.store(number + 1, std::memory_order_release);
  return 0;
}

int Refcounts::get(std::uint64_t cluster, std::uint64_t& count) noexcept {
  TableCache::Slot* slot = nullptr;
  if (const int error = load_slice(cluster, slot)) return error;
  count = slot == nullptr ? 0 : value(*slot, cluster % geometry_.refcounts_per_slice());
  return 0;
}

int Refcounts::add(std::uint64_t cluster, std::int64_t by) noexcept {
  TableCache::Slot* slot = nullptr;
  if (const int error = load_slice(cluster, slot)) return error;
  const std::uint64_t index = cluster % geometry_.refcounts_per_slice();
  const std::uint64_t before = slot == nullptr ? 0 : value(*slot, index);
  std::uint64_t after = 0;
  if (slot == nullptr || (by < 0 && before < static_cast<std::uint64_t>(-by))) {
    file_.note_corruption();  // referred to, and not counted
    return EIO;
  }
  if (__builtin_add_overflow(before, by, &after) || after > geometry_.maximum_refcount()) return ERANGE;
  set_value(*slot, index, after);
  if (after == 0) hint_ = std::min(hint_, cluster);
  return 0;
}

int Refcounts::add_all(std::uint64_t first, std::uint64_t count, std::int64_t by) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    const int error = add(first + i, by);
    if (error == 0) continue;
    while (i-- != 0) add(first + i, -by);
    return error;
  }
  return 0;
}

int Refcounts::is_free(std::uint64_t cluster, bool& free) noexcept {
  std::uint64_t count = 0;
  const int error = get(cluster, count);
  free = count == 0;
  return error;
}

// The first free cluster at or behind `cluster`.
int Refcounts::next_free(std::uint64_t& cluster) noexcept {
  const std::uint64_t limit = cluster_limit();
  while (cluster < limit) {
    TableCache::Slot* slot = nullptr;
    if (const int error = load_slice(cluster, slot)) return error;
    if (slot == nullptr) return 0;
    const std::uint64_t end =
        (cluster / geometry_.refcounts_per_slice() + 1) * geometry_.refcounts_per_slice();
    for (; cluster < end; ++cluster) {
      if (value(*slot, cluster % geometry_.refcounts_per_slice()) == 0) return cluster < limit ? 0 : ENOSPC;
    }
  }
  return ENOSPC;
}

// A free cluster outside of those that are to be avoided.
int Refcounts::find_place(std::uint64_t avoid, std::uint64_t count, std::uint64_t& cluster) noexcept {
  cluster = hint_;
  while (true) {
    if (const int error = next_free(cluster)) return error;
    if (cluster < avoid || cluster >= avoid + count) return 0;
    cluster = avoid + count;
  }
}

int Refcounts::widen_table(std::uint64_t block) noexcept {
  if (block < table_.size()) return 0;
  const std::uint64_t per_cluster = geometry_.cluster_size() / 8;
  const std::uint64_t most = kMaximumRefcountTableBytes / 8;
  if (block >= most) return ENOSPC;
  // Room for the blocks that the moved table itself will need, and so that it seldom moves.
  const std::uint64_t entries = std::min(
      round_up(std::max<std::uint64_t>(block + 1, table_.size() + table_.size() / 2), per_cluster), most);
  try {
    table_.resize(entries);
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  return 0;
}

int Refcounts::create_block(std::uint64_t block, std::uint64_t cluster) noexcept {
  const std::uint64_t offset = cluster << geometry_.cluster_bits;
  if (const int error = widen_table(block)) return error;
  if (const int error =
          file_.structures().insert(Structure::refcount_block, offset, geometry_.cluster_size())) {
    if (error == EEXIST) file_.note_corruption();  // counted as free, and in use
    return error == EEXIST ? EIO : error;
  }
  if (const int error = file_.write_zeros(Structure::refcount_block, offset, geometry_.cluster_size())) {
    file_.structures().erase(Structure::refcount_block, offset);
    return error;
  }
  table_[block] = offset;
  first_dirty_ = std::min(first_dirty_, block);
  last_dirty_ = std::max(last_dirty_, block);
  has_new_blocks_ = dirty_ = true;
  return add(cluster, 1);
}

// A block for counts that have none yet. It lies where counts can be kept already, or within its own reach.
int Refcounts::provide_block(std::uint64_t block, std::uint64_t avoid, std::uint64_t count) noexcept {
  while (table_entry(block) == 0) {
    std::uint64_t place = 0;
    if (const int error = find_place(avoid, count, place)) return error;
    const std::uint64_t holder = place / geometry_.refcounts_per_block();
    const bool holder_exists = table_entry(holder) != 0;
    if (const int error = create_block(holder_exists ? block : holder, place)) return error;
  }
  return 0;
}

int Refcounts::take(std::uint64_t cluster) noexcept {
  if (file_.structures().at(cluster) != Structure::none) {
    file_.note_corruption();  // counted as free, and in use
    return EIO;
  }
  return add(cluster, 1);
}

int Refcounts::allocate(std::uint64_t most, std::uint64_t& first, std::uint64_t& count) noexcept {
  count = 0;
  first = hint_;
  if (const int error = next_free(first)) return error;
  if (const int error = provide_block(first / geometry_.refcounts_per_block(), first, 1)) return error;
  const std::uint64_t limit = cluster_limit();
  while (count < most && first + count < limit &&
         table_entry((first + count) / geometry_.refcounts_per_block()) != 0) {
    bool free = false;
    int error = is_free(first + count, free);
    if (error == 0 && free) error = take(first + count);
    if (error != 0 && count == 0) return error;
    if (error != 0 || !free) break;
    ++count;
  }
  // A block may have found its place before `first` was taken, never below it.
  hint_ = first + count;
  return count == 0 ? EIO : 0;
}

int Refcounts::allocate_contiguous(std::uint64_t count, std::uint64_t& first) noexcept {
  first = hint_;
  std::uint64_t found = 0;
  while (found < count) {
    std::uint64_t place = first + found;
    if (const int error = next_free(place)) return error;
    if (place != first + found) {
      first = place;
      found = 0;
    }
    ++found;
  }
  if (first + count > cluster_limit()) return ENOSPC;
  for (std::uint64_t cluster = first; cluster < first + count; ++cluster) {
    int error = provide_block(cluster / geometry_.refcounts_per_block(), first, count);
    if (error == 0) error = take(cluster);
    if (error != 0) {
      while (cluster-- != first) add(cluster, -1);
      return error;
    }
  }
  return 0;
}

int Refcounts::write_slices() noexcept {
  for (TableCache::Slot& slot : cache_.slots()) {
    if (!slot.dirty) continue;
    if (const int error = file_.write(Structure::refcount_block, slot.host, cache_.bytes_of(slot)))
      return error;
    slot.dirty = false;
  }
  return 0;
}

// A place for the whole table as it is in memory; finding one may make it grow.
int Refcounts::place_table(std::uint64_t& first, std::uint64_t& clusters) noexcept {
  while (true) {
    clusters = table_.size() * 8 / geometry_.cluster_size();
    if (const int error = allocate_contiguous(clusters, first)) return error;
    if (table_.size() * 8 == clusters * geometry_.cluster_size()) return 0;
    if (const int error = add_all(first, clusters, -1)) return error;
  }
}

int Refcounts::move_table() noexcept {
  std::uint64_t first = 0, clusters = 0;
  if (const int error = place_table(first, clusters)) return error;
  const std::uint64_t offset = first << geometry_.cluster_bits, bytes = clusters * geometry_.cluster_size();
  int error = file_.structures().insert(Structure::refcount_table, offset, bytes);
  if (error == 0) error = write_slices();
  constexpr std::size_t kPiece = 512;
  std::array<std::byte, kPiece> sector{};
  for (std::uint64_t at = 0; error == 0 && at < bytes; at += kPiece) {
    for (std::size_t i = 0; i < kPiece / 8; ++i) store(sector.data() + i * 8, table_[at / 8 + i]);
    error = file_.write(Structure::refcount_table, offset + at, sector);
  }
  if (error == 0) error = file_.sync();
  const std::uint64_t old_offset = header_.get().refcount_table_offset;
  const std::uint32_t old_clusters = header_.get().refcount_table_clusters;
  if (error == 0) {
    error = header_.change([&](Header& header) {
      header.refcount_table_offset = offset;
      header.refcount_table_clusters = static_cast<std::uint32_t>(clusters);
    });
  }
  if (error != 0) {
    file_.structures().erase(Structure::refcount_table, offset);
    add_all(first, clusters, -1);
    return error;
  }
  table_on_disk_ = table_.size();
  first_dirty_ = kNone;
  last_dirty_ = 0;
  has_new_blocks_ = false;
  if ((error = file_.sync()) != 0) return error;  // the old one is not given away then
  file_.structures().erase(Structure::refcount_table, old_offset);
  if ((error = add_all(old_offset >> geometry_.cluster_bits, old_clusters, -1)) != 0) return error;
  return write_slices();
}

int Refcounts::write_table() noexcept {
  std::array<std::byte, 512> sector{};
  constexpr std::uint64_t kEntries = sector.size() / 8;
  for (std::uint64_t at = first_dirty_ / kEntries * kEntries; at <= last_dirty_; at += kEntries) {
    for (std::size_t i = 0; i < kEntries; ++i) store(sector.data() + i * 8, table_[at + i]);
    const std::uint64_t offset = header_.get().refcount_table_offset + at * 8;
    if (const int error = file_.write(Structure::refcount_table, offset, sector)) return error;
  }
  first_dirty_ = kNone;
  last_dirty_ = 0;
  has_new_blocks_ = false;
  return 0;
}

int Refcounts::write_back() noexcept {
  int error = write_slices();
  if (error == 0 && has_new_blocks_) {
    // A block is complete on disk before the table refers to it.
    if (table_.size() > table_on_disk_) {
      error = move_table();
    } else {
      error = file_.sync();
      if (error == 0) error = write_table();
    }
  }
  if (error == 0) dirty_ = false;
  return error;
}

}  // namespace warren::vmm::block::qcow2
