#include "vmm-core/memory/guest_memory.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>

#include <sys/mman.h>

#include "vmm-core/memory/guest_bytes.h"
#include "vmm-core/memory/memory_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kPageSize = 4096;
constexpr std::uint64_t kHugePageSize = 2u << 20;

void check(std::span<const GuestMemory::Layout> layouts, std::uint64_t page_bytes) {
  if (layouts.empty()) throw Error(std::errc::invalid_argument, "guest memory: no RAM was asked for");
  std::uint64_t end = 0;
  std::uint64_t total = 0;
  for (const auto& layout : layouts) {
    std::uint64_t layout_end = 0;
    const bool aligned = layout.start.value % page_bytes == 0 && layout.size % page_bytes == 0;
    if (!aligned || layout.size == 0 || layout.start.value < end ||
        __builtin_add_overflow(layout.start.value, layout.size, &layout_end) ||
        __builtin_add_overflow(total, layout.size, &total) ||
        total > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
      throw Error(std::errc::invalid_argument,
                  "guest memory: the range at " + std::to_string(layout.start.value) + " of " +
                      std::to_string(layout.size) + " bytes is empty, unaligned, overlapping or too large");
    }
    end = layout_end;
  }
}

// Of the regions that the memory began with, not attached later.
bool is_own(const MemoryRegion& region, const FileDescriptor& backing) noexcept {
  return region.file == nullptr || region.file == &backing;
}

// Address space for a region where huge pages of the host lie as those of the guest do: both may be mapped by
// one entry of the page tables then.
std::byte* reserve(const GuestMemory::Layout& layout) {
  const std::uint64_t whole = layout.size + kHugePageSize;  // check() has seen that nothing overflows
  void* base = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    throw_errno("guest memory: reserve " + std::to_string(whole) + " bytes of addresses");
  auto* const start = static_cast<std::byte*>(base);
  const auto address = reinterpret_cast<std::uintptr_t>(start);  // computed with, never followed
  const std::uint64_t head = (layout.start.value - address) % kHugePageSize;
  if (head != 0) ::munmap(start, head);
  ::munmap(start + head + layout.size, kHugePageSize - head);
  return start + head;
}

