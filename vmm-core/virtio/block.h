// The virtio block device (virtio 1.2 §5.2) on a disk image.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/image.h"
#include "vmm-core/block/throttle.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/virtio/block_news.h"
#include "vmm-core/virtio/block_policy.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct BlockOptions {
  enum class Flush { honour, always, ignore };
  Flush flush = Flush::honour;
  bool discard = false;  // discards, and zeroing that may unmap, give space back
  enum class DetectZeroes { off, on, unmap };
  DetectZeroes detect_zeroes = DetectZeroes::off;  // a write of zeros becomes write_zeroes
  OnBlockError read_error = OnBlockError::report;
  OnBlockError write_error = OnBlockError::stop_for_no_space;  // of everything but reads
  bool packed = false;
  std::uint16_t queues = 1;
  std::uint16_t queue_size = 256;
  std::uint32_t logical_block_size = 512;
  std::uint32_t physical_block_size = 512;
  std::string serial;  // at most 20 bytes
  BlockListener* listener = nullptr;
  block::Throttle* throttle = nullptr;
};

struct BlockState {
  std::uint32_t version = 1;
  bool writeback = true;
};

class Block final : public ServedDevice {
 public:
  // `counters`, `listener` (or none) and the throttle (or none) outlive the device.
  Block(std::string name, std::unique_ptr<block::Image> image, const BlockOptions& options,
        BlockCounters& counters, std::vector<EventThread*> threads);
  ~Block() override;

  DeviceType type() const noexcept override { return DeviceType::block; }
  std::uint64_t features() const noexcept override;
  void deactivate() noexcept override;
  bool offers_packed() const noexcept override { return options_.packed; }
  std::uint16_t queue_count() const noexcept override { return options_.queues; }
  std::uint16_t queue_size() const noexcept override { return options_.queue_size; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  // The rest is the control thread's.
  BlockNews take_news() noexcept { return news_.take(); }
  // Of the last request that stopped the machine and waits to be tried again: an errno, or 0.
  int stalled_error() const noexcept { return stalled_error_.load(std::memory_order_relaxed); }
  // A write that ends beyond `bytes` is told of, once; 0: none is.
  void set_threshold(std::uint64_t bytes) noexcept { threshold_.store(bytes, std::memory_order_relaxed); }
  std::uint64_t threshold() const noexcept { return threshold_.load(std::memory_order_relaxed); }
  // The guest is told of its new capacity (§5.2.5). Throws Error.
  void resize(std::uint64_t bytes);
  std::uint64_t size() const noexcept { return image_->size(); }
  // Other limits, or the same with new figures, for what waits too; null: none.
  void set_throttle(block::Throttle* throttle) noexcept;

  BlockState save() const noexcept { return {.writeback = writeback_.load()}; }
  void restore(const BlockState& state) noexcept { writeback_.store(state.writeback); }
  void inspect(InspectNode& node) const override;

 private:
  class QueueWorker;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  bool writes_through() const noexcept;
  void tell(auto news) noexcept {
    if (news_.post(news) && options_.listener != nullptr) options_.listener->block_has_news(*this);
  }
  void note_write(std::uint64_t end) noexcept;

  const std::unique_ptr<block::Image> image_;
  const BlockOptions options_;
  BlockCounters& counters_;
  std::atomic<bool> writeback_{true};
  std::atomic<block::Throttle*> throttle_;
  std::atomic<std::uint64_t> threshold_{0};
  std::atomic<int> stalled_error_{0};
  BlockMailbox news_;
  std::vector<FileDescriptor> alarms_;  // a timer for each queue: when the next throttled request may begin
  std::vector<std::unique_ptr<QueueWorker>> workers_;
};

}  // namespace warren::vmm::virtio
