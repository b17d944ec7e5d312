// The device's side of one virtqueue, split or packed (virtio 1.2 §2.7, §2.8), with indirect descriptors and
// event index. Served by one thread; not synchronized.
//
// A malformed chain (class T1, T2) never reaches the device: it is returned with length 0 and counted, and
// the queue goes on. Damage to the ring itself (an index that jumps, a head that does not exist) breaks the
// queue: it gives nothing more until it is activated again, and the device asks for a reset.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/state/inspect.h"
#include "vmm-core/virtio/chain.h"
#include "vmm-core/virtio/ring_layout.h"

namespace warren::vmm::virtio {

struct QueueConfiguration {
  std::uint16_t size = 0;  // a power of two for split rings
  GuestAddress descriptors, driver, device;
  bool packed = false;
  bool indirect = false;
  bool event_index = false;
};

// Where a queue has come to; with the configuration, all there is to save.
struct QueuePosition {
  std::uint16_t next_available = 0;
  std::uint16_t next_used = 0;
  bool available_wrap = true;  // packed only
  bool used_wrap = true;
};

class Queue final : public Inspectable {
 public:
  explicit Queue(GuestMemory& memory);
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // False when the rings do not lie in RAM, are misaligned, or the size is none.
  [[nodiscard]] bool activate(const QueueConfiguration& configuration,
                              const QueuePosition& position = {}) noexcept;
  // Every ticket that is still out becomes void.
  void deactivate() noexcept;

  bool active() const noexcept { return active_; }
  bool broken() const noexcept { return broken_; }

  // The next chain. False when there is none, the queue is broken, or so many before it were malformed that
  // others should have their turn: then has_more() says so, and enable_notifications().
  [[nodiscard]] bool pop(Chain& chain) noexcept;
  static constexpr unsigned kMostRefused = 16;
  // Takes the chain popped last back, as if it had not been popped; its ticket must not have been used.
  // Several go back last one first. One behind which another was returned, malformed or used, goes to the
  // driver empty.
  void push_back(Chain& chain) noexcept;

  // Whether the driver is to be interrupted for what was returned since the last call (§2.7.7, §2.8.7).
  [[nodiscard]] bool take_interrupt() noexcept;
  // While the device is at work it needs no doorbells. enable asks for one when a chain follows those that
  // pop() has seen, also those that were pushed back since; it returns true when one came in meanwhile: serve
  // again, since no doorbell tells of it.
  void disable_notifications() noexcept;
  [[nodiscard]] bool enable_notifications() noexcept;
  // Whether a chain follows those that pop() has seen. It has been activated.
  bool has_more() noexcept;

  QueuePosition position() const noexcept { return position_; }
  const QueueConfiguration& configuration() const noexcept { return configuration_; }
  std::uint64_t malformed_chains() const noexcept { return malformed_; }
  std::uint32_t in_flight() const noexcept { return in_flight_; }
  void inspect(InspectNode& node) const override;

 private:
  friend class Ticket;

  enum class Taken { chain, malformed, nothing };
  struct Head {
    std::uint16_t id = 0;
    std::uint16_t slots = 0;
  };
  struct End {
    std::uint16_t index = 0;
    bool wrap = true;
  };

  Taken take_split(Head& head) noexcept;
  Taken take_packed(Head& head) noexcept;
  bool walk_split(std::uint16_t first) noexcept;
  bool walk_indirect_split(const SplitDescriptor& table) noexcept;
  bool walk_indirect_packed(std::uint64_t address, std::uint32_t length) noexcept;
  bool add_segment(std::uint64_t address, std::uint32_t length, bool writable) noexcept;
  void begin_walk() noexcept;
  void finish(std::uint16_t id, std::uint16_t slots, std::uint32_t written,
              std::uint32_t generation) noexcept;
  void push_used_split(std::uint16_t id, std::uint32_t written) noexcept;
  void push_used_packed(std::uint16_t id, std::uint16_t slots, std::uint32_t written) noexcept;
  bool interrupt_wanted_split() noexcept;
  bool interrupt_wanted_packed() noexcept;
  void mark_end() noexcept { end_ = {position_.next_available, position_.available_wrap}; }
  void break_queue() noexcept { broken_ = true; }

  GuestMemory& memory_;
  QueueConfiguration configuration_;
  QueuePosition position_;
  End end_;  // behind the last chain that pop() has seen
  bool active_ = false;
  bool broken_ = false;
  std::uint32_t generation_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t popped_ = 0, returned_ = 0, interrupts_ = 0;
  std::uint16_t signalled_used_ = 0;  // next_used at the last interrupt decision
  bool signalled_wrap_ = true;
  bool returned_since_signal_ = false;

  std::vector<iovec> ranges_;  // of the chain popped last: readable, then writable
  std::size_t readable_count_ = 0;
  std::uint64_t readable_bytes_ = 0, writable_bytes_ = 0;
  bool seen_writable_ = false;
};

}  // namespace warren::vmm::virtio
