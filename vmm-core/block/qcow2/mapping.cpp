#include "vmm-core/block/qcow2/mapping.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {
constexpr std::uint64_t kSectorEntries = 512 / 8;
// No entry has both: an entry with them is nothing that decode() understands, compressed or not.
constexpr std::uint64_t kInsane = kCopied | 2;
}  // namespace

Mapping::Mapping(MetadataFile& file, HeaderStore& header, bool writable, std::uint64_t cache_bytes,
                 std::function<int()> make_clean, const std::string& name)
    : file_(file),
      header_(header),
      geometry_(header.get().geometry),
      external_(header.get().has_external_data()),
      writable_(writable),
      cache_(cache_bytes, geometry_.slice_bytes()),
      make_clean_(std::move(make_clean)) {
  const Header& fields = header.get();
  l1_.resize(fields.l1_size);
  if (const int error = file_.read(fields.l1_offset, std::as_writable_bytes(std::span(l1_))))
    throw Error::from_errno(error, name + ": read the L1 table");
  dirty_l1_sectors_.resize(divide_up(l1_.size(), kSectorEntries));
  if (writable && file_.structures().insert(Structure::l1_table, fields.l1_offset, l1_.size() * 8) != 0)
    throw Error(std::errc::invalid_argument, name + ": its L1 table overlaps other metadata");
  for (std::uint64_t& entry : l1_) {
    entry = swap_bytes(entry);
    const std::uint64_t offset = entry & kOffsetMask;
    if ((entry & ~(kOffsetMask | kCopied)) != 0 || (offset & geometry_.cluster_mask()) != 0)
      throw Error(std::errc::invalid_argument, message(name, ": L1 entry ", hex(entry), " makes no sense"));
    if (!writable || offset == 0) continue;
    if (file_.structures().insert(Structure::l2_table, offset, geometry_.cluster_size()) != 0)
      throw Error(std::errc::invalid_argument,
                  message(name, ": the L2 table at ", hex(offset), " overlaps other metadata"));
  }
}

bool Mapping::is_sane(const Entry& entry) const noexcept {
  Cluster cluster;
  if (!decode(geometry_, external_, entry, cluster)) return false;
  if (!writable_ || external_ || cluster.kind == Cluster::Kind::none) return true;
  // Guest data never lies in metadata.
  const std::uint64_t first = cluster.host >> geometry_.cluster_bits;
  const std::uint64_t last =
      (cluster.host + std::max<std::uint64_t>(cluster.host_size, 1) - 1) >> geometry_.cluster_bits;
  return file_.structures().find(first, last - first + 1) == Structure::none;
}

bool Mapping::peek(std::uint64_t cluster, Cluster& to) const noexcept {
  const unsigned words = geometry_.entry_words();
  std::array<std::uint64_t, 2> raw{};
  if (!cache_.peek(cluster / geometry_.slice_entries(), cluster % geometry_.slice_entries() * words, words,
                   raw.data()))
    return false;
  const Entry entry{swap_bytes(raw[0]), words == 2 ? swap_bytes(raw[1]) : 0};
  // Whether it lies in metadata the owner has looked at when it was cached: such slices have no such entries.
  if (!decode(geometry_, external_, entry, to)) return false;
  return !external_ || to.kind != Cluster::Kind::standard || to.host == cluster << geometry_.cluster_bits;
}

int Mapping::load_slice(std::uint64_t cluster, TableCache::Slot*& slot) noexcept {
  const std::uint64_t number = cluster / geometry_.slice_entries();
  slot = cache_.find(number);
  if (slot != nullptr) return 0;
  if (cache_.victim(number) == nullptr) {
    if (const int error = make_clean_()) return error;
  }
  slot = cache_.victim(number);
  if (slot == nullptr) return EIO;
  cache_.forget(*slot);
  const std::uint64_t table = table_of(cluster);
  const auto bytes = cache_.spare();
  if (table == 0) {
    std::ranges::fill(bytes, std::byte{0});
  } else {
    slot->host = table + number % geometry_.slices_per_cluster() * geometry_.slice_bytes();
    if (const int error = file_.read(slot->host, bytes)) return error;
  }
  const std::size_t words = geometry_.entry_words();
  for (std::size_t at = 0; at < bytes.size(); at += words * 8) {
    const Entry entry{load<std::uint64_t>(bytes.data() + at),
                      words == 2 ? load<std::uint64_t>(bytes.data() + at + 8) : 0};
    if (entry.word != 0 && !is_sane(entry)) {
      // No reader is to follow it. A writable image is not written any more from here on.
      store(bytes.data() + at, entry.word | kInsane);
      if (writable_) file_.note_corruption();
    }
  }
  cache_.fill_from_spare(*slot, number);
  return 0;
}

