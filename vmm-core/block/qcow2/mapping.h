// Where the disk's clusters are: the active L1 table, and L2 tables as far as they are cached ("Cluster
// mapping").
//
// One owner changes it; any thread may look things up that are cached. What is changed here stays in memory
// until write_back(), which its user calls when everything that the entries refer to is on stable storage.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vmm-core/block/qcow2/geometry.h"
#include "vmm-core/block/qcow2/header_store.h"
#include "vmm-core/block/qcow2/metadata_file.h"
#include "vmm-core/block/qcow2/table_cache.h"

namespace warren::vmm::block::qcow2 {

class Mapping {
 public:
  // Reads the active L1 table and, when the image is `writable`, makes its structures known. `make_clean` is
  // called when the cache is full of changes, and writes them back (0 or an errno). Throws Error.
  Mapping(MetadataFile& file, HeaderStore& header, bool writable, std::uint64_t cache_bytes,
          std::function<int()> make_clean, const std::string& name);

  // Any thread, without waiting. False: ask the owner. An entry that makes no sense is never found.
  bool peek(std::uint64_t cluster, Cluster& to) const noexcept;

  // The rest is the owner's. 0 or an errno; EIO for what contradicts the format.
  int get(std::uint64_t cluster, Cluster& to) noexcept;
  // The entry as it is, sensible or not.
  int get_entry(std::uint64_t cluster, Entry& entry) noexcept;
  // prepare() has been called for this cluster.
  int set(std::uint64_t cluster, const Cluster& to) noexcept;
  int set_entry(std::uint64_t cluster, const Entry& entry) noexcept;

  // Whether the L2 table of this cluster may be changed where it is. If not, `source` is the table to copy
  // (0: there is none), and `adopt` puts a new one in its place, that is known as an L2 table already.
  bool is_prepared(std::uint64_t cluster, std::uint64_t& source) const noexcept;
  int adopt(std::uint64_t cluster, std::uint64_t table_offset) noexcept;

  // L2 tables first, then the L1 table: an L2 table is whole on disk before anything refers to it.
  int write_back() noexcept;
  bool is_dirty() const noexcept { return dirty_; }

  const std::vector<std::uint64_t>& l1() const noexcept { return l1_; }
  void set_l1_entry(std::uint64_t index, std::uint64_t entry) noexcept;
  // Another L1 table, which is on disk and in the header already; nothing cached holds then.
  void replace_l1(std::vector<std::uint64_t> l1) noexcept;
  // A longer one, likewise, that begins as this one did.
  void extend_l1(std::uint64_t entries);
  // Whether its data is in a file of its own.
  bool has_external_data() const noexcept { return external_; }

 private:
  int load_slice(std::uint64_t cluster, TableCache::Slot*& slot) noexcept;
  bool is_sane(const Entry& entry) const noexcept;
  std::uint64_t table_of(std::uint64_t cluster) const noexcept {
    const std::uint64_t index = cluster >> geometry_.l2_bits();
    return index < l1_.size() ? l1_[index] & kOffsetMask : 0;
  }

  MetadataFile& file_;
  HeaderStore& header_;
  const Geometry geometry_;
  const bool external_, writable_;
  TableCache cache_;
  std::function<int()> make_clean_;
  std::vector<std::uint64_t> l1_;       // in the host's byte order
  std::vector<bool> dirty_l1_sectors_;  // of 512 bytes
  bool dirty_ = false, l1_dirty_ = false;
};

}  // namespace warren::vmm::block::qcow2
