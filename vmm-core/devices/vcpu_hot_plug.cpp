#include "vmm-core/devices/vcpu_hot_plug.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace warren::vmm {
VcpuHotPlug::VcpuHotPlug(std::uint32_t vcpus, std::span<const std::uint32_t> hot_pluggable,
                         std::span<const std::uint32_t> absent, Actions actions)
    : actions_(std::move(actions)), slots_(std::min(vcpus, kMaximumVcpus)) {
  for (Slot& slot : slots_) slot.present = true;
  for (const std::uint32_t vcpu : hot_pluggable) {
    if (vcpu != 0 && vcpu < slots_.size()) slots_[vcpu].hot_pluggable = true;
  }
  for (const std::uint32_t vcpu : absent) {
    if (is_hot_pluggable(vcpu)) slots_[vcpu].present = false;
  }
}

bool VcpuHotPlug::is_hot_pluggable(std::uint32_t vcpu) const noexcept {
  const std::lock_guard lock(mutex_);
  return vcpu < slots_.size() && slots_[vcpu].hot_pluggable;
}

bool VcpuHotPlug::is_present(std::uint32_t vcpu) const noexcept {
  const std::lock_guard lock(mutex_);
  return vcpu < slots_.size() && slots_[vcpu].present;
}

void VcpuHotPlug::take_off(std::uint32_t event) noexcept {
  if (!take_acpi_event(std::span(slots_), event)) ++malformed_;
}

std::uint32_t VcpuHotPlug::read_register(std::uint64_t index) const noexcept {
  const std::uint64_t vcpu = index * 4 / kSlotSize;
  if (index * 4 % kSlotSize != kStatus || vcpu >= slots_.size()) return 0;
  if (vcpu == 0) return next_acpi_event(std::span(std::as_const(slots_)));
  return slots_[vcpu].hot_pluggable && slots_[vcpu].present ? kAcpiStatusPresent : 0;
}

void VcpuHotPlug::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) {
    const std::uint32_t value = offset < kSize ? read_register(offset / 4) : 0;
    byte = static_cast<std::byte>(value >> (8 * (offset % 4)));
    ++offset;
  }
}

void VcpuHotPlug::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::optional<std::uint32_t> ejected, refused;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = offset / kSlotSize;
    std::uint32_t value = 0;
    if (data.size() != sizeof(value) || offset % 4 != 0 || number >= slots_.size()) {
      ++malformed_;
      return;
    }
    std::memcpy(&value, data.data(), sizeof(value));
    const auto vcpu = static_cast<std::uint32_t>(number);
    const std::uint64_t place = offset % kSlotSize;
    if (vcpu == 0 && place == kStatus) return take_off(value);
    Slot& slot = slots_[vcpu];
    if (!slot.hot_pluggable || !slot.present || place == kStatus) {
      ++malformed_;
    } else if (place == kEject) {
      // A guest may let go of one that nobody asked for.
      if ((value & 1) != 0) {
        slot.present = false;
        slot.request = {};
        ejected = vcpu;
      }
    } else if (place == kSourceEvent) {
      slot.request.source_event = value;
    } else if (slot.request.is_refused_by(value)) {
      refused = vcpu;
    }
  }
  if (ejected) actions_.ejected(*ejected);
  if (refused) actions_.refused(*refused);
}

bool VcpuHotPlug::insert(std::uint32_t vcpu) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (vcpu >= slots_.size() || !slots_[vcpu].hot_pluggable || slots_[vcpu].present) return false;
    slots_[vcpu].present = true;
    slots_[vcpu].request.check();
  }
  actions_.notify();
  return true;
}

bool VcpuHotPlug::request_removal(std::uint32_t vcpu) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (vcpu >= slots_.size() || !slots_[vcpu].hot_pluggable || !slots_[vcpu].present) return false;
    slots_[vcpu].request.ask_to_eject();
  }
  actions_.notify();
  return true;
}

void VcpuHotPlug::reset() noexcept {
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    slot.request = {};
  }
}

VcpuHotPlug::State VcpuHotPlug::save() const {
  const std::lock_guard lock(mutex_);
  return {.version = 1, .slots = slots_};
}

void VcpuHotPlug::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 1; i < std::min(slots_.size(), state.slots.size()); ++i) {
    Slot& slot = slots_[i];
    if (!slot.hot_pluggable) continue;
    const Slot& saved = state.slots[i];
    slot.present = saved.present;
    slot.request.restore(saved.present ? saved.request : AcpiRequest());
  }
}

void VcpuHotPlug::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("malformed", malformed_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].hot_pluggable) continue;
    InspectNode& child = node.child("vcpu" + std::to_string(i));
    child.add("present", slots_[i].present);
    child.add("event", std::uint64_t{slots_[i].request.event});
    child.add("removal_requested", slots_[i].request.removal_requested);
  }
}

}  // namespace warren::vmm