int Mapping::get_entry(std::uint64_t cluster, Entry& entry) noexcept {
  TableCache::Slot* slot = nullptr;
  if (const int error = load_slice(cluster, slot)) return error;
  const unsigned words = geometry_.entry_words();
  const std::byte* at = slot->bytes + cluster % geometry_.slice_entries() * words * 8;
  entry = {load<std::uint64_t>(at), words == 2 ? load<std::uint64_t>(at + 8) : 0};
  return 0;
}

int Mapping::get(std::uint64_t cluster, Cluster& to) noexcept {
  Entry entry;
  if (const int error = get_entry(cluster, entry)) return error;
  if (decode(geometry_, external_, entry, to) &&
      (!external_ || to.kind != Cluster::Kind::standard || to.host == cluster << geometry_.cluster_bits))
    return 0;
  if (writable_) file_.note_corruption();
  return EIO;
}

int Mapping::set(std::uint64_t cluster, const Cluster& to) noexcept {
  return set_entry(cluster, encode(geometry_, to));
}

int Mapping::set_entry(std::uint64_t cluster, const Entry& entry) noexcept {
  TableCache::Slot* slot = nullptr;
  if (const int error = load_slice(cluster, slot)) return error;
  if (slot->host == 0) return EIO;
  const unsigned words = geometry_.entry_words();
  // The slice is an array of 64-bit words that others read meanwhile.
  auto* at = reinterpret_cast<std::uint64_t*>(slot->bytes) + cluster % geometry_.slice_entries() * words;
  TableCache::begin_change(*slot);
  std::atomic_ref(at[0]).store(swap_bytes(entry.word), std::memory_order_relaxed);
  if (words == 2) std::atomic_ref(at[1]).store(swap_bytes(entry.bitmap), std::memory_order_relaxed);
  TableCache::end_change(*slot);
  slot->dirty = dirty_ = true;
  return 0;
}

bool Mapping::is_prepared(std::uint64_t cluster, std::uint64_t& source) const noexcept {
  const std::uint64_t index = cluster >> geometry_.l2_bits();
  source = index < l1_.size() ? l1_[index] & kOffsetMask : 0;
  return source != 0 && (l1_[index] & kCopied) != 0;
}

int Mapping::adopt(std::uint64_t cluster, std::uint64_t table_offset) noexcept {
  const std::uint64_t index = cluster >> geometry_.l2_bits();
  if (index >= l1_.size()) return EIO;
  if (const std::uint64_t before = l1_[index] & kOffsetMask)
    file_.structures().erase(Structure::l2_table, before);
  set_l1_entry(index, table_offset | kCopied);
  // What is cached of the old table is as good for the new one, with its place.
  const std::uint64_t per_table = geometry_.l2_entries() / geometry_.slice_entries();
  for (std::uint64_t i = 0; i < per_table; ++i) {
    TableCache::Slot* slot = cache_.find(index * per_table + i);
    if (slot != nullptr) slot->host = table_offset + i * geometry_.slice_bytes();
  }
  return 0;
}

void Mapping::set_l1_entry(std::uint64_t index, std::uint64_t entry) noexcept {
  l1_[index] = entry;
  dirty_l1_sectors_[index / kSectorEntries] = true;
  dirty_ = l1_dirty_ = true;
}

void Mapping::replace_l1(std::vector<std::uint64_t> l1) noexcept {
  cache_.forget_all();
  l1_ = std::move(l1);
  dirty_l1_sectors_.assign(divide_up(l1_.size(), kSectorEntries), false);
  dirty_ = l1_dirty_ = false;
}

void Mapping::extend_l1(std::uint64_t entries) {
  l1_.resize(entries);
  dirty_l1_sectors_.resize(divide_up(entries, kSectorEntries));
}

int Mapping::write_back() noexcept {
  for (TableCache::Slot& slot : cache_.slots()) {
    if (!slot.dirty) continue;
    if (const int error = file_.write(Structure::l2_table, slot.host, cache_.bytes_of(slot))) return error;
    slot.dirty = false;
  }
  std::array<std::byte, 512> sector{};
  for (std::size_t i = 0; l1_dirty_ && i < dirty_l1_sectors_.size(); ++i) {
    if (!dirty_l1_sectors_[i]) continue;
    const std::uint64_t first = i * kSectorEntries;
    const std::uint64_t count = std::min<std::uint64_t>(kSectorEntries, l1_.size() - first);
    for (std::uint64_t j = 0; j < count; ++j) store(sector.data() + j * 8, l1_[first + j]);
    const std::span<const std::byte> bytes(sector.data(), static_cast<std::size_t>(count * 8));
    if (const int error = file_.write(Structure::l1_table, header_.get().l1_offset + first * 8, bytes))
      return error;
    dirty_l1_sectors_[i] = false;
  }
  l1_dirty_ = dirty_ = false;
  return 0;
}

}  // namespace warren::vmm::block::qcow2
