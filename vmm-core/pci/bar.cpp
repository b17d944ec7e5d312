#include "vmm-core/pci/bar.h"

#include <bit>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/registers.h"

namespace warren::vmm::pci {
namespace {

bool is_64bit(BarKind kind) noexcept {
  return kind == BarKind::memory64 || kind == BarKind::memory64_prefetchable;
}

bool is_valid(const BarDescription& description) noexcept {
  const std::uint64_t size = description.size;
  if (description.handler == nullptr || !std::has_single_bit(size)) return false;
  switch (description.kind) {
    case BarKind::io:
      return size >= 4 && size <= 256;  // PCI 3.0 §6.2.5.1
    case BarKind::memory32:
      return size >= 16 && size <= std::uint64_t{1} << 31;
    case BarKind::memory64:
    case BarKind::memory64_prefetchable:
      return size >= 16 && size <= std::uint64_t{1} << 46;
  }
  return false;
}

// The read-only low bits of a BAR.
std::uint32_t flags(BarKind kind) noexcept {
  switch (kind) {
    case BarKind::io:
      return kBarIo;
    case BarKind::memory32:
      return 0;
    case BarKind::memory64:
      return kBarMemory64;
    case BarKind::memory64_prefetchable:
      return kBarMemory64 | kBarPrefetchable;
  }
  return 0;
}

}  // namespace

void BarSet::add(const BarDescription& description) {
  const unsigned last = description.index + (is_64bit(description.kind) ? 1 : 0);
  if (!is_valid(description) || description.index >= kBars || last >= kBars) {
    throw Error(std::errc::invalid_argument,
                "BAR " + std::to_string(description.index) + ": malformed description");
  }
  for (unsigned i = description.index; i <= last; ++i) {
    if (bars_[i].description || bars_[i].upper_half) {
      throw Error(std::errc::address_in_use, "BAR " + std::to_string(i) + ": declared twice");
    }
  }
  bars_[description.index].description = description;
  if (last != description.index) bars_[last].upper_half = true;
}

std::uint32_t BarSet::read(unsigned index) const noexcept {
  const Bar& bar = bars_[index];
  if (bar.upper_half) return static_cast<std::uint32_t>(bars_[index - 1].address >> 32);
  if (!bar.description) return 0;
  return static_cast<std::uint32_t>(bar.address) | flags(bar.description->kind);
}

void BarSet::write(unsigned index, std::uint32_t value) noexcept {
  const unsigned lower = bars_[index].upper_half ? index - 1 : index;
  Bar& bar = bars_[lower];
  if (!bar.description) return;
  std::uint64_t address = bar.address;
  if (lower != index) {
    address = (address & 0xffff'ffff) | std::uint64_t{value} << 32;
  } else {
    address = (address & ~std::uint64_t{0xffff'ffff}) | value;
  }
  set_address(lower, address);
}

void BarSet::set_address(unsigned index, std::uint64_t address) noexcept {
  Bar& bar = bars_[index];
  if (!bar.description) return;
  // Bits below the size are hard-wired to zero; that is how software learns the size.
  bar.address = address & ~(bar.description->size - 1);
  if (!is_64bit(bar.description->kind)) bar.address &= 0xffff'ffff;
}

void BarSet::update(bool memory_enabled, bool io_enabled, const std::string& owner) {
  const auto wanted = [&](const Bar& bar) {
    return bar.description && (bar.description->kind == BarKind::io ? io_enabled : memory_enabled);
  };
  // All that moves makes room first, so that two BARs may change places.
  for (Bar& bar : bars_) {
    if (bar.mapping && (!wanted(bar) || bar.mapping.start() != bar.address)) unmap(bar);
  }
  for (unsigned i = 0; i < kBars; ++i) {
    Bar& bar = bars_[i];
    bar.refused = false;
    // Address 0 is how a BAR looks before anybody has placed it.
    if (!wanted(bar) || bar.mapping || bar.address == 0) continue;
    AddressSpace& space = bar.description->kind == BarKind::io ? ports_ : memory_;
    auto mapping = space.try_map(bar.address, bar.description->size, *bar.description->handler,
                                 owner + " BAR " + std::to_string(i));
    if (!mapping) {
      bar.refused = true;
      continue;
    }
    bar.mapping = std::move(*mapping);
    if (bar.description->listener != nullptr) {
      bar.description->listener->bar_mapped(i, GuestAddress{bar.address});
    }
  }
}

void BarSet::unmap(Bar& bar) noexcept {
  if (!bar.mapping) return;
  if (bar.description->listener != nullptr) bar.description->listener->bar_unmapped(bar.description->index);
  bar.mapping.reset();
}

void BarSet::unmap_all() noexcept {
  for (Bar& bar : bars_) unmap(bar);
}

void BarSet::reset() noexcept {
  for (Bar& bar : bars_) {
    unmap(bar);
    bar.address = 0;
    bar.refused = false;
  }
}

bool BarSet::is_refused() const noexcept {
  for (const Bar& bar : bars_) {
    if (bar.refused) return true;
  }
  return false;
}

const BarDescription* BarSet::description(unsigned index) const noexcept {
  return bars_[index].description ? &*bars_[index].description : nullptr;
}

std::uint64_t BarSet::address(unsigned index) const noexcept {
  return bars_[index].address;
}

std::optional<GuestAddress> BarSet::mapped_at(unsigned index) const noexcept {
  if (index >= kBars || !bars_[index].mapping) return std::nullopt;
  return GuestAddress{bars_[index].mapping.start()};
}

void BarSet::inspect(InspectNode& node) const {
  for (unsigned i = 0; i < kBars; ++i) {
    const Bar& bar = bars_[i];
    if (!bar.description) continue;
    InspectNode& child = node.child("bar" + std::to_string(i));
    child.add("address", bar.address);
    child.add("size", bar.description->size);
    child.add("decoded", static_cast<bool>(bar.mapping));
    child.add("refused", bar.refused);
  }
}

}  // namespace warren::vmm::pci
