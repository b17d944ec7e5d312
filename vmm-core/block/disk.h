// A disk or drive as every bus has it: an image, or none while a drive is empty, with limits, error policies,
// counters and news. What a device puts before it is only the form of requests (virtio/block.h,
// devices/ahci_controller.h).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/block/disk_news.h"
#include "vmm-core/block/disk_policy.h"
#include "vmm-core/block/image.h"
#include "vmm-core/block/throttle.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::block {

class DiskStream;
class WriteMap;

struct DiskOptions {
  enum class Flush { honour, always, ignore };
  Flush flush = Flush::honour;
  bool discard = false;  // discards, and zeroing that may unmap, give space back
  enum class DetectZeroes { off, on, unmap };
  DetectZeroes detect_zeroes = DetectZeroes::off;  // a write of zeros becomes write_zeroes
  OnDiskError read_error = OnDiskError::report;
  OnDiskError write_error = OnDiskError::stop_for_no_space;  // of everything but reads
  std::uint32_t logical_block_size = 512;
  std::uint32_t physical_block_size = 512;
  std::string serial;                // at most 20 bytes; on SCSI 36
  std::uint16_t rotation_rate = 0;   // a minute, for the guest to know; 1: nothing turns; 0: not said
  std::optional<std::uint64_t> wwn;  // NAA, 64 bits; on ATA (SCSI has it with its identity)
  DiskListener* listener = nullptr;
  Throttle* throttle = nullptr;
};

class Disk final : public Inspectable {
 public:
  // `image`: none for an empty drive. `streams`: how many DiskStreams there will be. `counters`, the listener
  // (or none) and the throttle (or none) outlive the disk. Throws Error.
  Disk(std::string name, std::unique_ptr<Image> image, const DiskOptions& options, BlockCounters& counters,
       std::size_t streams);
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  ~Disk();

  const std::string& name() const noexcept { return name_; }
  const DiskOptions& options() const noexcept { return options_; }
  BlockCounters& counters() noexcept { return counters_; }

  // Of no image: 0 bytes, read-only.
  bool has_image() const noexcept { return image_ != nullptr; }
  std::uint64_t size() const noexcept { return image_ ? image_->size() : 0; }
  // For whoever works on it as what it is, on the control thread or while it is held (disk_hold.h).
  Image* image() const noexcept { return image_.get(); }
  bool is_read_only() const noexcept { return !image_ || image_->read_only(); }
  // Whether both are multiples of the logical block, and all of it lies in the image.
  bool contains(std::uint64_t offset, std::uint64_t length) const noexcept;

  // The rest is the control thread's.
  DiskNews take_news() noexcept { return news_.take(); }
  // Of the last request that stopped the machine and waits to be tried again: an errno, or 0.
  int stalled_error() const noexcept { return stalled_error_.load(std::memory_order_relaxed); }
  // A write that ends beyond `bytes` is told of, once; 0: none is.
  void set_threshold(std::uint64_t bytes) noexcept { threshold_.store(bytes, std::memory_order_relaxed); }
  std::uint64_t threshold() const noexcept { return threshold_.load(std::memory_order_relaxed); }
  // Called when the size has changed, for devices that tell their guest.
  void set_resize_handler(std::function<void()> resized) { resized_ = std::move(resized); }
  // Throws Error.
  void resize(std::uint64_t bytes);
  // Tells the guest of the size that its image has by now, unless it knows.
  void tell_size();
  // Other limits, or the same with new figures, for what waits too; null: none.
  void set_throttle(Throttle* throttle) noexcept;

  void inspect(InspectNode& node) const override;

 private:
  friend class DiskHold;
  friend class DiskStream;

  DiskFault judge(bool reads, int error) const noexcept;
  void tell(auto news) noexcept {
    if (news_.post(news) && options_.listener != nullptr) options_.listener->disk_has_news(*this);
  }
  void note_write(std::uint64_t end) noexcept;

  // Streams tell of their life, under the lock; one that is held goes only when the hold has ended.
  void join(DiskStream& stream);
  void leave(DiskStream& stream) noexcept;
  bool has(const DiskStream* stream) const noexcept;

  const std::string name_;
  std::unique_ptr<Image> image_;  // changed by DiskStream::replace_image alone, under the lock of streams
  const DiskOptions options_;
  BlockCounters& counters_;
  std::uint64_t told_size_;
  std::function<void()> resized_;
  std::atomic<Throttle*> throttle_;
  std::atomic<std::uint64_t> threshold_{0};
  std::atomic<int> stalled_error_{0};
  DiskMailbox news_;
  mutable std::mutex streams_mutex_;  // taken by nobody per request
  std::condition_variable released_;
  std::vector<DiskStream*> streams_;
  bool held_ = false;                   // new streams begin so
  bool has_holder_ = false;             // who knows streams that are not to go
  WriteMap* write_map_ = nullptr;       // or none
  std::vector<FileDescriptor> alarms_;  // a timer for each stream: when the next throttled request may begin
};

}  // namespace warren::vmm::block
