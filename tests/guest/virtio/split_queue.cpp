#include "tests/guest/virtio/split_queue.h"

#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"

namespace guest {

SplitQueue::SplitQueue(std::uint16_t size, bool event_index)
    : Queue(size, event_index),
      descriptors_(allocate_array<SplitDescriptor>(size, 16)),
      available_(allocate_array<std::uint16_t>(size + 3u, 16)),
      used_(allocate_array<std::uint16_t>(size * 4u + 3, 16)) {
  descriptor_area_ = physical(descriptors_);
  driver_area_ = physical(available_);
  device_area_ = physical(used_);
}

std::uint16_t SplitQueue::add(std::span<const Segment> chain, bool indirect) {
  SplitDescriptor* table = descriptors_;
  std::uint16_t head = next_descriptor_ % size_, at = head;
  if (indirect) {
    table = allocate_array<SplitDescriptor>(chain.size(), 16);
    descriptors_[head] = {physical(table), static_cast<std::uint32_t>(chain.size() * 16), kDescriptorIndirect,
                          0};
    ++next_descriptor_;
    at = 0;
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    bool last = i + 1 == chain.size();
    auto next = static_cast<std::uint16_t>(indirect ? at + 1 : (at + 1) % size_);
    auto flags =
        static_cast<std::uint16_t>((chain[i].writable ? kDescriptorWrite : 0) | (last ? 0 : kDescriptorNext));
    table[at] = {chain[i].address, chain[i].length, flags, last ? std::uint16_t{0} : next};
    at = next;
    if (!indirect) ++next_descriptor_;
  }
  add_head(head);
  return head;
}

void SplitQueue::add_head(std::uint16_t head) {
  available_[2 + next_available_ % size_] = head;
  set_available_index(static_cast<std::uint16_t>(next_available_ + 1));
}

void SplitQueue::set_available_index(std::uint16_t index) {
  compiler_fence();  // x86 keeps stores in order
  next_available_ = index;
  available_[1] = index;
}

bool SplitQueue::needs_notification() {
  full_fence();  // the index before the look at the suppression (§2.7.13.4)
  auto before = notified_;
  notified_ = next_available_;
  if (!event_index_) return !(used_[0] & 1);
  std::uint16_t event = used_[2 + size_ * 4];
  return static_cast<std::uint16_t>(next_available_ - event - 1) <
         static_cast<std::uint16_t>(next_available_ - before);
}

bool SplitQueue::has_used() const {
  return used_[1] != next_used_;
}
std::uint16_t SplitQueue::used_index() const {
  return used_[1];
}

std::optional<UsedElement> SplitQueue::take_used() {
  if (!has_used()) return std::nullopt;
  compiler_fence();
  auto* element = &used_[2 + next_used_ % size_ * 4];
  UsedElement result{static_cast<std::uint32_t>(element[0] | element[1] << 16),
                     static_cast<std::uint32_t>(element[2] | element[3] << 16)};
  ++next_used_;
  return result;
}

void SplitQueue::request_interrupts(bool wanted) {
  available_[0] = wanted ? 0 : 1;
  // Without interest the event lies as far away as it can.
  available_[2 + size_] = wanted ? next_used_ : static_cast<std::uint16_t>(next_used_ - 1);
  full_fence();
}

}  // namespace guest
