// Memory that comes to and goes from a running guest: the window of guest-physical addresses it comes to, and
// the memory of one memory device.
//
// The host addresses of the whole window are reserved from the start on and never given to anything else: an
// address that an I/O still holds after its memory has gone leads to nothing, or to memory of the same guest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/memory/block_map.h"
#include "vmm-core/memory/dma_map.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/memory/memory_slots.h"

namespace warren::vmm {

// Control thread, but for host().
class HotPlugWindow {
 public:
  // Guests hot plug in units of up to this size, and so do devices begin (Linux: memory_block_size_bytes()).
  static constexpr std::uint64_t kAlignment = std::uint64_t{1} << 30;

  // `start` is aligned so. Throws Error when the host has no addresses for it.
  HotPlugWindow(GuestAddress start, std::uint64_t size);
  HotPlugWindow(const HotPlugWindow&) = delete;
  HotPlugWindow& operator=(const HotPlugWindow&) = delete;
  ~HotPlugWindow();

  GuestAddress start() const noexcept { return start_; }
  std::uint64_t size() const noexcept { return size_; }
  std::byte* host(GuestAddress address) const noexcept { return host_ + (address.value - start_.value); }

  // Takes [place, place + size), or the first place of `size` bytes that is free. Throws Error.
  GuestAddress take(std::optional<GuestAddress> place, std::uint64_t size, const std::string& what);
  void give_back(GuestAddress place) noexcept;

 private:
  struct Range {
    std::uint64_t start = 0, size = 0;
  };
  bool is_free(std::uint64_t start, std::uint64_t size) const noexcept;

  const GuestAddress start_;
  const std::uint64_t size_;
  std::byte* host_ = nullptr;
  std::vector<Range> taken_;
};

struct DeviceMemoryOptions {
  std::uint64_t size = 0;               // bytes, in whole pages and blocks
  std::optional<GuestAddress> address;  // none: the first that is free
  std::uint64_t block_bytes = 0;  // of memory that is plugged by block, a power of two; 0: all of it is there
  MemoryAllocation allocation;
  std::vector<std::uint32_t> host_nodes;  // NUMA nodes of the host that it is taken from; empty: any
};

// A memfd of its own, mapped into the window. Without blocks all of it is the guest's from connect() on; with
// blocks those that are plugged, and what is not takes no host memory.
//
// DEVNOTE: the guest's CPUs see it in memory slots of several blocks (slot_bytes()): one that has no plugged
// block is not there. So a guest that writes to an unplugged block, which VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE
// forbids, can have no more than the rest of slots it has blocks in, until those are unplugged. DMA reaches
// plugged blocks alone.
class DeviceMemory {
 public:
  // Told after plugged_bytes() has changed, on the thread that changed it; must not come back.
  using Listener = std::function<void()>;

  // All outlive it. Throws Error; nothing of it remains then. What is the guest's is in `dma`, if there is
  // one; of memory with blocks those that are plugged.
  DeviceMemory(std::string id, HotPlugWindow& window, MemorySlots& slots, const DeviceMemoryOptions& options,
               DmaMap* dma = nullptr);
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  // Nothing is the guest's any more; it is not in a GuestMemory.
  ~DeviceMemory();

  const std::string& id() const noexcept { return id_; }
  const MemoryRegion& region() const noexcept { return region_; }
  GuestAddress address() const noexcept { return region_.start; }
  std::uint64_t size() const noexcept { return region_.size; }
  std::uint64_t block_bytes() const noexcept { return map_ ? map_->block_bytes() : 0; }
  std::uint64_t slot_bytes() const noexcept { return slot_bytes_; }
  std::uint64_t plugged_bytes() const noexcept { return plugged_bytes_.load(std::memory_order_acquire); }
  void set_listener(Listener listener);  // while nothing runs

  // Of memory without blocks: the guest's CPUs see it. Throws Error.
  void connect();
  // The guest's CPUs see nothing of it any more; nothing is plugged.
  void disconnect() noexcept;

  // The rest is of memory with blocks. Ranges are of blocks, and lie within the device.
  enum class State { plugged, unplugged, mixed };
  State state(std::uint64_t first, std::uint64_t count) const noexcept;
  // All of them, of which none is plugged. False, and none is, when the host has no memory for them.
  bool plug(std::uint64_t first, std::uint64_t count) noexcept;
  // All of them, of which each is plugged: their content is gone and the host has their memory.
  void unplug(std::uint64_t first, std::uint64_t count) noexcept;
  void unplug_all() noexcept;

 private:
  void map(const MemoryAllocation& allocation, const std::vector<std::uint32_t>& host_nodes);
  void unmap() noexcept;
  bool add_slots(std::uint64_t first, std::uint64_t count) noexcept;
  void remove_empty_slots(std::uint64_t first, std::uint64_t count) noexcept;
  std::uint64_t slot_size(std::uint64_t slot) const noexcept;
  bool has_plugged(std::uint64_t slot) const noexcept;
  void discard(std::uint64_t offset, std::uint64_t size) noexcept;
  bool add_to_dma(std::uint64_t first, std::uint64_t count) noexcept;
  void remove_from_dma(std::uint64_t first, std::uint64_t count) noexcept;

  const std::string id_;
  HotPlugWindow& window_;
  MemorySlots& slots_;
  DmaMap* const dma_;
  FileDescriptor file_;
  std::unique_ptr<BlockMap> map_;
  MemoryRegion region_;
  std::uint64_t slot_bytes_ = 0;
  bool populate_ = false;  // what is plugged has its host memory at once
  bool connected_ = false;
  Listener listener_;
  std::mutex mutex_;  // of slot_added_
  std::vector<bool> slot_added_;
  std::atomic<std::uint64_t> plugged_bytes_{0};
};

}  // namespace warren::vmm
