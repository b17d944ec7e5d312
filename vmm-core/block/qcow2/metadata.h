// All metadata of an open image under one owner, and the order in which it reaches the disk.
//
// Changes are made in memory. commit() writes them so that every prefix of what reaches the disk, torn at any
// sector, is an image with nothing worse than leaked clusters and with everything that was committed before:
//   1. data, counts of new clusters and new tables; then a sync
//   2. the entries that refer to them; then a sync
//   3. only then are clusters that nothing refers to any more counted down, and used again when no transfer
//      that is under way may still touch them.
// Used by whoever holds the image's lock. Functions return 0 or an errno.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/qcow2/bitmaps.h"
#include "vmm-core/block/qcow2/in_flight.h"
#include "vmm-core/block/qcow2/mapping.h"
#include "vmm-core/block/qcow2/refcounts.h"

namespace warren::vmm::block::qcow2 {

class Metadata {
 public:
  struct Options {
    bool writable = false;
    std::uint64_t cache_bytes = 0;
    bool discard = false;  // freed clusters are given back to the host
  };
  // `data`: the file of the guest's data, when it is another one. Both outlive this. Throws Error.
  Metadata(HostFile& file, HostFile* data, Header header, const Options& options, const std::string& name);
  ~Metadata();

  const Header& header() const noexcept { return store_.get(); }
  const Geometry& geometry() const noexcept { return geometry_; }
  Mapping& mapping() noexcept { return *mapping_; }
  const Mapping& mapping() const noexcept { return *mapping_; }
  Refcounts& refcounts() noexcept { return *refcounts_; }  // of a writable image
  HeaderStore& header_store() noexcept { return store_; }
  MetadataFile& file() noexcept { return file_; }
  InFlight& in_flight() noexcept { return in_flight_; }

  // Before anything is changed, data included: what would not be true any more is made so that it is, or its
  // feature is cleared; and the image is marked dirty where its counts are lazy. EROFS, or EIO for a corrupt
  // image.
  int begin_changes() noexcept;
  // Any thread: whether that has been done.
  bool has_begun() const noexcept { return begun_.load(std::memory_order_acquire); }
  // The L2 table of this cluster of the disk may be changed then.
  int prepare_table(std::uint64_t cluster) noexcept;
  // New clusters have data that commits depend on.
  void note_data() noexcept { has_new_data_ = true; }
  // A mapping has changed that referred to these. They are counted down by a later commit.
  int free_later(std::uint64_t first, std::uint64_t count) noexcept;

  int commit() noexcept;
  // Any thread: whether what was written may be lost without a commit().
  bool needs_commit() const noexcept { return needs_commit_.load(std::memory_order_acquire); }
  void update_needs_commit() noexcept {
    needs_commit_.store(mapping_->is_dirty(), std::memory_order_release);
  }
  // Commits, counts down all that can be, and marks the image clean.
  int close() noexcept;
  // Marks the image dirty on disk, or (everything is synced then) clean. Of version 2: nothing.
  int mark_dirty(bool dirty) noexcept;
  // Puts the corrupt bit where the next one to open the image sees it.
  void tell_corruption() noexcept;
  int sync() noexcept;

 private:
  struct Freed {
    std::uint64_t first, count;
  };
  // Every bitmap that records changes says that everything has changed, which stays true.
  int fill_bitmaps() noexcept;
  int write_and_sync() noexcept;
  int count_down() noexcept;
  int fill_table(std::uint64_t source, std::uint64_t table) noexcept;
  bool is_lazy() const noexcept {
    return (header().compatible & kLazyRefcounts) != 0 && header().version >= 3;
  }

  HostFile* data_;
  MetadataFile file_;
  HeaderStore store_;
  const Options options_;
  const Geometry geometry_;
  InFlight in_flight_;
  std::unique_ptr<Refcounts> refcounts_;
  std::unique_ptr<Mapping> mapping_;
  std::vector<Bitmap> bitmaps_;
  std::vector<std::byte> table_piece_;
  std::vector<Freed> freed_;    // still referred to on disk
  std::vector<Freed> retired_;  // not any more, but maybe by transfers under way
  std::uint64_t retired_mark_ = 0;
  bool has_new_data_ = false, told_corruption_ = false;
  std::atomic<bool> begun_{false}, needs_commit_{false};
};

}  // namespace warren::vmm::block::qcow2
