// Memory slots without a KVM, for tests.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include "vmm-core/memory/memory_slots.h"

namespace warren::vmm {

class FakeMemorySlots final : public MemorySlots {
 public:
  bool add(GuestAddress start, std::uint64_t size, std::byte*) noexcept override {
    const std::lock_guard lock(mutex_);
    if (slots_.size() >= limit_) return false;
    return slots_.emplace(start.value, size).second;
  }
  void remove(GuestAddress start) noexcept override {
    const std::lock_guard lock(mutex_);
    slots_.erase(start.value);
  }

  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
  }
  bool has(GuestAddress start, std::uint64_t size) const {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(start.value);
    return found != slots_.end() && found->second == size;
  }
  // The host has no more than so many.
  void refuse_after(std::size_t slots) {
    const std::lock_guard lock(mutex_);
    limit_ = slots;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> slots_;
  std::size_t limit_ = 1000;
};

}  // namespace warren::vmm
