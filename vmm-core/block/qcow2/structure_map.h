// Which host clusters hold which metadata of an image, so that no write ever lands on somebody else's: what
// is written as a table must be known as that table, and what is allocated must be known as nothing.
//
// Owner thread only. Single clusters (L2 tables, refcount blocks) are kept in a hash table, the few long
// structures as ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace warren::vmm::block::qcow2 {

enum class Structure : std::uint8_t {
  none,
  header,
  l1_table,
  l2_table,
  refcount_table,
  refcount_block,
  snapshot_table,
  inactive_l1_table,
  bitmaps,
};
const char* name_of(Structure structure) noexcept;

class StructureMap {
 public:
  explicit StructureMap(unsigned cluster_bits) : cluster_bits_(cluster_bits) {}

  // `bytes` from `offset`, which is a cluster's, in whole clusters. EEXIST when another structure is there
  // (an L2 table may be inserted again), ENOMEM.
  int insert(Structure structure, std::uint64_t offset, std::uint64_t bytes) noexcept;
  void erase(Structure structure, std::uint64_t offset) noexcept;
  Structure at(std::uint64_t cluster) const noexcept;
  // The first that is met in `count` clusters.
  Structure find(std::uint64_t cluster, std::uint64_t count) const noexcept;
  // Whether all of the bytes belong to this structure.
  bool holds(Structure structure, std::uint64_t offset, std::uint64_t bytes) const noexcept;

 private:
  struct Range {
    Structure structure;
    std::uint64_t first, count;
  };
  static bool is_single(Structure structure) noexcept {
    return structure == Structure::l2_table || structure == Structure::refcount_block;
  }
  std::size_t slot_of(std::uint64_t cluster) const noexcept;
  bool grow() noexcept;

  const unsigned cluster_bits_;
  std::vector<Range> ranges_;  // by their first clusters
  // cluster << 4 | structure; 0: empty.
  std::unique_ptr<std::uint64_t[]> singles_;
  std::size_t capacity_ = 0, used_ = 0;
};

}  // namespace warren::vmm::block::qcow2
