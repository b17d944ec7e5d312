// Sizes and counts that follow from an image's header, and what an L2 entry says. Pure arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vmm-core/block/qcow2/format.h"

namespace warren::vmm::block::qcow2 {

struct Geometry {
  unsigned cluster_bits = 16;
  unsigned refcount_order = 4;
  bool extended_l2 = false;
  bool has_zero_flag = true;  // version 3

  std::uint64_t cluster_size() const noexcept { return std::uint64_t{1} << cluster_bits; }
  std::uint64_t cluster_mask() const noexcept { return cluster_size() - 1; }
  unsigned entry_words() const noexcept { return extended_l2 ? 2 : 1; }
  unsigned l2_bits() const noexcept { return cluster_bits - (extended_l2 ? 4 : 3); }
  std::uint64_t l2_entries() const noexcept { return std::uint64_t{1} << l2_bits(); }
  // Bytes of the disk that one L2 table maps.
  std::uint64_t l2_reach() const noexcept { return std::uint64_t{1} << (cluster_bits + l2_bits()); }
  std::uint64_t l1_entries_for(std::uint64_t size) const noexcept { return divide_up(size, l2_reach()); }

  // Tables are cached in slices: a whole one of 2 MiB for one entry would be dear.
  std::uint64_t slice_bytes() const noexcept { return std::min<std::uint64_t>(cluster_size(), 4096); }
  std::uint64_t slice_entries() const noexcept { return slice_bytes() / 8 / entry_words(); }
  std::uint64_t slices_per_cluster() const noexcept { return cluster_size() / slice_bytes(); }

  unsigned refcount_bits() const noexcept { return 1u << refcount_order; }
  std::uint64_t maximum_refcount() const noexcept { return ~std::uint64_t{0} >> (64 - refcount_bits()); }
  std::uint64_t refcounts_per_block() const noexcept { return cluster_size() * 8 / refcount_bits(); }
  std::uint64_t refcounts_per_slice() const noexcept { return slice_bytes() * 8 / refcount_bits(); }

  unsigned subclusters() const noexcept { return extended_l2 ? kSubclusters : 1; }
  std::uint64_t subcluster_size() const noexcept { return cluster_size() / subclusters(); }
  std::uint32_t all_subclusters() const noexcept { return extended_l2 ? ~std::uint32_t{0} : 1; }
};

// An L2 entry as it is on disk, in the host's byte order. `bitmap` is 0 without extended L2 entries.
struct Entry {
  std::uint64_t word = 0, bitmap = 0;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What an entry means. A cluster without extended L2 entries is one subcluster.
struct Cluster {
  enum class Kind : std::uint8_t { none, standard, compressed };  // what there is in the host's file
  Kind kind = Kind::none;
  bool copied = false;
  std::uint64_t host = 0;       // byte offset in the host's file
  std::uint64_t host_size = 0;  // bytes of compressed data, at most
  std::uint32_t allocated = 0;  // subclusters whose data is here
  std::uint32_t zero = 0;       // subclusters that read as zeros
};

// False: reserved bits, or a contradiction.
inline bool decode(const Geometry& geometry, bool external, const Entry& entry, Cluster& cluster) noexcept {
  cluster = {};
  if ((entry.word & kCompressed) != 0) {
    if (external || (entry.word & kCopied) != 0) return false;
    // "Compressed Clusters Descriptor"
    const unsigned offset_bits = 62 - (geometry.cluster_bits - 8);
    cluster.kind = Cluster::Kind::compressed;
    cluster.host = entry.word & ((std::uint64_t{1} << offset_bits) - 1);
    const std::uint64_t sectors =
        (entry.word >> offset_bits) & ((std::uint64_t{1} << (62 - offset_bits)) - 1);
    cluster.host_size = (sectors + 1) * 512 - cluster.host % 512;
    cluster.allocated = geometry.all_subclusters();
    return cluster.host < kMaximumOffset && cluster.host >= geometry.cluster_size();
  }
  const std::uint64_t known =
      kCopied | kOffsetMask | (geometry.has_zero_flag && !geometry.extended_l2 ? kZero : 0);
  if ((entry.word & ~known) != 0) return false;
  cluster.host = entry.word & kOffsetMask;
  cluster.copied = (entry.word & kCopied) != 0;
  if ((cluster.host & geometry.cluster_mask()) != 0) return false;
  const bool is_there = cluster.host != 0 || (external && cluster.copied);
  if (is_there) cluster.kind = Cluster::Kind::standard;
  if (geometry.extended_l2) {
    cluster.allocated = static_cast<std::uint32_t>(entry.bitmap);
    cluster.zero = static_cast<std::uint32_t>(entry.bitmap >> 32);
    return (cluster.allocated & cluster.zero) == 0 && (is_there || cluster.allocated == 0);
  }
  cluster.zero = (entry.word & kZero) != 0 ? 1 : 0;
  cluster.allocated = is_there && cluster.zero == 0 ? 1 : 0;
  return true;
}

// Of a cluster that is not compressed.
inline Entry encode(const Geometry& geometry, const Cluster& cluster) noexcept {
  Entry entry;
  if (cluster.kind == Cluster::Kind::standard) entry.word = cluster.host | (cluster.copied ? kCopied : 0);
  if (geometry.extended_l2) {
    entry.bitmap = std::uint64_t{cluster.zero} << 32 | cluster.allocated;
  } else if (cluster.zero != 0) {
    entry.word |= kZero;
  }
  return entry;
}

}  // namespace warren::vmm::block::qcow2
