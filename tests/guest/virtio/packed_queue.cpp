#include "tests/guest/virtio/packed_queue.h"

#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"

namespace guest {
namespace {

constexpr std::uint16_t kAvailable = 1 << 7, kUsed = 1 << 15;
constexpr std::uint16_t kEventsEnabled = 0, kEventsDisabled = 1, kEventsAtDescriptor = 2;

}  // namespace

PackedQueue::PackedQueue(std::uint16_t size, bool event_index)
    : Queue(size, event_index),
      ring_(allocate_array<PackedDescriptor>(size, 16)),
      driver_event_(allocate_array<std::uint16_t>(2, 4)),
      device_event_(allocate_array<std::uint16_t>(2, 4)),
      chain_lengths_(allocate_array<std::uint16_t>(size, 2)) {
  descriptor_area_ = physical(ring_);
  driver_area_ = physical(driver_event_);
  device_area_ = physical(device_event_);
}

// The available bit equals the driver's wrap counter, the used bit its inverse (§2.8.1).
std::uint16_t PackedQueue::availability() const {
  return available_wrap_ ? kAvailable : kUsed;
}

void PackedQueue::advance() {
  ++added_;
  if (++next_available_ == size_) {
    next_available_ = 0;
    available_wrap_ = !available_wrap_;
  }
}

void PackedQueue::add_raw(std::uint64_t address, std::uint32_t length, std::uint16_t id, std::uint16_t flags,
                          bool publish) {
  auto& descriptor = ring_[next_available_];
  descriptor.address = address;
  descriptor.length = length;
  descriptor.id = id;
  auto all_flags = static_cast<std::uint16_t>(flags | availability());
  if (publish) {
    compiler_fence();
    descriptor.flags = all_flags;
  } else {
    held_ = next_available_;
    held_flags_ = all_flags;
  }
  advance();
}

void PackedQueue::publish() {
  compiler_fence();
  ring_[held_].flags = held_flags_;
}

std::uint16_t PackedQueue::add(std::span<const Segment> chain, bool indirect) {
  auto id = static_cast<std::uint16_t>(next_id_++ % size_);
  if (indirect) {
    auto* table = allocate_array<PackedDescriptor>(chain.size(), 16);
    for (std::size_t i = 0; i < chain.size(); ++i)
      table[i] = {chain[i].address, chain[i].length, 0,
                  chain[i].writable ? kDescriptorWrite : std::uint16_t{0}};
    chain_lengths_[id] = 1;
    add_raw(physical(table), static_cast<std::uint32_t>(chain.size() * 16), id, kDescriptorIndirect);
    return id;
  }
  chain_lengths_[id] = static_cast<std::uint16_t>(chain.size());
  for (std::size_t i = 0; i < chain.size(); ++i) {
    auto flags = static_cast<std::uint16_t>((chain[i].writable ? kDescriptorWrite : 0) |
                                            (i + 1 == chain.size() ? 0 : kDescriptorNext));
    add_raw(chain[i].address, chain[i].length, id, flags, i != 0);
  }
  publish();
  return id;
}

bool PackedQueue::needs_notification() {
  full_fence();
  auto added = added_;
  added_ = 0;
  std::uint16_t flags = device_event_[1] & 3;
  if (flags != kEventsAtDescriptor || !event_index_) return flags != kEventsDisabled;
  // Both positions on a line where the device's wrap counter decides which lap the event is on.
  std::uint16_t event = device_event_[0] & 0x7fff;
  bool event_wrap = (device_event_[0] & 0x8000) != 0;
  auto position = next_available_;
  auto adjusted = static_cast<std::uint16_t>(event_wrap == available_wrap_ ? event : event - size_);
  return static_cast<std::uint16_t>(position - adjusted - 1) < added;
}

bool PackedQueue::has_used() const {
  std::uint16_t flags = ring_[next_used_].flags;
  bool available = (flags & kAvailable) != 0, used = (flags & kUsed) != 0;
  return available == used && used == used_wrap_;
}

std::optional<UsedElement> PackedQueue::take_used() {
  if (!has_used()) return std::nullopt;
  compiler_fence();
  UsedElement result{ring_[next_used_].id, ring_[next_used_].length};
  std::uint16_t taken = result.id < size_ ? chain_lengths_[result.id] : std::uint16_t{1};
  next_used_ = static_cast<std::uint16_t>(next_used_ + taken);
  if (next_used_ >= size_) {
    next_used_ = static_cast<std::uint16_t>(next_used_ - size_);
    used_wrap_ = !used_wrap_;
  }
  return result;
}

void PackedQueue::request_interrupts(bool wanted) {
  if (wanted && event_index_) {
    driver_event_[0] = static_cast<std::uint16_t>(next_used_ | (used_wrap_ ? 0x8000 : 0));
    compiler_fence();
    driver_event_[1] = kEventsAtDescriptor;
  } else {
    driver_event_[1] = wanted ? kEventsEnabled : kEventsDisabled;
  }
  full_fence();
}

}  // namespace guest
