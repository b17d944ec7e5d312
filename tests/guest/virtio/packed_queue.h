// Packed virtqueue, driver side (virtio 1.2 §2.8).
#pragma once

#include "tests/guest/virtio/queue.h"

namespace guest {

struct PackedDescriptor {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t id;
  std::uint16_t flags;
};
static_assert(sizeof(PackedDescriptor) == 16);

class PackedQueue final : public Queue {
 public:
  PackedQueue(std::uint16_t size, bool event_index);

  std::uint16_t add(std::span<const Segment> chain, bool indirect) override;
  bool needs_notification() override;
  std::optional<UsedElement> take_used() override;
  bool has_used() const override;
  void request_interrupts(bool wanted) override;

  // Raw access, for tests of damage: writes the next descriptor with these flags (availability bits are
  // added) and moves on. The first of a chain must be published last: `publish` false keeps it unavailable
  // until publish().
  void add_raw(std::uint64_t address, std::uint32_t length, std::uint16_t id, std::uint16_t flags,
               bool publish = true);
  void publish();
  void note_chain_length(std::uint16_t id, std::uint16_t length) { chain_lengths_[id] = length; }

 private:
  std::uint16_t availability() const;
  void advance();

  volatile PackedDescriptor* ring_;
  volatile std::uint16_t* driver_event_;  // offset and wrap, flags
  volatile std::uint16_t* device_event_;
  std::uint16_t* chain_lengths_;  // descriptors taken by the chain with that id
  std::uint16_t next_available_ = 0, next_used_ = 0, next_id_ = 0, added_ = 0;
  std::uint16_t held_ = 0, held_flags_ = 0;
  bool available_wrap_ = true, used_wrap_ = true;
};

}  // namespace guest
