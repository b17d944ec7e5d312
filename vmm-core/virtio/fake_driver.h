// The guest's side of a virtqueue for tests and fuzzing: builds chains in guest memory, split or packed,
// sound or not.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/virtio/queue.h"

namespace warren::vmm::virtio {

struct FakeBuffer {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  bool writable = false;
};

struct FakeUsed {
  std::uint16_t id = 0;
  std::uint32_t length = 0;
};

class FakeDriver {
 public:
  // Rings begin at `base`, which has room for them (0x10000 bytes).
  FakeDriver(GuestMemory& memory, std::uint16_t size, bool packed, std::uint64_t base = 0x1000);

  QueueConfiguration configuration(bool indirect = true, bool event_index = false) const;

  // Makes a chain available; nothing when the ring is full. With `table`, through an indirect table placed
  // there.
  std::optional<std::uint16_t> offer(const std::vector<FakeBuffer>& buffers,
                                     std::optional<std::uint64_t> table = std::nullopt);
  // The next chain the device returned.
  std::optional<FakeUsed> take_used();

  // --- Unsound things ---
  void write_split_descriptor(std::uint16_t index, const SplitDescriptor& descriptor);
  void write_packed_descriptor(std::uint16_t index, const PackedDescriptor& descriptor);
  void offer_split_head(std::uint16_t head);
  void set_split_avail_index(std::uint16_t index);
  // The flags that make a packed descriptor available now.
  std::uint16_t packed_available_flags() const;
  std::uint16_t packed_position() const { return next_; }
  void skip_packed(std::uint16_t slots);

  void set_interrupt_flags(std::uint16_t flags);  // split: avail.flags; packed: event flags
  void set_used_event(std::uint16_t index);       // split with event index
  void set_packed_event(std::uint16_t offset_and_wrap);
  std::uint16_t notify_flags() const;  // what the device wrote
  // Whether the device wants a doorbell for the chains offered since the last question (§2.7.10, §2.8.10).
  bool kick_wanted(bool event_index);

 private:
  template <typename T>
  void put(std::uint64_t address, const T& value) {
    if (!memory_.write_object(GuestAddress{address}, value)) __builtin_trap();
  }
  template <typename T>
  T get(std::uint64_t address) const {
    return memory_.read_object<T>(GuestAddress{address}).value();
  }
  // What the device's thread may be writing just now.
  std::uint16_t device_word(std::uint64_t offset) const;
  std::uint16_t offer_split(const std::vector<FakeBuffer>& buffers, std::optional<std::uint64_t> table);
  std::uint16_t offer_packed(const std::vector<FakeBuffer>& buffers, std::optional<std::uint64_t> table);

  GuestMemory& memory_;
  const std::uint16_t size_;
  const bool packed_;
  const std::uint64_t descriptors_, driver_, device_;
  std::vector<std::uint16_t> free_;                 // split: descriptors
  std::vector<std::vector<std::uint16_t>> chains_;  // split: by head; packed: slots by id
  std::uint16_t avail_index_ = 0, used_index_ = 0;
  std::uint16_t next_ = 0, next_used_ = 0, free_slots_ = 0;
  std::uint16_t offered_ = 0, asked_ = 0;  // running counts: chains (split), descriptors (packed)
  bool wrap_ = true, used_wrap_ = true;
};

}  // namespace warren::vmm::virtio
