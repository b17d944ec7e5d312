// Split virtqueue, driver side (virtio 1.2 §2.7).
#pragma once

#include "tests/guest/virtio/queue.h"

namespace guest {

struct SplitDescriptor {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t flags;
  std::uint16_t next;
};
static_assert(sizeof(SplitDescriptor) == 16);

class SplitQueue final : public Queue {
 public:
  SplitQueue(std::uint16_t size, bool event_index);

  std::uint16_t add(std::span<const Segment> chain, bool indirect) override;
  bool needs_notification() override;
  std::optional<UsedElement> take_used() override;
  bool has_used() const override;
  void request_interrupts(bool wanted) override;

  // Raw access, for tests of damage. add_head makes whatever descriptor `head` is available.
  SplitDescriptor& descriptor(std::uint16_t index) { return descriptors_[index]; }
  void add_head(std::uint16_t head);
  void set_available_index(std::uint16_t index);
  std::uint16_t available_index() const { return next_available_; }
  std::uint16_t used_index() const;

 private:
  SplitDescriptor* descriptors_;
  volatile std::uint16_t* available_;  // flags, index, ring…, used_event
  volatile std::uint16_t* used_;       // flags, index, then 8-byte elements…, avail_event
  std::uint16_t next_descriptor_ = 0, next_available_ = 0, notified_ = 0, next_used_ = 0;
};

}  // namespace guest
