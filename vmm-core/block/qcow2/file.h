// One qcow2 file: the disk that it holds, read and written.
//
// find() and find_writable() tell any thread, without waiting, what transfers can go straight to the host's
// file. Everything else is done by the calls that wait, one at a time under the file's lock: whoever holds it
// is the owner of the metadata.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/layer.h"
#include "vmm-core/block/qcow2/decompressor.h"
#include "vmm-core/block/qcow2/metadata.h"
#include "vmm-core/block/qcow2/snapshot_table.h"

namespace warren::vmm::block::qcow2 {

struct FileOptions {
  bool read_only = false;
  bool discard = false;  // space that the image has no use for goes back to the host
  // What a reader finds in the files below becomes the image's own; that it cannot be is no error of the
  // read.
  bool copy_on_read = false;
  std::uint64_t cache_bytes = std::uint64_t{4} << 20;  // of L2 tables, at most
};

class File final : public Layer {
 public:
  // Reads the header and the tables that are kept in memory; an image that was left dirty is repaired first,
  // when it may be written. `data`: the external data file, for an image that has one. `backing`: what is
  // read where nothing was written; none: zeros. Throws Error.
  File(std::unique_ptr<HostFile> file, const std::string& name, const FileOptions& options,
       std::unique_ptr<HostFile> data = nullptr, std::shared_ptr<Layer> backing = nullptr);
  ~File() override;  // close(), and nobody to tell when it fails

  const std::string& name() const noexcept { return name_; }
  const Header& header() const noexcept { return metadata_->header(); }
  bool read_only() const noexcept { return options_.read_only; }
  HostFile& host_file() noexcept { return *file_; }
  HostFile* data_file() noexcept { return data_.get(); }  // none without external data
  bool has_external_data() const noexcept { return data_ != nullptr; }

