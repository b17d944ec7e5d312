// The reference counts of an image's host clusters ("Host cluster management"), and the allocation of
// clusters by them.
//
// Owner thread only. What is counted here may be written to the file at any time: counts only rise for what
// nothing on disk refers to yet, and only fall when nothing on disk refers to it any more; its user sees to
// that. Functions return 0 or an errno; EIO when the image contradicts itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/block/qcow2/geometry.h"
#include "vmm-core/block/qcow2/header_store.h"
#include "vmm-core/block/qcow2/metadata_file.h"
#include "vmm-core/block/qcow2/table_cache.h"

namespace warren::vmm::block::qcow2 {

class Refcounts {
 public:
  // Reads the refcount table that the header names and makes its structures known. Throws Error.
  Refcounts(MetadataFile& file, HeaderStore& header, const std::string& name);

  int get(std::uint64_t cluster, std::uint64_t& count) noexcept;
  // ERANGE when the count does not fit its width.
  int add(std::uint64_t cluster, std::int64_t by) noexcept;
  int add_all(std::uint64_t first, std::uint64_t count, std::int64_t by) noexcept;

  // 1 to `most` free clusters in a row, referred to once from now on. ENOSPC when there is none.
  int allocate(std::uint64_t most, std::uint64_t& first, std::uint64_t& count) noexcept;
  int allocate_contiguous(std::uint64_t count, std::uint64_t& first) noexcept;

  // Writes what has changed, in an order in which every prefix is good; the last of it is not synced.
  int write_back() noexcept;
  bool is_dirty() const noexcept { return dirty_; }
  std::uint64_t table_entry(std::uint64_t block) const noexcept {
    return block < table_.size() ? table_[block] : 0;
  }

 private:
  std::uint64_t cluster_limit() const noexcept;
  std::uint64_t value(const TableCache::Slot& slot, std::uint64_t index) const noexcept;
  void set_value(TableCache::Slot& slot, std::uint64_t index, std::uint64_t count) noexcept;
  int load_slice(std::uint64_t cluster, TableCache::Slot*& slot) noexcept;  // none: no block is there
  int next_free(std::uint64_t& cluster) noexcept;
  int is_free(std::uint64_t cluster, bool& free) noexcept;
  int find_place(std::uint64_t avoid, std::uint64_t count, std::uint64_t& cluster) noexcept;
  int provide_block(std::uint64_t block, std::uint64_t avoid, std::uint64_t count) noexcept;
  int create_block(std::uint64_t block, std::uint64_t cluster) noexcept;
  int widen_table(std::uint64_t block) noexcept;
  int take(std::uint64_t cluster) noexcept;
  int write_slices() noexcept;
  int write_table() noexcept;
  int move_table() noexcept;
  int place_table(std::uint64_t& first, std::uint64_t& clusters) noexcept;

  MetadataFile& file_;
  HeaderStore& header_;
  const Geometry geometry_;
  TableCache cache_;
  std::vector<std::uint64_t> table_;  // block -> offset, 0: none
  std::uint64_t table_on_disk_ = 0;   // entries; fewer than in memory: it must move
  std::uint64_t first_dirty_ = ~std::uint64_t{0}, last_dirty_ = 0;  // entries of the table
  bool has_new_blocks_ = false, dirty_ = false;
  std::uint64_t hint_ = 0;  // no cluster below it is free
};

}  // namespace warren::vmm::block::qcow2
