#include "vmm-core/virtio/fake_driver.h"

#include <utility>

namespace warren::vmm::virtio {

FakeDriver::FakeDriver(GuestMemory& memory, std::uint16_t size, bool packed, std::uint64_t base)
    : memory_(memory),
      size_(size),
      packed_(packed),
      descriptors_(base),
      driver_(base + 0x5000),
      device_(base + 0x8000),
      chains_(size),
      free_slots_(size) {
  for (std::uint16_t i = 0; i < size; ++i) free_.push_back(static_cast<std::uint16_t>(size - 1 - i));
}

QueueConfiguration FakeDriver::configuration(bool indirect, bool event_index) const {
  return {size_, {descriptors_}, {driver_}, {device_}, packed_, indirect, event_index};
}

std::optional<std::uint16_t> FakeDriver::offer(const std::vector<FakeBuffer>& buffers,
                                               std::optional<std::uint64_t> table) {
  const std::size_t needed = table ? 1 : buffers.size();
  if (packed_ ? free_slots_ < needed : free_.size() < needed) return std::nullopt;
  return packed_ ? offer_packed(buffers, table) : offer_split(buffers, table);
}

std::uint16_t FakeDriver::offer_split(const std::vector<FakeBuffer>& buffers,
                                      std::optional<std::uint64_t> table) {
  std::vector<std::uint16_t> used;
  const std::size_t needed = table ? 1 : buffers.size();
  for (std::size_t i = 0; i < needed; ++i) {
    used.push_back(free_.back());
    free_.pop_back();
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    SplitDescriptor descriptor{buffers[i].address, buffers[i].length, 0, 0};
    if (buffers[i].writable) descriptor.flags |= kDescriptorWrite;
    if (!last) {
      descriptor.flags |= kDescriptorNext;
      descriptor.next = table ? static_cast<std::uint16_t>(i + 1) : used[i + 1];
    }
    if (table) {
      put(*table + 16 * i, descriptor);
    } else {
      write_split_descriptor(used[i], descriptor);
    }
  }
  if (table) {
    write_split_descriptor(used[0],
                           {*table, static_cast<std::uint32_t>(16 * buffers.size()), kDescriptorIndirect, 0});
  }
  chains_[used[0]] = used;
  offer_split_head(used[0]);
  return used[0];
}

void FakeDriver::offer_split_head(std::uint16_t head) {
  put(driver_ + 4 + std::uint64_t{2} * (avail_index_ % size_), head);
  set_split_avail_index(static_cast<std::uint16_t>(avail_index_ + 1));
}

void FakeDriver::set_split_avail_index(std::uint16_t index) {
  avail_index_ = offered_ = index;
  if (!memory_.store_release_u16(GuestAddress{driver_ + 2}, index)) __builtin_trap();
}

std::uint16_t FakeDriver::packed_available_flags() const {
  return wrap_ ? kPackedAvailable : kPackedUsed;
}

std::uint16_t FakeDriver::offer_packed(const std::vector<FakeBuffer>& buffers,
                                       std::optional<std::uint64_t> table) {
  const std::uint16_t id = next_;
  const std::size_t needed = table ? 1 : buffers.size();
  std::uint16_t at = next_;
  bool wrap = wrap_;
  std::vector<std::pair<std::uint16_t, PackedDescriptor>> writes;
  for (std::size_t i = 0; i < needed; ++i) {
    PackedDescriptor descriptor{};
    descriptor.id = id;
    descriptor.flags = wrap ? kPackedAvailable : kPackedUsed;
    if (table) {
      descriptor.address = *table;
      descriptor.length = static_cast<std::uint32_t>(16 * buffers.size());
      descriptor.flags |= kDescriptorIndirect;
    } else {
      descriptor.address = buffers[i].address;
      descriptor.length = buffers[i].length;
      if (buffers[i].writable) descriptor.flags |= kDescriptorWrite;
      if (i + 1 != needed) descriptor.flags |= kDescriptorNext;
    }
    writes.emplace_back(at, descriptor);
    if (++at == size_) {
      at = 0;
      wrap = !wrap;
    }
  }
  for (std::size_t i = 0; table && i < buffers.size(); ++i) {
    const std::uint16_t flags = buffers[i].writable ? kDescriptorWrite : std::uint16_t{0};
    put(*table + 16 * i, PackedDescriptor{buffers[i].address, buffers[i].length, 0, flags});
  }
  // The first one last: it makes the whole list available.
  for (auto it = writes.rbegin(); it != writes.rend(); ++it) write_packed_descriptor(it->first, it->second);
  chains_[id].assign(needed, 0);
  free_slots_ = static_cast<std::uint16_t>(free_slots_ - needed);
  offered_ = static_cast<std::uint16_t>(offered_ + needed);
  next_ = at;
  wrap_ = wrap;
  return id;
}

void FakeDriver::skip_packed(std::uint16_t slots) {
  for (; slots != 0; --slots) {
    if (++next_ == size_) {
      next_ = 0;
      wrap_ = !wrap_;
    }
  }
}

std::optional<FakeUsed> FakeDriver::take_used() {
  if (!packed_) {
    if (memory_.load_acquire_u16({device_ + 2}) == used_index_) return std::nullopt;
    const auto element = get<UsedElement>(device_ + 4 + std::uint64_t{8} * (used_index_ % size_));
    ++used_index_;
    const auto id = static_cast<std::uint16_t>(element.id);
    if (id < size_) {
      for (const auto index : chains_[id]) free_.push_back(index);
      chains_[id].clear();
    }
    return FakeUsed{id, element.length};
  }
  const std::uint64_t place = descriptors_ + std::uint64_t{16} * next_used_;
  // The flags first: what they say makes the rest valid (§2.8.1).
  const std::uint16_t flags = memory_.load_acquire_u16({place + 14}).value_or(0);
  const bool available = (flags & kPackedAvailable) != 0;
  const bool used = (flags & kPackedUsed) != 0;
  if (available != used || used != used_wrap_) return std::nullopt;
  const auto descriptor = get<PackedDescriptor>(place);
  const std::size_t slots =
      descriptor.id < size_ && !chains_[descriptor.id].empty() ? chains_[descriptor.id].size() : 1;
  for (std::size_t i = 0; i < slots; ++i) {
    if (++next_used_ == size_) {
      next_used_ = 0;
      used_wrap_ = !used_wrap_;
    }
  }
  free_slots_ = static_cast<std::uint16_t>(free_slots_ + slots);
  return FakeUsed{descriptor.id, descriptor.length};
}

void FakeDriver::write_split_descriptor(std::uint16_t index, const SplitDescriptor& descriptor) {
  put(descriptors_ + std::uint64_t{16} * index, descriptor);
}

void FakeDriver::write_packed_descriptor(std::uint16_t index, const PackedDescriptor& descriptor) {
  const std::uint64_t place = descriptors_ + std::uint64_t{16} * index;
  put(place, descriptor.address);
  put(place + 8, descriptor.length);
  put(place + 12, descriptor.id);
  if (!memory_.store_release_u16(GuestAddress{place + 14}, descriptor.flags)) __builtin_trap();
}

void FakeDriver::set_interrupt_flags(std::uint16_t flags) {
  put(driver_ + (packed_ ? 2 : 0), flags);
}
void FakeDriver::set_used_event(std::uint16_t index) {
  put(driver_ + 4 + std::uint64_t{2} * size_, index);
}
std::uint16_t FakeDriver::notify_flags() const {
  return get<std::uint16_t>(device_ + (packed_ ? 2 : 0));
}

void FakeDriver::set_packed_event(std::uint16_t offset_and_wrap) {
  put(driver_, PackedEvent{offset_and_wrap, kEventsAtDescriptor});
}

std::uint16_t FakeDriver::device_word(std::uint64_t offset) const {
  return memory_.load_acquire_u16(GuestAddress{device_ + offset}).value_or(0);
}

bool FakeDriver::kick_wanted(bool event_index) {
  const std::uint16_t before = std::exchange(asked_, offered_);
  std::uint16_t event = 0;
  if (packed_) {
    const PackedEvent wish{device_word(0), device_word(2)};
    if (wish.flags != kEventsAtDescriptor) return wish.flags == kEventsEnabled;
    // As a running count: the descriptor lies in this lap of the driver, or in the one before.
    const bool same_lap = ((wish.offset_and_wrap & 0x8000) != 0) == wrap_;
    event = static_cast<std::uint16_t>(offered_ - next_ - (same_lap ? 0 : size_) +
                                       (wish.offset_and_wrap & 0x7fff));
  } else {
    if (!event_index) return (device_word(0) & kUsedNoNotify) == 0;
    event = device_word(4 + std::uint64_t{8} * size_);
  }
  return static_cast<std::uint16_t>(offered_ - event - 1) < static_cast<std::uint16_t>(offered_ - before);
}

}  // namespace warren::vmm::virtio
