#include "vmm-core/block/qcow2/metadata.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <sched.h>

#include "vmm-core/block/qcow2/snapshot_table.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

constexpr std::size_t kMaximumFreed = 8192;  // ranges

void know(MetadataFile& file, Structure structure, std::uint64_t offset, std::uint64_t bytes,
          const std::string& name) {
  const int error = file.structures().insert(structure, offset, bytes);
  if (error == EEXIST)
    throw Error(std::errc::invalid_argument,
                name + ": its " + name_of(structure) + " overlaps other metadata");
  if (error != 0) throw Error::from_errno(error, name);
}

}  // namespace

Metadata::Metadata(HostFile& file, HostFile* data, Header header, const Options& options,
                   const std::string& name)
    : data_(data),
      file_(file, header.geometry.cluster_bits),
      store_(file_, std::move(header)),
      options_(options),
      geometry_(store_.get().geometry) {
  const Header& fields = store_.get();
  if (options_.writable) {
    if (fields.is_corrupt())
      throw Error(std::errc::io_error,
                  name + ": is marked corrupt, and can only be read until it is repaired");
    know(file_, Structure::header, 0, geometry_.cluster_size(), name);
    refcounts_ = std::make_unique<Refcounts>(file_, store_, name);
    const SnapshotTable snapshots = read_snapshots(file, fields, name);
    know(file_, Structure::snapshot_table, fields.snapshots_offset, snapshots.bytes, name);
    for (const Snapshot& snapshot : snapshots.snapshots)
      know(file_, Structure::inactive_l1_table, snapshot.l1_offset, std::uint64_t{snapshot.l1_size} * 8,
           name);
    bitmaps_ = read_bitmaps(file, fields, name);
    for (const BitmapRange& range : ranges_of(bitmaps_, fields))
      know(file_, Structure::bitmaps, range.offset, range.bytes, name);
  }
  mapping_ = std::make_unique<Mapping>(
      file_, store_, options_.writable, options_.cache_bytes, [this] { return commit(); }, name);
  table_piece_.resize(static_cast<std::size_t>(geometry_.slice_bytes()));
  freed_.reserve(kMaximumFreed);
  retired_.reserve(kMaximumFreed);
}

Metadata::~Metadata() = default;

int Metadata::sync() noexcept {
  const int error = data_ != nullptr ? data_->sync() : 0;
  const int other = file_.sync();
  return error != 0 ? error : other;
}

// Nobody follows here what is written block by block. All ones cost nothing: a reader of the bitmap copies
// more than it had to, and misses nothing.
int Metadata::fill_bitmaps() noexcept {
  static constexpr std::size_t kPiece = 512;  // entries
  std::array<std::byte, kPiece * 8> ones{};
  for (std::size_t i = 0; i < kPiece; ++i) store(ones.data() + i * 8, kAllOnes);
  const auto is_full = [](const Bitmap& bitmap) {
    return !bitmap.records || bitmap.in_use ||
           std::ranges::all_of(bitmap.entries, [](std::uint64_t entry) { return entry == kAllOnes; });
  };
  if (std::ranges::all_of(bitmaps_, is_full)) return 0;
  for (const Bitmap& bitmap : bitmaps_) {
    if (is_full(bitmap)) continue;
    for (std::size_t i = 0; i < bitmap.entries.size(); i += kPiece) {
      const std::size_t bytes = std::min(kPiece, bitmap.entries.size() - i) * 8;
      const int error =
          file_.write(Structure::bitmaps, bitmap.table_offset + i * 8, std::span(ones).first(bytes));
      if (error != 0) return error;
    }
  }
  if (const int error = sync()) return error;
  for (Bitmap& bitmap : bitmaps_) {
    if (is_full(bitmap)) continue;
    for (std::uint64_t& entry : bitmap.entries) {
      const std::uint64_t data = entry & kOffsetMask;
      entry = kAllOnes;
      if (data == 0) continue;
      file_.structures().erase(Structure::bitmaps, data);
      if (const int error = free_later(data >> geometry_.cluster_bits, 1)) return error;
    }
  }
  return 0;
}

int Metadata::begin_changes() noexcept {
  if (!options_.writable) return EROFS;
  if (file_.is_corrupt()) return EIO;
  if (has_begun()) return 0;
  // What features that are not known may promise is not kept. Raw external data is, and so are bitmaps,
  // unless one of them has something about it that is not known ("Bitmaps extension bit").
  std::uint64_t kept = kRawExternalData;
  const auto may_change = [](const Bitmap& bitmap) { return !bitmap.records || bitmap.understood; };
  if ((header().autoclear & kBitmapsConsistent) != 0 && std::ranges::all_of(bitmaps_, may_change)) {
    kept |= kBitmapsConsistent;
    if (const int error = fill_bitmaps()) return error;
  }
  const std::uint64_t lapse = header().autoclear & ~kept;
  if (lapse != 0 || (is_lazy() && !header().is_dirty())) {
    int error = store_.change([&](Header& header) {
      header.autoclear &= ~lapse;
      if ((header.compatible & kLazyRefcounts) != 0) header.incompatible |= kDirty;
    });
    if (error == 0) error = sync();
    if (error != 0) return error;
  }
  begun_.store(true, std::memory_order_release);
  return 0;
}

