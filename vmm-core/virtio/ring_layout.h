// The virtqueues as they lie in guest memory (virtio 1.2 §2.7, §2.8). All integers are little-endian, as the
// hosts Warren runs on.
#pragma once

#include <bit>
#include <cstdint>

namespace warren::vmm::virtio {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::uint16_t kMaximumQueueSize = 1024;  // what we offer; the specification allows 32768

// Split virtqueue (§2.7.5).
struct SplitDescriptor {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t flags;
  std::uint16_t next;
};
static_assert(sizeof(SplitDescriptor) == 16);

struct UsedElement {
  std::uint32_t id;
  std::uint32_t length;
};
static_assert(sizeof(UsedElement) == 8);

// Packed virtqueue (§2.8.13).
struct PackedDescriptor {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t id;
  std::uint16_t flags;
};
static_assert(sizeof(PackedDescriptor) == 16);

struct PackedEvent {
  std::uint16_t offset_and_wrap;
  std::uint16_t flags;
};
static_assert(sizeof(PackedEvent) == 4);

inline constexpr std::uint16_t kDescriptorNext = 1 << 0;
inline constexpr std::uint16_t kDescriptorWrite = 1 << 1;
inline constexpr std::uint16_t kDescriptorIndirect = 1 << 2;
inline constexpr std::uint16_t kPackedAvailable = 1 << 7;
inline constexpr std::uint16_t kPackedUsed = 1 << 15;

inline constexpr std::uint16_t kAvailNoInterrupt = 1;  // flags of the split avail ring
inline constexpr std::uint16_t kUsedNoNotify = 1;      // flags of the split used ring

inline constexpr std::uint16_t kEventsEnabled = 0;  // flags of the packed event structures
inline constexpr std::uint16_t kEventsDisabled = 1;
inline constexpr std::uint16_t kEventsAtDescriptor = 2;

// Sizes of the three parts of a split ring with `size` entries (§2.7), with the event fields that may follow.
constexpr std::uint64_t descriptor_table_size(std::uint16_t size) noexcept {
  return std::uint64_t{16} * size;
}
constexpr std::uint64_t avail_ring_size(std::uint16_t size) noexcept {
  return 6 + std::uint64_t{2} * size;
}
constexpr std::uint64_t used_ring_size(std::uint16_t size) noexcept {
  return 6 + std::uint64_t{8} * size;
}

}  // namespace warren::vmm::virtio
