#include "vmm-core/memory/device_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <limits>
#include <utility>

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm-core/memory/memory_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kPageSize = 4096;
// A device has no more slots than this; an x86 KVM has 32764 for all.
constexpr std::uint64_t kMaximumSlots = 64;
constexpr std::uint64_t kSmallestSlot = std::uint64_t{16} << 20;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

void check(const std::string& id, const DeviceMemoryOptions& options) {
  const std::uint64_t page = std::max(options.allocation.huge_page_bytes, kPageSize);
  const bool sound_block = options.block_bytes == 0 ||
                           (std::has_single_bit(options.block_bytes) && options.block_bytes % page == 0 &&
                            options.size % options.block_bytes == 0);
  if (options.size == 0 || options.size % page != 0 || !sound_block ||
      options.size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    throw Error(std::errc::invalid_argument, id + ": " + std::to_string(options.size) +
                                                 " bytes are no whole number of its blocks and pages");
  }
}

// mbind(2): memory comes from these nodes alone.
void bind_to_nodes(std::byte* host, std::uint64_t size, const std::vector<std::uint32_t>& nodes,
                   const std::string& id) {
  if (nodes.empty()) return;
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, 16> mask{};
  for (const std::uint32_t node : nodes) {
    if (node / kBits >= mask.size())
      throw Error(std::errc::invalid_argument, id + ": there is no NUMA node " + std::to_string(node));
    mask[node / kBits] |= 1ul << (node % kBits);
  }
  if (::syscall(SYS_mbind, host, size, int{MPOL_BIND}, mask.data(), mask.size() * kBits, 0u) != 0)
    throw_errno(id + ": take memory from the NUMA nodes asked for");
}

}  // namespace

HotPlugWindow::HotPlugWindow(GuestAddress start, std::uint64_t size) : start_(start), size_(size) {
  if (size == 0) return;
  // Addresses alone, for as long as this object lives; devices map their files over them. Aligned for huge
  // pages, which guest addresses are too.
  std::uint64_t whole = 0;
  if (__builtin_add_overflow(size, kAlignment, &whole))
    throw Error(std::errc::invalid_argument, "guest memory: the hot-plug window is too large");
  void* reserved = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED)
    throw_errno("guest memory: reserve " + std::to_string(size) + " bytes of addresses for memory devices");
  auto* first = static_cast<std::byte*>(reserved);
  const std::uint64_t skip =
      round_up(reinterpret_cast<std::uintptr_t>(first), kAlignment) - reinterpret_cast<std::uintptr_t>(first);
  host_ = first + skip;
  if (skip != 0) ::munmap(first, skip);
  if (whole - skip - size != 0) ::munmap(host_ + size, whole - skip - size);
}

HotPlugWindow::~HotPlugWindow() {
  if (host_ != nullptr) ::munmap(host_, size_);
}

bool HotPlugWindow::is_free(std::uint64_t start, std::uint64_t size) const noexcept {
  std::uint64_t end = 0;
  if (__builtin_add_overflow(start, size, &end)) return false;
  if (start < start_.value || end > start_.value + size_) return false;
  return std::ranges::none_of(
      taken_, [&](const Range& range) { return start < range.start + range.size && range.start < end; });
}

GuestAddress HotPlugWindow::take(std::optional<GuestAddress> place, std::uint64_t size,
                                 const std::string& what) {
  if (place) {
    if (!is_free(place->value, size)) {
      throw Error(std::errc::address_in_use, what + ": " + std::to_string(size) + " bytes at " +
                                                 std::to_string(place->value) +
                                                 " are not free, or not in the window for memory devices");
    }
    taken_.push_back({place->value, size});
    return *place;
  }
  // Behind the window's start, or behind one that is there.
  std::vector<std::uint64_t> starts = {start_.value};
  for (const Range& range : taken_) starts.push_back(round_up(range.start + range.size, kAlignment));
  std::ranges::sort(starts);
  for (const std::uint64_t start : starts) {
    if (!is_free(start, size)) continue;
    taken_.push_back({start, size});
    return {start};
  }
  throw Error(std::errc::not_enough_memory, what + ": the window for memory devices has no " +
                                                std::to_string(size) + " bytes left in one piece");
}

