#include "vmm-core/devices/memory_hot_plug.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace warren::vmm {
namespace {

std::uint32_t half(std::uint64_t value, std::uint64_t offset) {
  return static_cast<std::uint32_t>(offset % 8 == 0 ? value : value >> 32);
}

}  // namespace

MemoryHotPlug::MemoryHotPlug(std::uint32_t slots, Actions actions)
    : actions_(std::move(actions)), slots_(std::min(slots, kMaximumSlots)) {}

bool MemoryHotPlug::is_present(std::uint32_t slot) const noexcept {
  const std::lock_guard lock(mutex_);
  return slot < slots_.size() && slots_[slot].module;
}

void MemoryHotPlug::take_off(std::uint32_t event) noexcept {
  if (!take_acpi_event(std::span(slots_), event)) ++malformed_;
}

std::uint32_t MemoryHotPlug::read_register(std::uint64_t offset) const noexcept {
  if (offset == kEvent) return next_acpi_event(std::span(std::as_const(slots_)));
  const std::uint64_t number = offset / kSlotSize;
  if (number >= slots_.size() || !slots_[number].module) return 0;
  const Module& module = *slots_[number].module;
  const std::uint64_t place = offset % kSlotSize;
  switch (place) {
    case kStatus:
      return kAcpiStatusPresent;
    case kFirst:
    case kFirst + 4:
      return half(module.address, place);
    case kLast:
    case kLast + 4:
      return half(module.address + module.size - 1, place);
    case kLength:
    case kLength + 4:
      return half(module.size, place);
    case kNode:
      return module.node;
    default:
      return 0;
  }
}

static_assert(MemoryHotPlug::kFirst % 8 == 0 && MemoryHotPlug::kLast % 8 == 0 &&
              MemoryHotPlug::kLength % 8 == 0);

void MemoryHotPlug::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) {
    const std::uint32_t value = offset < kSize ? read_register(offset / 4 * 4) : 0;
    byte = static_cast<std::byte>(value >> (8 * (offset % 4)));
    ++offset;
  }
}

void MemoryHotPlug::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::optional<std::uint32_t> ejected, refused;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = offset / kSlotSize;
    std::uint32_t value = 0;
    if (data.size() != sizeof(value) || offset % 4 != 0 || (number >= slots_.size() && offset != kEvent)) {
      ++malformed_;
      return;
    }
    std::memcpy(&value, data.data(), sizeof(value));
    if (offset == kEvent) return take_off(value);
    Slot& slot = slots_[number];
    const std::uint64_t place = offset % kSlotSize;
    if (!slot.module) {
      ++malformed_;
    } else if (place == kEject) {
      // A guest may let go of one that nobody asked for.
      if ((value & 1) == 0) return;
      slot = {};
      ejected = static_cast<std::uint32_t>(number);
    } else if (place == kSourceEvent) {
      slot.request.source_event = value;
    } else if (place != kStatusCode) {
      ++malformed_;
    } else if (slot.request.is_refused_by(value)) {
      refused = static_cast<std::uint32_t>(number);
    }
  }
  if (ejected) actions_.ejected(*ejected);
  if (refused) actions_.refused(*refused);
}

bool MemoryHotPlug::insert(std::uint32_t slot, const Module& module, bool tell) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (slot >= slots_.size() || slots_[slot].module || module.size == 0) return false;
    slots_[slot] = {};
    slots_[slot].module = module;
    if (tell) slots_[slot].request.check();
  }
  if (tell) actions_.notify();
  return true;
}

bool MemoryHotPlug::request_removal(std::uint32_t slot) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (slot >= slots_.size() || !slots_[slot].module) return false;
    slots_[slot].request.ask_to_eject();
  }
  actions_.notify();
  return true;
}

void MemoryHotPlug::reset() noexcept {
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    slot.request = {};
  }
}

MemoryHotPlug::State MemoryHotPlug::save() const {
  const std::lock_guard lock(mutex_);
  return {.version = 1, .slots = slots_};
}

void MemoryHotPlug::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < std::min(slots_.size(), state.slots.size()); ++i) {
    Slot& slot = slots_[i];
    const Slot& saved = state.slots[i];
    if (!slot.module || !saved.module) continue;
    slot.request.restore(saved.request);
  }
}

void MemoryHotPlug::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("malformed", malformed_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].module) continue;
    InspectNode& child = node.child("slot" + std::to_string(i));
    child.add("address", slots_[i].module->address);
    child.add("size", slots_[i].module->size);
    child.add("event", std::uint64_t{slots_[i].request.event});
    child.add("removal_requested", slots_[i].request.removal_requested);
  }
}

}  // namespace warren::vmm
