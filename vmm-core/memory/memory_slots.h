// By whom guest memory becomes visible to the guest's CPUs, range by range: KVM's memory slots.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm-core/memory/guest_address.h"

namespace warren::vmm {

// Any thread.
class MemorySlots {
 public:
  // The guest's [start, start + size), in whole pages, is the memory at `host`, which stays mapped until
  // remove(). False when the host has no slot left or refuses.
  virtual bool add(GuestAddress start, std::uint64_t size, std::byte* host) noexcept = 0;
  // What add() was called with this start for; nothing when it was not.
  virtual void remove(GuestAddress start) noexcept = 0;

 protected:
  ~MemorySlots() = default;
};

}  // namespace warren::vmm