void HotPlugWindow::give_back(GuestAddress place) noexcept {
  std::erase_if(taken_, [&](const Range& range) { return range.start == place.value; });
}

DeviceMemory::DeviceMemory(std::string id, HotPlugWindow& window, MemorySlots& slots,
                           const DeviceMemoryOptions& options, DmaMap* dma)
    : id_(std::move(id)), window_(window), slots_(slots), dma_(dma) {
  check(id_, options);
  if (options.block_bytes != 0) {
    map_ = std::make_unique<BlockMap>(options.block_bytes, options.size / options.block_bytes);
    slot_bytes_ = round_up(std::max(kSmallestSlot, options.size / kMaximumSlots), options.block_bytes);
    slot_added_.resize((options.size + slot_bytes_ - 1) / slot_bytes_);
    // What is not reserved beforehand may not be there when the guest touches it.
    populate_ = options.allocation.populate || options.allocation.huge_page_bytes != 0;
  } else {
    plugged_bytes_ = options.size;
  }
  file_ = make_memory_file(options.size, options.allocation.huge_page_bytes);
  region_ = {.start = window_.take(options.address, options.size, id_),
             .size = options.size,
             .file_offset = 0,
             .host = nullptr,
             .file = &file_,
             .blocks = map_.get(),
             .has_huge_pages = options.allocation.huge_page_bytes != 0};
  try {
    if (region_.start.value % std::max(options.allocation.huge_page_bytes, kPageSize) != 0)
      throw Error(std::errc::invalid_argument, id_ + ": its address is not aligned to its pages");
    map(options.allocation, options.host_nodes);
  } catch (...) {
    unmap();
    window_.give_back(region_.start);
    throw;
  }
}

DeviceMemory::~DeviceMemory() {
  disconnect();
  unmap();
  window_.give_back(region_.start);
}

void DeviceMemory::disconnect() noexcept {
  listener_ = nullptr;
  if (map_) unplug_all();
  if (!std::exchange(connected_, false)) return;
  if (dma_ != nullptr) dma_->remove(region_.start);
  slots_.remove(region_.start);
}

void DeviceMemory::map(const MemoryAllocation& allocation, const std::vector<std::uint32_t>& host_nodes) {
  // Huge pages of memory that is there whole are reserved now; of others as blocks are plugged.
  const int reserve = allocation.huge_page_bytes != 0 && !map_ ? 0 : MAP_NORESERVE;
  // Guest RAM: one shared mapping of its file, over addresses that are reserved for it.
  void* host = ::mmap(window_.host(region_.start), region_.size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED | reserve, file_.get(), 0);
  if (host == MAP_FAILED) {
    throw_errno(id_ + ": map " + std::to_string(region_.size) + " bytes" +
                (reserve == 0 ? " of huge pages; the host's pool has fewer free" : ""));
  }
  region_.host = static_cast<std::byte*>(host);
  // A crash of the worker is debugged without the guest's secrets. Advice only: failure changes nothing.
  (void)::madvise(host, region_.size, MADV_DONTDUMP);
  bind_to_nodes(region_.host, region_.size, host_nodes, id_);
  if (allocation.populate && !map_ && ::madvise(host, region_.size, MADV_POPULATE_WRITE) != 0)
    throw_errno(id_ + ": allocate " + std::to_string(region_.size) + " bytes at once");
}

