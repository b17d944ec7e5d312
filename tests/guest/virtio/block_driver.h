// A virtio-blk driver (virtio 1.2 §5.2) for tests: one queue, requests built segment by segment.
#pragma once

#include <cstdint>
#include <span>

#include "tests/guest/virtio/device.h"

namespace guest {

namespace block {
inline constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8, kDiscard = 11, kWriteZeroes = 13;
inline constexpr std::uint8_t kOk = 0, kIoError = 1, kUnsupported = 2;
inline constexpr std::uint64_t kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlushFeature = 1 << 9,
                               kMultiQueue = 1 << 12, kDiscardFeature = 1 << 13,
                               kWriteZeroesFeature = 1 << 14;
inline constexpr std::uint32_t kSectorBytes = 512;

struct Header {
  std::uint32_t type;
  std::uint32_t reserved;
  std::uint64_t sector;
};
}  // namespace block

struct BlockResult {
  std::uint8_t status = 0xff;  // 0xff: the device wrote none
  std::uint32_t length = 0;    // of the used element
  bool completed = false;
};

class BlockDriver {
 public:
  // Negotiates `features` (those offered) and starts queue 0. Check ready().
  explicit BlockDriver(std::uint64_t features, std::uint16_t queue_size = 64,
                       std::uint16_t vector = kNoVector);
  // The same for one disk, without features.
  explicit BlockDriver(PciFunction& function);
  bool ready() const { return queue_ != nullptr; }
  VirtioDevice& device() { return device_; }
  Queue& queue() { return *queue_; }
  std::uint64_t capacity_sectors() const { return read64(device_.configuration()); }

  // One request with the data in `segments`, waited for.
  BlockResult request(std::uint32_t type, std::uint64_t sector, std::span<const Segment> segments,
                      bool indirect = false);
  BlockResult read(std::uint64_t sector, void* data, std::uint32_t bytes, bool indirect = false);
  BlockResult write(std::uint64_t sector, const void* data, std::uint32_t bytes, bool indirect = false);

 private:
  VirtioDevice device_;
  Queue* queue_ = nullptr;
};

// The content the host gives each sector of a test disk: 64 little-endian words of sector * 64 + n.
bool sector_is_original(const std::uint64_t* data, std::uint64_t sector);

}  // namespace guest
