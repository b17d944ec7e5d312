// The virtio block device (virtio 1.2 §5.2) on a disk image.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/disk.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct BlockOptions {
  block::DiskOptions disk;
  bool packed = false;
  std::uint16_t queues = 1;
  std::uint16_t queue_size = 256;
};

struct BlockState {
  std::uint32_t version = 1;
  bool writeback = true;
};

class Block final : public ServedDevice {
 public:
  // `counters` and what the options name outlive the device.
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

  // Its size changes through resize() here or there: the guest is told (§5.2.5).
  block::Disk& disk() noexcept { return disk_; }
  const block::Disk& disk() const noexcept { return disk_; }

  // The rest is the control thread's.
  BlockState save() const noexcept { return {.writeback = writeback_.load()}; }
  void restore(const BlockState& state) noexcept { writeback_.store(state.writeback); }
  void inspect(InspectNode& node) const override;

 private:
  class QueueWorker;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  bool writes_through() const noexcept;
  block::Disk disk_;
  const BlockOptions options_;
  std::atomic<bool> writeback_{true};
  std::vector<std::unique_ptr<QueueWorker>> workers_;
};

}  // namespace warren::vmm::virtio