// The addresses stay reserved, also where mapping failed: that has taken away what was there.
void DeviceMemory::unmap() noexcept {
  (void)::mmap(window_.host(region_.start), region_.size, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  region_.host = nullptr;
}

void DeviceMemory::set_listener(Listener listener) {
  listener_ = std::move(listener);
}

void DeviceMemory::connect() {
  if (map_ || connected_) return;
  if (!slots_.add(region_.start, region_.size, region_.host))
    throw Error(std::errc::not_enough_memory, id_ + ": the host has no memory slot for it");
  if (dma_ != nullptr && !dma_->add(region_.start, region_.size, region_.host)) {
    const int refused = errno;
    slots_.remove(region_.start);
    throw Error::from_errno(refused, id_ + ": let the host devices of the guest reach it");
  }
  connected_ = true;
}

DeviceMemory::State DeviceMemory::state(std::uint64_t first, std::uint64_t count) const noexcept {
  const std::uint64_t plugged = map_->plugged(first, count);
  if (plugged == count) return State::plugged;
  return plugged == 0 ? State::unplugged : State::mixed;
}

std::uint64_t DeviceMemory::slot_size(std::uint64_t slot) const noexcept {
  return std::min(slot_bytes_, region_.size - slot * slot_bytes_);
}

bool DeviceMemory::has_plugged(std::uint64_t slot) const noexcept {
  const std::uint64_t first = slot * slot_bytes_ / block_bytes();
  return map_->plugged(first, slot_size(slot) / block_bytes()) != 0;
}

bool DeviceMemory::add_slots(std::uint64_t first, std::uint64_t count) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t end = (first + count) * block_bytes();
  for (std::uint64_t slot = first * block_bytes() / slot_bytes_; slot * slot_bytes_ < end; ++slot) {
    if (slot_added_[slot]) continue;
    const std::uint64_t offset = slot * slot_bytes_;
    if (!slots_.add({region_.start.value + offset}, slot_size(slot), region_.host + offset)) return false;
    slot_added_[slot] = true;
  }
  return true;
}

void DeviceMemory::remove_empty_slots(std::uint64_t first, std::uint64_t count) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t end = (first + count) * block_bytes();
  for (std::uint64_t slot = first * block_bytes() / slot_bytes_; slot * slot_bytes_ < end; ++slot) {
    if (!slot_added_[slot] || has_plugged(slot)) continue;
    slots_.remove({region_.start.value + slot * slot_bytes_});
    slot_added_[slot] = false;
    // Also what the guest wrote to blocks that it had not plugged.
    discard(slot * slot_bytes_, slot_size(slot));
  }
}

void DeviceMemory::discard(std::uint64_t offset, std::uint64_t size) noexcept {
  // A hole in the file; it cannot fail for a shared mapping of whole pages.
  (void)::madvise(region_.host + offset, size, MADV_REMOVE);
}

// Block by block, since what is unplugged need not be what was plugged at once.
bool DeviceMemory::add_to_dma(std::uint64_t first, std::uint64_t count) noexcept {
  if (dma_ == nullptr) return true;
  for (std::uint64_t block = first; block < first + count; ++block) {
    const std::uint64_t offset = block * block_bytes();
    if (dma_->add({region_.start.value + offset}, block_bytes(), region_.host + offset)) continue;
    remove_from_dma(first, block - first);
    return false;
  }
  return true;
}

void DeviceMemory::remove_from_dma(std::uint64_t first, std::uint64_t count) noexcept {
  if (dma_ == nullptr) return;
  for (std::uint64_t block = first; block < first + count; ++block)
    dma_->remove({region_.start.value + block * block_bytes()});
}

bool DeviceMemory::plug(std::uint64_t first, std::uint64_t count) noexcept {
  const std::uint64_t offset = first * block_bytes(), size = count * block_bytes();
  if (populate_ && ::madvise(region_.host + offset, size, MADV_POPULATE_WRITE) != 0) {
    discard(offset, size);
    return false;
  }
  if (!add_slots(first, count) || !add_to_dma(first, count)) {
    remove_empty_slots(first, count);
    discard(offset, size);
    return false;
  }
  map_->set(first, count, true);
  plugged_bytes_.fetch_add(size, std::memory_order_acq_rel);
  if (listener_) listener_();
  return true;
}

void DeviceMemory::unplug(std::uint64_t first, std::uint64_t count) noexcept {
  map_->set(first, count, false);
  remove_from_dma(first, count);
  discard(first * block_bytes(), count * block_bytes());
  remove_empty_slots(first, count);
  plugged_bytes_.fetch_sub(count * block_bytes(), std::memory_order_acq_rel);
  if (listener_) listener_();
}

void DeviceMemory::unplug_all() noexcept {
  if (plugged_bytes() == 0) return;
  map_->set(0, map_->blocks(), false);
  remove_from_dma(0, map_->blocks());
  discard(0, region_.size);
  remove_empty_slots(0, map_->blocks());
  plugged_bytes_.store(0, std::memory_order_release);
  if (listener_) listener_();
}

}  // namespace warren::vmm
