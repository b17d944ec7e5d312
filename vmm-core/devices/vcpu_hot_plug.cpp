#include "vmm-core/devices/vcpu_hot_plug.h"

#include <algorithm>
#include <cstring>

namespace warren::vmm {
namespace {

constexpr std::uint32_t kStatusPresent = 0xf;  // present, enabled, shown, functioning (ACPI 6.5 §6.3.7)
constexpr unsigned kNotificationShift = 16;

// Source events of an _OST that answers a request to eject: the notification itself, or its processing
// (ACPI 6.5 table 6.22).
constexpr std::uint32_t kEjectionProcessing = 0x103;
// Status codes that are no refusal (tables 6.23 and 6.25).
constexpr std::uint32_t kSuccess = 0, kEjectionPending = 0x84;

}  // namespace

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

std::uint32_t VcpuHotPlug::next_event() const noexcept {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].event != 0) {
      return static_cast<std::uint32_t>(i) | std::uint32_t{slots_[i].event} << kNotificationShift;
    }
  }
  return 0;
}

void VcpuHotPlug::take_off(std::uint32_t event) noexcept {
  const std::uint32_t vcpu = event & 0xffff;
  if (vcpu < slots_.size() && slots_[vcpu].event == event >> kNotificationShift) {
    slots_[vcpu].event = 0;
  } else {
    ++malformed_;
  }
}

std::uint32_t VcpuHotPlug::read_register(std::uint64_t index) const noexcept {
  const std::uint64_t vcpu = index * 4 / kSlotSize;
  if (index * 4 % kSlotSize != kStatus || vcpu >= slots_.size()) return 0;
  if (vcpu == 0) return next_event();
  return slots_[vcpu].hot_pluggable && slots_[vcpu].present ? kStatusPresent : 0;
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
        slot.present = slot.removal_requested = false;
        slot.event = 0;
        ejected = vcpu;
      }
    } else if (place == kSourceEvent) {
      slot.source_event = value;
    } else if (slot.removal_requested &&
               (slot.source_event == kEjectRequest || slot.source_event == kEjectionProcessing) &&
               value != kSuccess && value != kEjectionPending) {
      slot.removal_requested = false;
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
    slots_[vcpu].removal_requested = false;
    slots_[vcpu].event = kDeviceCheck;
  }
  actions_.notify();
  return true;
}

bool VcpuHotPlug::request_removal(std::uint32_t vcpu) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (vcpu >= slots_.size() || !slots_[vcpu].hot_pluggable || !slots_[vcpu].present) return false;
    slots_[vcpu].removal_requested = true;
    slots_[vcpu].event = kEjectRequest;
  }
  actions_.notify();
  return true;
}

void VcpuHotPlug::reset() noexcept {
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    slot.event = 0;
    slot.removal_requested = false;
    slot.source_event = 0;
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
    slot.source_event = saved.source_event;
    slot.removal_requested = saved.present && saved.removal_requested;
    const bool is_event = saved.event == kDeviceCheck || saved.event == kEjectRequest;
    slot.event = saved.present && is_event ? saved.event : std::uint8_t{0};
  }
}

void VcpuHotPlug::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("malformed", malformed_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].hot_pluggable) continue;
    InspectNode& child = node.child("vcpu" + std::to_string(i));
    child.add("present", slots_[i].present);
    child.add("event", std::uint64_t{slots_[i].event});
    child.add("removal_requested", slots_[i].removal_requested);
  }
}

}  // namespace warren::vmm
