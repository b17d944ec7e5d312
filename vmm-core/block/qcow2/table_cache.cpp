#include "vmm-core/block/qcow2/table_cache.h"

#include <algorithm>
#include <bit>

#include <sys/mman.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {

TableCache::TableCache(std::uint64_t capacity, std::uint64_t slice_bytes)
    : slice_bytes_(static_cast<std::size_t>(slice_bytes)) {
  const std::size_t slices = static_cast<std::size_t>(std::max<std::uint64_t>(capacity / slice_bytes, 2));
  ways_ = std::min(kWays, std::bit_floor(slices));
  sets_ = std::bit_floor(slices / ways_);
  slot_count_ = sets_ * ways_;
  slots_ = std::make_unique<Slot[]>(slot_count_);
  void* memory = ::mmap(nullptr, mapped_bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw_errno("cache of qcow2 tables");
  memory_ = static_cast<std::byte*>(memory);
  for (std::size_t i = 0; i < slot_count_; ++i) slots_[i].bytes = memory_ + i * slice_bytes_;
}

TableCache::~TableCache() {
  ::munmap(memory_, mapped_bytes());
}

bool TableCache::peek(std::uint64_t number, std::uint64_t index, unsigned count,
                      std::uint64_t* words) const noexcept {
  Slot* set = &slots_[set_of(number)];
  for (std::size_t way = 0; way < ways_; ++way) {
    Slot& slot = set[way];
    if (slot.key.load(std::memory_order_acquire) != number + 1) continue;
    const std::uint32_t before = slot.sequence.load(std::memory_order_acquire);
    if ((before & 1) != 0 || slot.key.load(std::memory_order_acquire) != number + 1) return false;
    // The slice is an array of 64-bit words, page-aligned; the owner may be changing them.
    auto* place = reinterpret_cast<std::uint64_t*>(slot.bytes) + index;
    for (unsigned i = 0; i < count; ++i) words[i] = std::atomic_ref(place[i]).load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) != before) return false;
    if (!slot.used.load(std::memory_order_relaxed)) slot.used.store(true, std::memory_order_relaxed);
    return true;
  }
  return false;
}

TableCache::Slot* TableCache::find(std::uint64_t number) noexcept {
  Slot* set = &slots_[set_of(number)];
  for (std::size_t way = 0; way < ways_; ++way) {
    if (set[way].key.load(std::memory_order_relaxed) != number + 1) continue;
    set[way].used.store(true, std::memory_order_relaxed);
    return &set[way];
  }
  return nullptr;
}

TableCache::Slot* TableCache::victim(std::uint64_t number) noexcept {
  Slot* set = &slots_[set_of(number)];
  for (std::size_t way = 0; way < ways_; ++way) {
    if (set[way].key.load(std::memory_order_relaxed) == 0) return &set[way];
  }
  // A clock, two rounds: the first takes the marks off.
  for (std::size_t step = 0; step < 2 * ways_; ++step) {
    Slot& slot = set[hand_++ % ways_];
    if (slot.dirty || slot.used.exchange(false, std::memory_order_relaxed)) continue;
    return &slot;
  }
  for (std::size_t way = 0; way < ways_; ++way) {
    if (!set[way].dirty) return &set[way];
  }
  return nullptr;
}

void TableCache::begin_change(Slot& slot) noexcept {
  slot.sequence.store(slot.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

void TableCache::end_change(Slot& slot) noexcept {
  slot.sequence.store(slot.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void TableCache::forget(Slot& slot) noexcept {
  begin_change(slot);
  slot.key.store(0, std::memory_order_relaxed);
  slot.dirty = false;
  slot.host = 0;
  end_change(slot);
}

void TableCache::fill_from_spare(Slot& slot, std::uint64_t number) noexcept {
  begin_change(slot);
  // A reader that has just been sent away may still be looking.
  auto* to = reinterpret_cast<std::uint64_t*>(slot.bytes);
  const auto* from = reinterpret_cast<const std::uint64_t*>(spare().data());
  for (std::size_t i = 0; i < slice_bytes_ / sizeof(std::uint64_t); ++i)
    std::atomic_ref(to[i]).store(from[i], std::memory_order_relaxed);
  slot.key.store(number + 1, std::memory_order_relaxed);
  end_change(slot);
}

void TableCache::forget_all() noexcept {
  for (Slot& slot : slots()) forget(slot);
}

}  // namespace warren::vmm::block::qcow2
