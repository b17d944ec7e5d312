#include "vmm-core/bus/address_space.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// Room for a few BARs more than a machine without many devices has.
constexpr std::size_t kInitialCapacity = 64;

std::string hexadecimal(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value % 16]);
    value /= 16;
  } while (value != 0);
  return "0x" + text;
}

}  // namespace

struct AddressSpace::Entry {
  std::atomic<std::uint64_t> start{0};
  std::atomic<std::uint64_t> last{0};
  std::atomic<IoHandler*> handler{nullptr};
};

// A sequence lock over the entries: `version` is odd while they change. Acquire loads and release stores of
// the entries order them against the version (Boehm, "Can seqlocks get along with programming language memory
// models?"), which costs nothing on x86 and which thread sanitizer understands.
struct AddressSpace::Table {
  explicit Table(std::size_t size) : capacity(size), entries(std::make_unique<Entry[]>(size)) {}

  const std::size_t capacity;
  std::unique_ptr<Entry[]> entries;
  std::atomic<std::uint64_t> version{0};
  std::atomic<std::size_t> count{0};
};

AddressSpace::Mapping::Mapping(Mapping&& other) noexcept
    : space_(std::exchange(other.space_, nullptr)), start_(other.start_) {}

AddressSpace::Mapping& AddressSpace::Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    space_ = std::exchange(other.space_, nullptr);
    start_ = other.start_;
  }
  return *this;
}

void AddressSpace::Mapping::reset() noexcept {
  if (space_ != nullptr) std::exchange(space_, nullptr)->unmap(start_);
}

AddressSpace::AddressSpace(std::string name, std::uint64_t last) : name_(std::move(name)), last_(last) {
  mappings_.reserve(kInitialCapacity);
  tables_.push_back(std::make_unique<Table>(kInitialCapacity));
  table_.store(tables_.back().get(), std::memory_order_release);
}

AddressSpace::~AddressSpace() = default;

// Index of the first mapping that begins behind `start`.
std::size_t AddressSpace::position(std::uint64_t start) const noexcept {
  const auto behind = std::ranges::upper_bound(mappings_, start, {}, &Owned::start);
  return static_cast<std::size_t>(behind - mappings_.begin());
}

bool AddressSpace::is_free(std::uint64_t start, std::uint64_t size) const noexcept {
  std::uint64_t last = 0;
  if (size == 0 || __builtin_add_overflow(start, size - 1, &last) || last > last_) return false;
  const std::size_t next = position(start);
  if (next < mappings_.size() && mappings_[next].start <= last) return false;
  return next == 0 || mappings_[next - 1].last < start;
}

// Writes mappings_ into the published table, or into a larger one where it no longer fits. Older tables stay:
// a lookup may be in them, and since capacities double they are never more than the last one together.
void AddressSpace::publish() noexcept {
  Table& table = *tables_.back();
  const std::uint64_t version = table.version.load(std::memory_order_relaxed);
  table.version.exchange(version + 1, std::memory_order_acq_rel);
  for (std::size_t i = 0; i < mappings_.size(); ++i) {
    table.entries[i].start.store(mappings_[i].start, std::memory_order_release);
    table.entries[i].last.store(mappings_[i].last, std::memory_order_release);
    table.entries[i].handler.store(mappings_[i].handler, std::memory_order_release);
  }
  table.count.store(mappings_.size(), std::memory_order_release);
  table.version.store(version + 2, std::memory_order_release);
  table_.store(&table, std::memory_order_release);
}

std::optional<AddressSpace::Mapping> AddressSpace::try_map(std::uint64_t start, std::uint64_t size,
                                                           IoHandler& handler, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  if (!is_free(start, size)) return std::nullopt;
  const auto place = mappings_.begin() + static_cast<std::ptrdiff_t>(position(start));
  mappings_.insert(place, Owned{start, start + size - 1, &handler, owner});
  if (mappings_.size() > tables_.back()->capacity) {
    tables_.push_back(std::make_unique<Table>(2 * tables_.back()->capacity));
  }
  publish();
  return Mapping(*this, start);
}

AddressSpace::Mapping AddressSpace::map(std::uint64_t start, std::uint64_t size, IoHandler& handler,
                                        const std::string& owner) {
  auto mapping = try_map(start, size, handler, owner);
  if (!mapping) {
    throw Error(std::errc::address_in_use, name_ + ": " + hexadecimal(size) + " bytes at " +
                                               hexadecimal(start) + " for " + owner +
                                               " leave the address space or overlap another mapping");
  }
  return std::move(*mapping);
}

void AddressSpace::unmap(std::uint64_t start) noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t next = position(start);
  mappings_.erase(mappings_.begin() + static_cast<std::ptrdiff_t>(next) - 1);
  publish();
}

AddressSpace::Found AddressSpace::find(std::uint64_t address, std::uint64_t size) const noexcept {
  for (;;) {
    const Table& table = *table_.load(std::memory_order_acquire);
    const std::uint64_t version = table.version.load(std::memory_order_acquire);
    if (version % 2 != 0) continue;
    const std::size_t count = table.count.load(std::memory_order_acquire);
    std::size_t low = 0;  // entries below begin at or below the address
    std::size_t high = count;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (table.entries[middle].start.load(std::memory_order_acquire) <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    Found found;
    if (low != 0) {
      const Entry& entry = table.entries[low - 1];
      const std::uint64_t start = entry.start.load(std::memory_order_acquire);
      const std::uint64_t last = entry.last.load(std::memory_order_acquire);
      IoHandler* const handler = entry.handler.load(std::memory_order_acquire);
      if (address >= start && address <= last && size - 1 <= last - address) {
        found = {handler, address - start};
      }
    }
    if (table.version.load(std::memory_order_relaxed) == version) return found;
  }
}

void AddressSpace::read(std::uint64_t address, std::span<std::byte> data) noexcept {
  if (data.empty()) return;
  const Found found = find(address, data.size());
  if (found.handler == nullptr) {
    std::ranges::fill(data, std::byte{0xff});
    unclaimed_reads_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  found.handler->read(found.offset, data);
}

void AddressSpace::write(std::uint64_t address, std::span<const std::byte> data) noexcept {
  if (data.empty()) return;
  const Found found = find(address, data.size());
  if (found.handler == nullptr) {
    unclaimed_writes_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  found.handler->write(found.offset, data);
}

void AddressSpace::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("unclaimed_reads", unclaimed_reads());
  node.add("unclaimed_writes", unclaimed_writes());
  InspectNode& mappings = node.child("mappings");
  for (const auto& mapping : mappings_) {
    mappings.add(hexadecimal(mapping.start) + "-" + hexadecimal(mapping.last), mapping.owner);
  }
}

}  // namespace warren::vmm