// True when one more entry fits. Grows at most once, to `limit`; callers reserve that much beforehand, so
// that no request allocates.
bool has_room(std::vector<iovec>& out, std::size_t limit) noexcept {
  if (out.size() < out.capacity()) return true;
  try {
    out.reserve(limit);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

GuestMemory::GuestMemory(std::span<const Layout> layouts, const MemoryAllocation& allocation) {
  check(layouts, std::max(allocation.huge_page_bytes, kPageSize));
  for (const auto& layout : layouts) size_ += layout.size;
  if (allocation.is_private && allocation.huge_page_bytes != 0)
    throw Error(std::errc::invalid_argument, "guest memory: huge pages of the host's pool are a file's");
  if (!allocation.is_private) backing_ = make_memory_file(size_, allocation.huge_page_bytes);
  regions_.reserve(layouts.size());
  try {
    map(layouts, allocation);
  } catch (...) {
    unmap();
    throw;
  }
}

GuestMemory::~GuestMemory() {
  unmap();
}

void GuestMemory::map(std::span<const Layout> layouts, const MemoryAllocation& allocation) {
  // Huge pages are reserved by the mapping: a pool that is too small is told now.
  const int commitment = allocation.huge_page_bytes != 0 ? 0 : MAP_NORESERVE;
  std::uint64_t offset = 0;
  for (const auto& layout : layouts) {
    // Guest RAM: one mapping a region, for as long as this object lives. The pool's pages have their own
    // alignment, which the kernel sees to.
    std::byte* const place = allocation.huge_page_bytes == 0 ? reserve(layout) : nullptr;
    const int kind = (allocation.is_private ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) |
                     (place == nullptr ? 0 : MAP_FIXED) | commitment;
    void* host = ::mmap(place, layout.size, PROT_READ | PROT_WRITE, kind, backing_.get(),
                        allocation.is_private ? 0 : static_cast<off_t>(offset));
    if (host == MAP_FAILED) {
      const int error = errno;
      if (place != nullptr) ::munmap(place, layout.size);
      errno = error;
      throw_errno("guest memory: map " + std::to_string(layout.size) + " bytes" +
                  (commitment == 0         ? " of huge pages; the host's pool has fewer free"
                   : allocation.is_private ? " (where vm.overcommit_memory is 2, all of it counts)"
                                           : ""));
    }
    regions_.push_back({.start = layout.start,
                        .size = layout.size,
                        .file_offset = offset,
                        .host = static_cast<std::byte*>(host),
                        .file = allocation.is_private ? nullptr : &backing_,
                        .blocks = nullptr,
                        .has_huge_pages = allocation.huge_page_bytes != 0});
    offset += layout.size;
    // A crash of the worker is debugged without the guest's secrets. Advice only: failure changes nothing.
    (void)::madvise(host, layout.size, MADV_DONTDUMP);
    if (allocation.huge_page_bytes == 0) (void)::madvise(host, layout.size, MADV_HUGEPAGE);
    if (allocation.populate && ::madvise(host, layout.size, MADV_POPULATE_WRITE) != 0) {
      throw_errno("guest memory: allocate " + std::to_string(layout.size) + " bytes at once");
    }
  }
}

void GuestMemory::unmap() noexcept {
  for (const auto& region : regions_)
    if (is_own(region, backing_)) ::munmap(region.host, region.size);
  regions_.clear();
}

void GuestMemory::attach(const MemoryRegion& region) {
  const auto place = std::ranges::upper_bound(regions_, region.start, {}, &MemoryRegion::start);
  regions_.insert(place, region);
  if (region.blocks == nullptr) size_ += region.size;
}

void GuestMemory::detach(GuestAddress start) noexcept {
  const auto found = std::ranges::find(regions_, start, &MemoryRegion::start);
  if (found == regions_.end() || is_own(*found, backing_)) return;
  if (found->blocks == nullptr) size_ -= found->size;
  regions_.erase(found);
}

const MemoryRegion* GuestMemory::find(GuestAddress address) const noexcept {
  // A machine has two or three regions, and a few of memory devices: a plain scan beats a binary search.
  for (const auto& region : regions_) {
    if (address.value - region.start.value < region.size) return &region;  // wraps to large when below
  }
  return nullptr;
}

// The host address of a range that lies in one region, or null.
std::byte* GuestMemory::resolve(GuestAddress address, std::uint64_t size) const noexcept {
  const MemoryRegion* region = find(address);
  if (region == nullptr) return nullptr;
  const std::uint64_t offset = address.value - region->start.value;
  if (size > region->size - offset) return nullptr;
  if (region->blocks != nullptr && !region->blocks->holds(offset, size)) return nullptr;
  return region->host + offset;
}

const MemoryRegion* GuestMemory::find_host(std::uintptr_t host) const noexcept {
  for (const auto& region : regions_) {
    if (host - reinterpret_cast<std::uintptr_t>(region.host) < region.size) return &region;
  }
  return nullptr;
}

// Copies a range that crosses from one region into another that touches it; one of `out` and `in` is null.
bool GuestMemory::copy_across(GuestAddress address, std::byte* out, const std::byte* in,
                              std::uint64_t size) const noexcept {
  if (!contains(address, size)) return false;
  std::uint64_t done = 0;
  while (done < size) {
    const GuestAddress here{address.value + done};  // cannot overflow: contains() said it is RAM
    const MemoryRegion* region = find(here);
    const std::uint64_t offset = here.value - region->start.value;
    const std::uint64_t part = std::min(size - done, region->size - offset);
    if (out != nullptr) copy_guest_bytes(out + done, region->host + offset, part);
    if (in != nullptr) copy_guest_bytes(region->host + offset, in + done, part);
    done += part;
  }
  return true;
}

bool GuestMemory::read(GuestAddress address, std::span<std::byte> destination) const noexcept {
  const std::byte* host = resolve(address, destination.size());
  if (host == nullptr) [[unlikely]] {
    return copy_across(address, destination.data(), nullptr, destination.size());
  }
  if (!destination.empty()) copy_guest_bytes(destination.data(), host, destination.size());
  return true;
}

bool GuestMemory::write(GuestAddress address, std::span<const std::byte> source) noexcept {
  std::byte* host = resolve(address, source.size());
  if (host == nullptr) [[unlikely]]
    return copy_across(address, nullptr, source.data(), source.size());
  if (!source.empty()) copy_guest_bytes(host, source.data(), source.size());
  return true;
}

std::optional<std::uint16_t> GuestMemory::load_acquire_u16(GuestAddress address) const noexcept {
  std::byte* host = resolve(address, sizeof(std::uint16_t));
  if (host == nullptr || address.value % sizeof(std::uint16_t) != 0) return std::nullopt;
  // Shared with the guest, so it cannot be a std::atomic object of ours; regions are page-aligned, so a
  // naturally aligned guest address is aligned here too.
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(host)).load(std::memory_order_acquire);
}

bool GuestMemory::store_release_u16(GuestAddress address, std::uint16_t value) noexcept {
  std::byte* host = resolve(address, sizeof(std::uint16_t));
  if (host == nullptr || address.value % sizeof(std::uint16_t) != 0) return false;
  // As in load_acquire_u16().
  std::atomic_ref(*reinterpret_cast<std::uint16_t*>(host)).store(value, std::memory_order_release);
  return true;
}

std::uint64_t GuestMemory::discard(GuestAddress address, std::uint64_t size) noexcept {
  if (!contains(address, size)) return 0;
  std::uint64_t discarded = 0;
  for (std::uint64_t done = 0; done < size;) {
    const GuestAddress here{address.value + done};  // cannot overflow: contains() said it is RAM
    const MemoryRegion* region = find(here);
    const std::uint64_t offset = here.value - region->start.value;
    const std::uint64_t part = std::min(size - done, region->size - offset);
    discarded += discard(iovec{.iov_base = region->host + offset, .iov_len = part});
    done += part;
  }
  return discarded;
}

std::uint64_t GuestMemory::discard(const iovec& slice) noexcept {
  // Regions are mapped at whole pages, so a host address says where a page begins.
  const auto start = reinterpret_cast<std::uintptr_t>(slice.iov_base);
  const MemoryRegion* region = find_host(start);
  if (region == nullptr || region->has_huge_pages || pages_are_kept_.load(std::memory_order_acquire))
    return 0;
  const std::uintptr_t first = (start + kPageSize - 1) / kPageSize * kPageSize;
  const std::uintptr_t end = (start + slice.iov_len) / kPageSize * kPageSize;
  if (end <= first) return 0;
  // A hole in the file: what MADV_DONTNEED takes out of a shared mapping alone comes back as it was.
  const int advice = region->file == nullptr ? MADV_DONTNEED : MADV_REMOVE;
  if (::madvise(reinterpret_cast<void*>(first), end - first, advice) != 0) return 0;
  return end - first;
}

std::optional<GuestAddress> GuestMemory::address_of(std::uintptr_t host) const noexcept {
  for (const auto& region : regions_) {
    const auto start = reinterpret_cast<std::uintptr_t>(region.host);  // compared, never followed
    if (host >= start && host - start < region.size) return GuestAddress{region.start.value + (host - start)};
  }
  return std::nullopt;
}

bool GuestMemory::contains(GuestAddress address, std::uint64_t size) const noexcept {
  std::uint64_t end = 0;
  if (__builtin_add_overflow(address.value, size, &end)) return false;
  std::uint64_t here = address.value;
  for (const auto& region : regions_) {  // ascending
    const std::uint64_t region_end = region.start.value + region.size;
    if (here < region.start.value || here > region_end) continue;
    if (region.blocks != nullptr &&
        !region.blocks->holds(here - region.start.value, std::min(end, region_end) - here))
      return false;
    if (end <= region_end) return true;
    here = region_end;
  }
  return false;
}

bool GuestMemory::slices(GuestAddress address, std::uint64_t size, std::vector<iovec>& out,
                         std::size_t limit) const noexcept {
  if (!contains(address, size)) return false;
  const std::size_t before = out.size();
  std::uint64_t done = 0;
  while (done < size) {
    if (out.size() >= limit || !has_room(out, limit)) {
      out.resize(before);
      return false;
    }
    const GuestAddress here{address.value + done};
    const MemoryRegion* region = find(here);
    const std::uint64_t offset = here.value - region->start.value;
    const std::uint64_t part = std::min(size - done, region->size - offset);
    out.push_back({.iov_base = region->host + offset, .iov_len = part});
    done += part;
  }
  return true;
}

}  // namespace warren::vmm
