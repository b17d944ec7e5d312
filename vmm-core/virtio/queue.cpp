#include "vmm-core/virtio/queue.h"

#include <atomic>
#include <bit>

namespace warren::vmm::virtio {
namespace {

// A descriptor may cross a boundary between regions of RAM, and so take more than one range.
constexpr std::size_t kMaximumRanges = std::size_t{2} * kMaximumQueueSize;
// The longest a whole chain may be (§2.6: the sum is at most 2^32 bytes).
constexpr std::uint64_t kMaximumChainBytes = std::uint64_t{1} << 32;

constexpr std::uint64_t kAvailIndex = 2, kAvailEntries = 4;
constexpr std::uint64_t kUsedIndex = 2, kUsedEntries = 4;

// Whether `event` was passed on the way from `before` to `now` (§2.7.10).
bool passed(std::uint16_t event, std::uint16_t now, std::uint16_t before) noexcept {
  return static_cast<std::uint16_t>(now - event - 1) < static_cast<std::uint16_t>(now - before);
}

}  // namespace

void Ticket::complete(std::uint32_t written) noexcept {
  if (queue_ != nullptr) std::exchange(queue_, nullptr)->finish(id_, slots_, written, generation_);
}

Queue::Queue(GuestMemory& memory) : memory_(memory) {
  ranges_.reserve(kMaximumRanges);
}

bool Queue::activate(const QueueConfiguration& configuration, const QueuePosition& position) noexcept {
  deactivate();
  const std::uint16_t size = configuration.size;
  if (size == 0 || size > kMaximumQueueSize) return false;
  const std::uint64_t driver_size = configuration.packed ? sizeof(PackedEvent) : avail_ring_size(size);
  const std::uint64_t device_size = configuration.packed ? sizeof(PackedEvent) : used_ring_size(size);
  if (!configuration.packed && !std::has_single_bit(size)) return false;
  // Alignments of §2.7 and §2.8.
  const std::uint64_t driver_alignment = configuration.packed ? 4 : 2;
  if (configuration.descriptors.value % 16 != 0 || configuration.driver.value % driver_alignment != 0 ||
      configuration.device.value % 4 != 0) {
    return false;
  }
  if (!memory_.contains(configuration.descriptors, descriptor_table_size(size)) ||
      !memory_.contains(configuration.driver, driver_size) ||
      !memory_.contains(configuration.device, device_size)) {
    return false;
  }
  configuration_ = configuration;
  position_ = position;
  if (configuration.packed) {
    position_.next_available %= size;
    position_.next_used %= size;
  }
  mark_end();
  signalled_used_ = position_.next_used;
  signalled_wrap_ = position_.used_wrap;
  returned_since_signal_ = false;
  in_flight_ = 0;
  broken_ = false;
  active_ = true;
  return true;
}

void Queue::deactivate() noexcept {
  ++generation_;
  active_ = false;
  broken_ = false;
  in_flight_ = 0;
  position_ = {};
}

bool Queue::pop(Chain& chain) noexcept {
  unsigned refused = 0;
  while (active_ && !broken_ && refused < kMostRefused) {
    Head head;
    const Taken taken = configuration_.packed ? take_packed(head) : take_split(head);
    mark_end();
    if (taken == Taken::nothing) return false;
    // From here on the chain is out: in flight until it is returned.
    ++in_flight_;
    ++popped_;
    if (taken == Taken::malformed) {
      ++malformed_;
      ++refused;
      finish(head.id, head.slots, 0, generation_);
      continue;
    }
    chain.ticket = Ticket(*this, head.id, head.slots, position_.next_available, generation_);
    chain.readable = std::span<const iovec>(ranges_).first(readable_count_);
    chain.writable = std::span<const iovec>(ranges_).subspan(readable_count_);
    chain.readable_bytes = readable_bytes_;
    chain.writable_bytes = writable_bytes_;
    return true;
  }
  return false;
}

void Queue::push_back(Chain& chain) noexcept {
  Ticket& ticket = chain.ticket;
  if (ticket.queue_ != this || ticket.generation_ != generation_) return;
  // Behind it is one that was returned: whoever goes on from before it would see that one again.
  if (ticket.end_ != position_.next_available) return ticket.complete(0);
  ticket.queue_ = nullptr;
  --in_flight_;
  --popped_;
  if (configuration_.packed) {
    if (position_.next_available < ticket.slots_) {
      position_.next_available = static_cast<std::uint16_t>(position_.next_available + configuration_.size);
      position_.available_wrap = !position_.available_wrap;
    }
    position_.next_available = static_cast<std::uint16_t>(position_.next_available - ticket.slots_);
  } else {
    --position_.next_available;
  }
}

void Queue::begin_walk() noexcept {
  ranges_.clear();
  readable_count_ = 0;
  readable_bytes_ = writable_bytes_ = 0;
  seen_writable_ = false;
}

bool Queue::add_segment(std::uint64_t address, std::uint32_t length, bool writable) noexcept {
  // All readable descriptors come before the writable ones (§2.7.4.2, §2.8.5), and none is empty.
  if (length == 0 || (seen_writable_ && !writable)) return false;
  if (readable_bytes_ + writable_bytes_ + length > kMaximumChainBytes) return false;
  if (!memory_.slices(GuestAddress{address}, length, ranges_, kMaximumRanges)) return false;
  if (writable) {
    seen_writable_ = true;
    writable_bytes_ += length;
  } else {
    readable_bytes_ += length;
    readable_count_ = ranges_.size();
  }
  return true;
}

// --- Split
// ------------------------------------------------------------------------------------------------------

Queue::Taken Queue::take_split(Head& head) noexcept {
  const auto index = memory_.load_acquire_u16(GuestAddress{configuration_.driver.value + kAvailIndex});
  if (!index) {
    break_queue();
    return Taken::nothing;
  }
  const std::uint16_t waiting = static_cast<std::uint16_t>(*index - position_.next_available);
  if (waiting == 0) return Taken::nothing;
  if (waiting > configuration_.size) {
    break_queue();
    return Taken::nothing;
  }
  const std::uint64_t slot = position_.next_available % configuration_.size;
  const auto id = memory_.read_object<std::uint16_t>(
      GuestAddress{configuration_.driver.value + kAvailEntries + slot * sizeof(std::uint16_t)});
  // A head outside the table cannot even be returned.
  if (!id || *id >= configuration_.size) {
    break_queue();
    return Taken::nothing;
  }
  ++position_.next_available;
  head.id = *id;
  return walk_split(*id) ? Taken::chain : Taken::malformed;
}

bool Queue::walk_split(std::uint16_t first) noexcept {
  begin_walk();
  std::uint16_t at = first;
  for (std::uint32_t count = 0; count < configuration_.size; ++count) {
    const auto descriptor = memory_.read_object<SplitDescriptor>(
        GuestAddress{configuration_.descriptors.value + std::uint64_t{at} * 16});
    if (!descriptor) return false;
    const bool has_next = (descriptor->flags & kDescriptorNext) != 0;
    if ((descriptor->flags & kDescriptorIndirect) != 0) {
      // Not with NEXT, and only when negotiated (§2.7.5.3.1).
      return configuration_.indirect && !has_next && walk_indirect_split(*descriptor);
    }
    if (!add_segment(descriptor->address, descriptor->length, (descriptor->flags & kDescriptorWrite) != 0))
      return false;
    if (!has_next) return true;
    if (descriptor->next >= configuration_.size) return false;
    at = descriptor->next;
  }
  return false;  // longer than the queue: a loop
}

bool Queue::walk_indirect_split(const SplitDescriptor& table) noexcept {
  const std::uint32_t entries = table.length / sizeof(SplitDescriptor);
  if (table.length % sizeof(SplitDescriptor) != 0 || entries == 0 || entries > kMaximumQueueSize)
    return false;
  if (!memory_.contains(GuestAddress{table.address}, table.length)) return false;
  std::uint32_t at = 0;
  for (std::uint32_t count = 0; count < entries; ++count) {
    // In RAM whole, so the sum does not overflow.
    const auto descriptor =
        memory_.read_object<SplitDescriptor>(GuestAddress{table.address + std::uint64_t{at} * 16});
    if (!descriptor || (descriptor->flags & kDescriptorIndirect) != 0) return false;
    if (!add_segment(descriptor->address, descriptor->length, (descriptor->flags & kDescriptorWrite) != 0))
      return false;
    if ((descriptor->flags & kDescriptorNext) == 0) return true;
    if (descriptor->next >= entries) return false;
    at = descriptor->next;
  }
  return false;
}

void Queue::push_used_split(std::uint16_t id, std::uint32_t written) noexcept {
  const std::uint64_t slot = position_.next_used % configuration_.size;
  const UsedElement element{id, written};
  const GuestAddress place{configuration_.device.value + kUsedEntries + slot * sizeof(UsedElement)};
  ++position_.next_used;
  // Both were checked to be RAM at activation.
  if (!memory_.write_object(place, element) ||
      !memory_.store_release_u16(GuestAddress{configuration_.device.value + kUsedIndex},
                                 position_.next_used)) {
    break_queue();
  }
}

bool Queue::interrupt_wanted_split() noexcept {
  if (configuration_.event_index) {
    const auto event = memory_.load_acquire_u16(
        GuestAddress{configuration_.driver.value + kAvailEntries + std::uint64_t{2} * configuration_.size});
    return event && passed(*event, position_.next_used, signalled_used_);
  }
  const auto flags = memory_.load_acquire_u16(configuration_.driver);
  return flags && (*flags & kAvailNoInterrupt) == 0;
}

// --- Packed
// -----------------------------------------------------------------------------------------------------

Queue::Taken Queue::take_packed(Head& head) noexcept {
  std::uint16_t at = position_.next_available;
  bool wrap = position_.available_wrap;
  begin_walk();
  bool well_formed = true;
  for (std::uint32_t count = 0; count < configuration_.size; ++count) {
    const GuestAddress place{configuration_.descriptors.value + std::uint64_t{at} * sizeof(PackedDescriptor)};
    if (count == 0) {
      // The flags decide whether there is anything, before the rest is looked at (§2.8.1).
      const auto flags =
          memory_.load_acquire_u16(GuestAddress{place.value + offsetof(PackedDescriptor, flags)});
      if (!flags) break;
      const bool available =
          ((*flags & kPackedAvailable) != 0) == wrap && ((*flags & kPackedUsed) != 0) != wrap;
      if (!available) return Taken::nothing;
    }
    const auto descriptor = memory_.read_object<PackedDescriptor>(place);
    if (!descriptor) break;
    at = static_cast<std::uint16_t>(at + 1);
    if (at == configuration_.size) {
      at = 0;
      wrap = !wrap;
    }
    const bool has_next = (descriptor->flags & kDescriptorNext) != 0;
    if ((descriptor->flags & kDescriptorIndirect) != 0) {
      well_formed = well_formed && configuration_.indirect && !has_next && count == 0 &&
                    walk_indirect_packed(descriptor->address, descriptor->length);
    } else {
      well_formed = well_formed && add_segment(descriptor->address, descriptor->length,
                                               (descriptor->flags & kDescriptorWrite) != 0);
    }
    if (has_next) continue;
    position_.next_available = at;
    position_.available_wrap = wrap;
    head = {descriptor->id, static_cast<std::uint16_t>(count + 1)};
    return well_formed ? Taken::chain : Taken::malformed;
  }
  break_queue();  // a list without end has no id to return
  return Taken::nothing;
}

bool Queue::walk_indirect_packed(std::uint64_t address, std::uint32_t length) noexcept {
  const std::uint32_t entries = length / sizeof(PackedDescriptor);
  if (length % sizeof(PackedDescriptor) != 0 || entries == 0 || entries > kMaximumQueueSize) return false;
  if (!memory_.contains(GuestAddress{address}, length)) return false;
  for (std::uint32_t i = 0; i < entries; ++i) {
    const auto descriptor =
        memory_.read_object<PackedDescriptor>(GuestAddress{address + std::uint64_t{i} * 16});
    // Of the flags only WRITE has a meaning here (§2.8.7); another indirect table is refused.
    if (!descriptor || (descriptor->flags & kDescriptorIndirect) != 0) return false;
    if (!add_segment(descriptor->address, descriptor->length, (descriptor->flags & kDescriptorWrite) != 0))
      return false;
  }
  return true;
}

void Queue::push_used_packed(std::uint16_t id, std::uint16_t slots, std::uint32_t written) noexcept {
  const GuestAddress place{configuration_.descriptors.value +
                           std::uint64_t{position_.next_used} * sizeof(PackedDescriptor)};
  const std::uint16_t flags = static_cast<std::uint16_t>(
      (position_.used_wrap ? kPackedAvailable | kPackedUsed : 0) | (written != 0 ? kDescriptorWrite : 0));
  // Id and length are seen before the flags that make them valid. Checked to be RAM at activation.
  if (!memory_.write_object(GuestAddress{place.value + offsetof(PackedDescriptor, length)}, written) ||
      !memory_.write_object(GuestAddress{place.value + offsetof(PackedDescriptor, id)}, id) ||
      !memory_.store_release_u16(GuestAddress{place.value + offsetof(PackedDescriptor, flags)}, flags)) {
    break_queue();
  }
  std::uint32_t next = std::uint32_t{position_.next_used} + slots;
  if (next >= configuration_.size) {
    next -= configuration_.size;
    position_.used_wrap = !position_.used_wrap;
  }
  position_.next_used = static_cast<std::uint16_t>(next);
}

bool Queue::interrupt_wanted_packed() noexcept {
  const auto event = memory_.read_object<PackedEvent>(configuration_.driver);
  if (!event) return false;
  if (event->flags == kEventsDisabled) return false;
  if (event->flags != kEventsAtDescriptor || !configuration_.event_index) return true;
  // Distances in descriptors; a wrap bit that differs from ours is a lap behind (§2.8.10).
  const std::uint16_t size = configuration_.size;
  std::uint16_t offset = event->offset_and_wrap & 0x7fff;
  const bool wrap = (event->offset_and_wrap & 0x8000) != 0;
  if (wrap != position_.used_wrap) offset = static_cast<std::uint16_t>(offset - size);
  const std::uint16_t before = signalled_wrap_ == position_.used_wrap
                                   ? signalled_used_
                                   : static_cast<std::uint16_t>(signalled_used_ - size);
  return passed(offset, position_.next_used, before);
}

// --- Both
// -------------------------------------------------------------------------------------------------------

void Queue::finish(std::uint16_t id, std::uint16_t slots, std::uint32_t written,
                   std::uint32_t generation) noexcept {
  if (generation != generation_ || !active_) return;
  --in_flight_;
  ++returned_;
  returned_since_signal_ = true;
  if (broken_) return;
  if (configuration_.packed) {
    push_used_packed(id, slots, written);
  } else {
    push_used_split(id, written);
  }
}

bool Queue::take_interrupt() noexcept {
  if (!active_ || broken_ || !returned_since_signal_) return false;
  // What was returned is visible before the driver's wish is read, or both could sleep (§2.7.7.2).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const bool wanted = configuration_.packed ? interrupt_wanted_packed() : interrupt_wanted_split();
  signalled_used_ = position_.next_used;
  signalled_wrap_ = position_.used_wrap;
  returned_since_signal_ = false;
  if (wanted) ++interrupts_;
  return wanted;
}

void Queue::disable_notifications() noexcept {
  if (!active_ || broken_) return;
  if (configuration_.packed) {
    const PackedEvent event{0, kEventsDisabled};
    if (!memory_.write_object(configuration_.device, event)) break_queue();
  } else if (!configuration_.event_index) {
    if (!memory_.store_release_u16(configuration_.device, kUsedNoNotify)) break_queue();
  }
  // With the event index of a split ring, an event that is not moved on suppresses by itself.
}

bool Queue::enable_notifications() noexcept {
  if (!active_ || broken_) return false;
  if (configuration_.packed) {
    PackedEvent event{0, kEventsEnabled};
    if (configuration_.event_index) {
      event.flags = kEventsAtDescriptor;
      event.offset_and_wrap = static_cast<std::uint16_t>(end_.index | (end_.wrap ? 0x8000 : 0));
    }
    if (!memory_.write_object(GuestAddress{configuration_.device.value}, event)) break_queue();
  } else if (configuration_.event_index) {
    const GuestAddress place{configuration_.device.value + kUsedEntries +
                             std::uint64_t{8} * configuration_.size};
    if (!memory_.store_release_u16(place, end_.index)) break_queue();
  } else {
    if (!memory_.store_release_u16(configuration_.device, 0)) break_queue();
  }
  // The wish is visible before the ring is looked at once more (§2.7.10.1).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !broken_ && has_more();
}

bool Queue::has_more() noexcept {
  if (!configuration_.packed) {
    const auto index = memory_.load_acquire_u16(GuestAddress{configuration_.driver.value + kAvailIndex});
    return index && *index != end_.index;
  }
  const auto flags = memory_.load_acquire_u16(
      GuestAddress{configuration_.descriptors.value + std::uint64_t{end_.index} * sizeof(PackedDescriptor) +
                   offsetof(PackedDescriptor, flags)});
  return flags && ((*flags & kPackedAvailable) != 0) == end_.wrap &&
         ((*flags & kPackedUsed) != 0) != end_.wrap;
}

void Queue::inspect(InspectNode& node) const {
  node.add("active", active_);
  node.add("broken", broken_);
  node.add("size", std::uint64_t{configuration_.size});
  node.add("packed", configuration_.packed);
  node.add("next_available", std::uint64_t{position_.next_available});
  node.add("next_used", std::uint64_t{position_.next_used});
  node.add("in_flight", in_flight_);
  node.add("popped", popped_);
  node.add("returned", returned_);
  node.add("interrupts", interrupts_);
  node.add("malformed_chains", malformed_);
}

}  // namespace warren::vmm::virtio
