#include "vmm-core/block/qcow2/structure_map.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <utility>

namespace warren::vmm::block::qcow2 {

const char* name_of(Structure structure) noexcept {
  switch (structure) {
    case Structure::none:
      return "data";
    case Structure::header:
      return "header";
    case Structure::l1_table:
      return "L1 table";
    case Structure::l2_table:
      return "L2 table";
    case Structure::refcount_table:
      return "refcount table";
    case Structure::refcount_block:
      return "refcount block";
    case Structure::snapshot_table:
      return "snapshot table";
    case Structure::inactive_l1_table:
      return "L1 table of a snapshot";
    case Structure::bitmaps:
      return "bitmaps";
  }
  return "?";
}

std::size_t StructureMap::slot_of(std::uint64_t cluster) const noexcept {
  std::size_t slot = static_cast<std::size_t>(cluster * 0x9e37'79b9'7f4a'7c15) & (capacity_ - 1);
  while (singles_[slot] != 0 && singles_[slot] >> 4 != cluster) slot = (slot + 1) & (capacity_ - 1);
  return slot;
}

bool StructureMap::grow() noexcept {
  const std::size_t capacity = std::max<std::size_t>(capacity_ * 2, 64);
  std::unique_ptr<std::uint64_t[]> bigger(new (std::nothrow) std::uint64_t[capacity]());
  if (!bigger) return false;
  singles_.swap(bigger);
  const std::size_t before = std::exchange(capacity_, capacity);
  for (std::size_t i = 0; i < before; ++i) {
    if (bigger[i] != 0) singles_[slot_of(bigger[i] >> 4)] = bigger[i];
  }
  return true;
}

int StructureMap::insert(Structure structure, std::uint64_t offset, std::uint64_t bytes) noexcept {
  const std::uint64_t first = offset >> cluster_bits_;
  const std::uint64_t count =
      (bytes >> cluster_bits_) + ((bytes & ((std::uint64_t{1} << cluster_bits_) - 1)) != 0 ? 1 : 0);
  if (count == 0) return 0;
  const Structure there = find(first, count);
  if (there == structure && structure == Structure::l2_table) return 0;
  if (there != Structure::none) return EEXIST;
  if (!is_single(structure)) {
    try {
      ranges_.insert(std::ranges::upper_bound(ranges_, first, {}, &Range::first), {structure, first, count});
    } catch (const std::bad_alloc&) {
      return ENOMEM;
    }
    return 0;
  }
  if (used_ * 2 >= capacity_ && !grow()) return ENOMEM;
  singles_[slot_of(first)] = first << 4 | static_cast<std::uint64_t>(structure);
  ++used_;
  return 0;
}

void StructureMap::erase(Structure structure, std::uint64_t offset) noexcept {
  const std::uint64_t first = offset >> cluster_bits_;
  if (!is_single(structure)) {
    std::erase_if(ranges_,
                  [&](const Range& range) { return range.structure == structure && range.first == first; });
    return;
  }
  if (capacity_ == 0) return;
  std::size_t hole = slot_of(first);
  if (singles_[hole] == 0) return;
  singles_[hole] = 0;
  --used_;
  // Those that went past the hole move up, or they would not be found again.
  for (std::size_t next = (hole + 1) & (capacity_ - 1); singles_[next] != 0;
       next = (next + 1) & (capacity_ - 1)) {
    const std::uint64_t moved = std::exchange(singles_[next], 0);
    singles_[slot_of(moved >> 4)] = moved;
  }
}

Structure StructureMap::at(std::uint64_t cluster) const noexcept {
  return find(cluster, 1);
}

Structure StructureMap::find(std::uint64_t cluster, std::uint64_t count) const noexcept {
  // They do not overlap: of those that begin before the end, the last one reaches furthest.
  const auto behind = std::ranges::lower_bound(ranges_, cluster + count, {}, &Range::first);
  if (behind != ranges_.begin() && std::prev(behind)->first + std::prev(behind)->count > cluster)
    return std::prev(behind)->structure;
  if (capacity_ == 0) return Structure::none;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t single = singles_[slot_of(cluster + i)];
    if (single != 0) return static_cast<Structure>(single & 15);
  }
  return Structure::none;
}

bool StructureMap::holds(Structure structure, std::uint64_t offset, std::uint64_t bytes) const noexcept {
  if (bytes == 0) return false;
  const std::uint64_t first = offset >> cluster_bits_, last = (offset + bytes - 1) >> cluster_bits_;
  if (is_single(structure)) return first == last && at(first) == structure;
  return std::ranges::any_of(ranges_, [&](const Range& range) {
    return range.structure == structure && first >= range.first && last < range.first + range.count;
  });
}

}  // namespace warren::vmm::block::qcow2