  std::uint64_t size() const noexcept override { return size_.load(std::memory_order_acquire); }
  Extent find(std::uint64_t offset, std::uint64_t length) const noexcept override;
  int read(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept override;
  int allocation(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept override;
  void add_files(std::vector<HostFile*>& files) override;

  // Where a write can go straight to: data, or unknown. Between in_flight().enter() and leave().
  Extent find_writable(std::uint64_t offset, std::uint64_t length) const noexcept;
  InFlight& in_flight() noexcept { return metadata_->in_flight(); }
  // Whether a flush must go through flush(): else a sync of the host's file is one.
  bool needs_commit() const noexcept { return metadata_->needs_commit(); }

  // These wait, and take one at a time. 0 or an errno; the range lies in the disk.
  int write(std::uint64_t offset, std::uint64_t length, Scatter& from) noexcept;
  int write_zeroes(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept;
  int discard(std::uint64_t offset, std::uint64_t length) noexcept;  // whole clusters; reads as zeros then
  int flush() noexcept;

  // As write() and write_zeroes(), but only where the image by itself has nothing: what was written here by
  // others meanwhile stays, and afterwards nothing of the range is left to what is below (file_fill.cpp).
  int fill(std::uint64_t offset, std::span<std::byte> bytes) noexcept;
  int fill_zeroes(std::uint64_t offset, std::uint64_t length) noexcept;

  // --- Control. No transfer is under way but for resize() to a larger size. Each throws Error. ---

  void resize(std::uint64_t bytes);
  std::vector<Snapshot> snapshots() const;
  // `name` and `id` are told apart by nobody but the user; the id is chosen. Returns it.
  std::string create_snapshot(const std::string& name, std::uint32_t seconds, std::uint32_t nanoseconds);
  void apply_snapshot(const std::string& id_or_name);
  void delete_snapshot(const std::string& id_or_name);
  // Gives every cluster of the disk its place, with nothing in it.
  void preallocate();
  // What is read where nothing was written, from now on. No queue of this image, or of one above it, has a
  // transfer under way, nor is used again: they know the files that there were.
  void set_backing(std::shared_ptr<Layer> backing) noexcept;
  const std::shared_ptr<Layer>& backing() const noexcept { return backing_; }
  // What its header says of that. Throws Error, too, where the header has no room; it says what it did then.
  void set_backing_name(const std::string& file, const std::string& format);
  // Writes back everything and marks the file clean; afterwards it can be used on.
  void close();

 private:
  friend class SnapshotChange;
  // What one piece of the disk is.
  struct Piece {
    enum class Kind : std::uint8_t { data, zeros, backing, compressed };
    Kind kind = Kind::zeros;
    std::uint64_t length = 0;
    std::uint64_t host = 0;       // of data, where it is; of compressed, where that begins
    std::uint64_t host_size = 0;  // of compressed
  };

  // Reading (file_read.cpp)
  Piece piece_of(const Cluster& cluster, std::uint64_t offset, std::uint64_t length) const noexcept;
  int locate(std::uint64_t offset, std::uint64_t length, Piece& piece) noexcept;
  int read_locked(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept;
  int read_piece(const Piece& piece, std::uint64_t offset, Scatter& to) noexcept;
  int read_compressed(const Piece& piece, std::uint64_t offset, Scatter& to) noexcept;
  int reads_as_zeros(std::uint64_t offset, std::uint64_t length, bool& zeros) noexcept;

  // Filling (file_fill.cpp)
  int own_piece(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept;
  template <typename Work>
  int for_each_below(std::uint64_t offset, std::uint64_t length, Work work) noexcept;
  int take_up(std::uint64_t offset, std::span<std::byte> bytes) noexcept;
  int take_up_zeroes(std::uint64_t offset, std::uint64_t length) noexcept;

  // Writing (file_write.cpp)
  int write_locked(std::uint64_t offset, std::uint64_t length, Scatter& from) noexcept;
  int write_some(std::uint64_t offset, std::uint64_t length, Scatter& from, std::uint64_t& done) noexcept;
  int write_data(std::uint64_t host, std::uint64_t length, Scatter& from) noexcept;
  std::uint64_t writable_bytes(const Cluster& cluster, std::uint64_t offset,
                               std::uint64_t length) const noexcept;
  int count_new(std::uint64_t cluster, std::uint64_t most, std::uint64_t& count) noexcept;
  int place_new(std::uint64_t cluster, std::uint64_t most, std::uint64_t& host,
                std::uint64_t& count) noexcept;
  int write_into(std::uint64_t offset, std::uint64_t length, Scatter& from, const Cluster& old) noexcept;
  int write_new(std::uint64_t offset, std::uint64_t length, Scatter& from, std::uint64_t& done) noexcept;
  // The part of a cluster that a write covers, and where the cluster is to be.
  struct Change {
    std::uint64_t cluster = 0;
    std::uint64_t begin = 0, end = 0;  // bytes in the cluster
    bool moves = false, fresh = false;
  };
  int fill_around(const Change& change, const Cluster& old, Cluster& next) noexcept;
  int copy_part(std::uint64_t offset, std::uint64_t length, std::uint64_t host, bool fresh) noexcept;
  int set_cluster(std::uint64_t cluster, const Cluster& old, const Cluster& next) noexcept;
  int release(const Cluster& old) noexcept;

  // Copying up (file_copy_up.cpp)
  int copy_up(std::uint64_t offset, std::uint64_t length) noexcept;
  int copy_up_piece(std::uint64_t offset, std::uint64_t length) noexcept;

  // Zeroing (file_zero.cpp)
  enum class WrittenZeros : std::uint8_t { where_needed, everywhere };
  int zero_locked(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept;
  int zero_cluster(std::uint64_t cluster, std::uint32_t subclusters, std::uint64_t end,
                   bool may_unmap) noexcept;
  int write_zero_bytes(std::uint64_t offset, std::uint64_t length,
                       WrittenZeros which = WrittenZeros::where_needed) noexcept;
  int discard_locked(std::uint64_t offset, std::uint64_t length) noexcept;
  int discard_cluster(std::uint64_t cluster) noexcept;

  // Growing and shrinking (file_resize.cpp)
  void grow_l1(std::uint64_t entries);
  int forget_clusters(std::uint64_t first) noexcept;
  void grow(std::uint64_t bytes);
  void shrink(std::uint64_t bytes);
  void set_size(std::uint64_t bytes);
  int preallocate_clusters() noexcept;
  void check(int error, const char* what) const;

  // The external data is a raw image by itself.
  bool has_raw_data() const noexcept { return data_ && (header().autoclear & kRawExternalData) != 0; }
  HostFile& data() const noexcept { return data_ ? *data_ : *file_; }
  int finish(int error) noexcept;
  bool covers_backing(std::uint64_t offset) const noexcept { return backing_ && offset < backing_->size(); }

  const std::string name_;
  const FileOptions options_;
  std::unique_ptr<HostFile> file_, data_;
  std::shared_ptr<Layer> backing_;
  std::unique_ptr<Metadata> metadata_;
  Geometry geometry_;
  std::atomic<std::uint64_t> size_{0};
  std::atomic<std::uint64_t> data_end_{0};  // the file of the data is at least this long
  mutable std::mutex owner_;
  std::unique_ptr<Decompressor> decompressor_;
  std::vector<std::byte> buffer_;  // for copying
  std::vector<std::byte> copied_up_;
  std::vector<std::byte> unpacked_;  // the last compressed cluster that was read
  std::vector<std::byte> packed_;
  std::uint64_t unpacked_host_ = ~std::uint64_t{0};
};

}  // namespace warren::vmm::block::qcow2