int Metadata::mark_dirty(bool dirty) noexcept {
  if (header().version < 3 || header().is_dirty() == dirty) return 0;
  const int error = store_.change([&](Header& header) {
    header.incompatible = dirty ? header.incompatible | kDirty : header.incompatible & ~std::uint64_t{kDirty};
  });
  return error != 0 ? error : sync();
}

void Metadata::tell_corruption() noexcept {
  if (!file_.is_corrupt() || told_corruption_ || !options_.writable || header().version < 3) return;
  told_corruption_ = true;
  // Past all checks: whatever else is wrong, the header is in the first sector.
  std::array<std::byte, kHeaderSector> sector = header().sector;
  store(sector.data() + field::kIncompatible, header().incompatible | kCorrupt);
  if (file_.file().write_bytes(0, sector) == 0) file_.file().sync();
}

int Metadata::fill_table(std::uint64_t source, std::uint64_t table) noexcept {
  if (source == 0) return file_.write_zeros(Structure::l2_table, table, geometry_.cluster_size());
  for (std::uint64_t at = 0; at < geometry_.cluster_size(); at += table_piece_.size()) {
    if (const int error = file_.read(source + at, table_piece_)) return error;
    if (const int error = file_.write(Structure::l2_table, table + at, table_piece_)) return error;
  }
  return 0;
}

int Metadata::prepare_table(std::uint64_t cluster) noexcept {
  std::uint64_t source = 0, first = 0, count = 0;
  if (mapping_->is_prepared(cluster, source)) return 0;
  if (const int error = refcounts_->allocate(1, first, count)) return error;
  const std::uint64_t table = first << geometry_.cluster_bits;
  int error = file_.structures().insert(Structure::l2_table, table, geometry_.cluster_size());
  if (error == 0) {
    error = fill_table(source, table);
    if (error == 0) error = mapping_->adopt(cluster, table);
    if (error != 0) file_.structures().erase(Structure::l2_table, table);
  }
  if (error != 0) {
    refcounts_->add(first, -1);
    return error;
  }
  has_new_data_ = true;
  return source == 0 ? 0 : free_later(source >> geometry_.cluster_bits, 1);
}

int Metadata::free_later(std::uint64_t first, std::uint64_t count) noexcept {
  if (!freed_.empty() && freed_.back().first + freed_.back().count == first) {
    freed_.back().count += count;
    return 0;
  }
  while (freed_.size() == kMaximumFreed) {
    if (const int error = commit()) return error;
    // The transfers under way end by themselves, on threads that do not wait for this one.
    if (freed_.size() == kMaximumFreed) ::sched_yield();
  }
  freed_.push_back({first, count});
  return 0;
}

int Metadata::write_and_sync() noexcept {
  if (!options_.writable) return 0;
  if (!mapping_->is_dirty()) return sync();
  if (refcounts_->is_dirty() && !is_lazy()) {
    if (const int error = refcounts_->write_back()) return error;
    has_new_data_ = true;
  }
  if (has_new_data_) {
    if (const int error = sync()) return error;
  }
  has_new_data_ = false;
  if (const int error = mapping_->write_back()) return error;
  return sync();
}

int Metadata::commit() noexcept {
  if (const int error = write_and_sync()) return error;
  update_needs_commit();
  // Those that were waiting first, so that these can wait in their place.
  if (const int error = count_down()) return error;
  if (retired_.empty() && !freed_.empty()) {
    retired_.swap(freed_);
    retired_mark_ = in_flight_.mark();
  }
  return count_down();
}

int Metadata::count_down() noexcept {
  if (retired_.empty() || !in_flight_.has_passed(retired_mark_)) return 0;
  for (const Freed& freed : retired_) {
    for (std::uint64_t cluster = freed.first; cluster < freed.first + freed.count; ++cluster) {
      std::uint64_t count = 0;
      int error = refcounts_->add(cluster, -1);
      if (error == 0 && options_.discard) error = refcounts_->get(cluster, count);
      if (error != 0) return retired_.clear(), error;
      if (options_.discard && count == 0)
        file_.file().discard(cluster << geometry_.cluster_bits, geometry_.cluster_size());
    }
  }
  retired_.clear();
  return 0;
}

int Metadata::close() noexcept {
  if (!options_.writable || file_.is_corrupt()) return 0;
  int error = commit();
  // Nothing is under way any more: what is still waiting goes now.
  if (error == 0 && !freed_.empty()) error = commit();
  if (error == 0 && refcounts_->is_dirty()) {
    error = refcounts_->write_back();
    if (error == 0) error = sync();
  }
  if (error == 0 && has_begun()) error = mark_dirty(false);
  begun_.store(false, std::memory_order_release);
  return error;
}

}  // namespace warren::vmm::block::qcow2
