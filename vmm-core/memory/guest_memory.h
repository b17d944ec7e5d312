// Guest RAM as the devices see it: checked copies in and out, and the iovecs of an I/O in flight.
//
// Guest memory is hostile and shared: the guest may change any byte at any time. So each value is copied out
// once and then looked at (STYLE rule 5); no reference into guest RAM outlives a call, except the iovecs that
// slices() gives for an I/O in flight. A range is RAM from its first byte to its last or the access fails
// whole: ranges that leave RAM, cross a hole that is not RAM, or overflow are refused, and device registers
// are never reachable from here (class T6).
//
// Threads: any; the set of regions changes only while neither a vCPU nor a device runs. Of a region whose
// memory is plugged by blocks, only the plugged ones are RAM; they come and go at any time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include <sys/uio.h>

#include "vmm-core/memory/block_map.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

// One contiguous piece of guest RAM, a part of one memfd or private to this process.
struct MemoryRegion {
  GuestAddress start;
  std::uint64_t size = 0;                // bytes, a multiple of the page size
  std::uint64_t file_offset = 0;         // where it begins in the backing file
  std::byte* host = nullptr;             // mapped for as long as it is one of a GuestMemory
  const FileDescriptor* file = nullptr;  // the backing file, likewise; null: private
  const BlockMap* blocks = nullptr;      // which blocks of it are there; null: all of it
  bool has_huge_pages = false;
};

struct MemoryAllocation {
  // 2 MiB or 1 GiB: from the host's pool of huge pages of that size, all reserved at once, so that a guest
  // never meets a missing one. 0: the host's usual pages.
  std::uint64_t huge_page_bytes = 0;
  bool populate = false;  // every page at once rather than when it is touched
  // No other process finds it by a descriptor. The host makes huge pages of it by itself, which hosts rarely
  // do of a memfd's: a guest walks fewer page tables, and a large transfer has fewer segments.
  bool is_private = false;
};

class GuestMemory {
 public:
  // Where RAM of `size` bytes begins and how long it is; consecutive layouts share one backing memfd.
  struct Layout {
    GuestAddress start;
    std::uint64_t size = 0;
  };

  // Allocates and maps RAM; unless `allocation` says so, pages take no host memory before they are touched.
  // The layouts must be aligned to the pages used, ascending and disjoint. Throws Error.
  explicit GuestMemory(std::span<const Layout> layouts, const MemoryAllocation& allocation = {});
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;
  ~GuestMemory();

  // Copies [address, address + size) out of or into RAM. False, with nothing written, unless all of it is
  // RAM.
  [[nodiscard]] bool read(GuestAddress address, std::span<std::byte> destination) const noexcept;
  [[nodiscard]] bool write(GuestAddress address, std::span<const std::byte> source) noexcept;

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::optional<T> read_object(GuestAddress address) const noexcept {
    T object;
    if (!read(address, std::as_writable_bytes(std::span(&object, 1)))) return std::nullopt;
    return object;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] bool write_object(GuestAddress address, const T& object) noexcept {
    return write(address, std::as_bytes(std::span(&object, 1)));
  }

  // Atomic accesses to ring indexes shared with the guest; `address` must be naturally aligned.
  // acquire: nothing after it is read before it. release: everything before it is seen by whoever reads it.
  [[nodiscard]] std::optional<std::uint16_t> load_acquire_u16(GuestAddress address) const noexcept;
  [[nodiscard]] bool store_release_u16(GuestAddress address, std::uint16_t value) noexcept;

  // True when all of [address, address + size) is RAM; an empty range is RAM when its start is in or at the
  // end of a region.
  [[nodiscard]] bool contains(GuestAddress address, std::uint64_t size) const noexcept;

  // Appends the host ranges of [address, address + size) to `out` (more than one where the range crosses
  // regions that touch). At most `limit` entries in `out`. False, with `out` as it was, unless all of it is
  // RAM and fits. For I/O in flight only: what they point at may change under the reader at any time.
  [[nodiscard]] bool slices(GuestAddress address, std::uint64_t size, std::vector<iovec>& out,
                            std::size_t limit) const noexcept;

  // A region of a memory device, which touches no other, from now on and no more; while neither a vCPU nor a
  // device runs. Its owner keeps what it refers to.
  void attach(const MemoryRegion& region);
  void detach(GuestAddress start) noexcept;

  // Gives the host back the whole pages of a range: they read as zeros from then on. Says how many bytes that
  // were: 0 for a range that is not all RAM, and always for huge pages and while pages are kept. A range is
  // [address, address + size), or one that slices() gave.
  // DEVNOTE: a hole in a file of huge pages gives up its place in the host's pool as well. The guest may
  // touch what it gave at any time (it need not wait for an answer, virtio 1.2 §5.5.6), and a pool that is
  // empty by then kills this process. So what was reserved for a guest stays so.
  std::uint64_t discard(GuestAddress address, std::uint64_t size) noexcept;
  std::uint64_t discard(const iovec& slice) noexcept;

  // While devices of the host reach guest memory by themselves: they keep the pages they were given, so none
  // is discarded.
  void keep_pages(bool kept) noexcept { pages_are_kept_.store(kept, std::memory_order_release); }

  // Where in RAM a host address is, if it is.
  [[nodiscard]] std::optional<GuestAddress> address_of(std::uintptr_t host) const noexcept;

  // Ascending.
  std::span<const MemoryRegion> regions() const noexcept { return regions_; }
  // Of all RAM but what is plugged by blocks, in bytes.
  std::uint64_t size() const noexcept { return size_; }
  // The memfd behind the regions it began with, to be shared with vhost-user peers and helpers; none if they
  // are private.
  const FileDescriptor& backing() const noexcept { return backing_; }

 private:
  const MemoryRegion* find(GuestAddress address) const noexcept;
  const MemoryRegion* find_host(std::uintptr_t host) const noexcept;
  std::byte* resolve(GuestAddress address, std::uint64_t size) const noexcept;
  bool copy_across(GuestAddress address, std::byte* out, const std::byte* in,
                   std::uint64_t size) const noexcept;
  void map(std::span<const Layout> layouts, const MemoryAllocation& allocation);
  void unmap() noexcept;

  FileDescriptor backing_;
  std::vector<MemoryRegion> regions_;
  std::uint64_t size_ = 0;
  std::atomic<bool> pages_are_kept_{false};
};

}  // namespace warren::vmm
