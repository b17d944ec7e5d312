// Guest memory that devices of the host reach by themselves (VFIO): which ranges there are, for whoever maps
// them for such devices.
//
// A device has no page faults: what it may reach has its host pages all along, from the moment it is mapped.
// So nothing of guest memory is discarded meanwhile but what was taken out of here before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "vmm-core/memory/guest_address.h"
#include "vmm-core/memory/guest_memory.h"

namespace warren::vmm {

// By whom devices of the host reach memory: an IOMMU. Any thread, one call at a time.
class DmaTarget {
 public:
  // The devices' [start, start + size), in whole pages, is the memory at `host`, which stays mapped until
  // unmap() of the same range. False, with errno set, when the host refuses.
  virtual bool map(GuestAddress start, std::uint64_t size, std::byte* host) noexcept = 0;
  virtual void unmap(GuestAddress start, std::uint64_t size) noexcept = 0;

 protected:
  ~DmaTarget() = default;
};

// Any thread.
class DmaMap {
 public:
  // Holds all of `memory` from the beginning; it outlives this.
  explicit DmaMap(GuestMemory& memory);
  DmaMap(const DmaMap&) = delete;
  DmaMap& operator=(const DmaMap&) = delete;

  // A range comes, which touches no other, and goes. False, and it is not there, when the target refuses it.
  [[nodiscard]] bool add(GuestAddress start, std::uint64_t size, std::byte* host) noexcept;
  void remove(GuestAddress start) noexcept;

  // Everything is mapped there from now on, which begins while neither a vCPU nor a device runs; null:
  // nowhere any more. Throws Error naming the range that is refused, and then it is mapped nowhere.
  void set_target(DmaTarget* target);
  bool has_target() const noexcept;

 private:
  struct Range {
    std::uint64_t size = 0;
    std::byte* host = nullptr;
  };

  GuestMemory& memory_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Range> ranges_;  // by start
  DmaTarget* target_ = nullptr;
};

}  // namespace warren::vmm
