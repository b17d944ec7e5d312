// A bounded cache of slices of tables (L2 tables, refcount blocks), filled and changed by one owner and read
// by any thread without a lock.
//
// Memory is reserved whole and touched as it is used. A slice is found by its number; readers see words that
// belong together, or are told to ask the owner.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace warren::vmm::block::qcow2 {

class TableCache {
 public:
  struct Slot {
    std::atomic<std::uint64_t> key{0};       // number + 1; 0: empty
    std::atomic<std::uint32_t> sequence{0};  // odd while it changes
    std::atomic<bool> used{false};           // since the owner last looked for room
    bool dirty = false;                      // from here on the owner's
    std::uint64_t host = 0;                  // where it is in the file; 0: nowhere, it is all zeros
    std::byte* bytes = nullptr;
  };

  // Room for about `capacity` bytes, in slices of `slice_bytes`. Throws Error.
  TableCache(std::uint64_t capacity, std::uint64_t slice_bytes);
  TableCache(const TableCache&) = delete;
  TableCache& operator=(const TableCache&) = delete;
  ~TableCache();

  // Any thread: `count` (1 or 2) words of slice `number`, from word `index` on, as they are on disk. False:
  // it is not here, or is changing.
  bool peek(std::uint64_t number, std::uint64_t index, unsigned count, std::uint64_t* words) const noexcept;

  // The rest is the owner's.
  Slot* find(std::uint64_t number) noexcept;
  // A slot for slice `number`: empty, or one whose slice can go. When all that could be taken are dirty:
  // none.
  Slot* victim(std::uint64_t number) noexcept;
  // Between these two, readers of the slot are sent away.
  static void begin_change(Slot& slot) noexcept;
  static void end_change(Slot& slot) noexcept;
  void forget(Slot& slot) noexcept;
  // Where a slice is read to and looked at before anybody else sees it.
  std::span<std::byte> spare() noexcept { return {memory_ + slot_count_ * slice_bytes_, slice_bytes_}; }
  // The spare's bytes are slice `number` from here on.
  void fill_from_spare(Slot& slot, std::uint64_t number) noexcept;
  void forget_all() noexcept;

  std::span<Slot> slots() noexcept { return {slots_.get(), slot_count_}; }
  std::span<std::byte> bytes_of(Slot& slot) const noexcept { return {slot.bytes, slice_bytes_}; }

 private:
  static constexpr std::size_t kWays = 8;

  std::size_t set_of(std::uint64_t number) const noexcept {
    // Neighbours go to different sets, and so do the same places of different tables.
    return static_cast<std::size_t>((number ^ number >> 17) & (sets_ - 1)) * ways_;
  }

  std::size_t mapped_bytes() const noexcept { return (slot_count_ + 1) * slice_bytes_; }

  std::size_t slice_bytes_ = 0, slot_count_ = 0, sets_ = 0, ways_ = 0, hand_ = 0;
  std::unique_ptr<Slot[]> slots_;
  std::byte* memory_ = nullptr;
};

}  // namespace warren::vmm::block::qcow2
