#include "vmm-core/pci/hot_plug_slot.h"

#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm::pci {
namespace {

// Offsets in the capability (PCIe 5.0 §7.5.3).
constexpr std::uint64_t kExpressFlags = 0x02;
constexpr std::uint64_t kLinkCapabilities = 0x0c;
constexpr std::uint64_t kLinkStatus = 0x12;
constexpr std::uint64_t kSlotCapabilities = 0x14;
constexpr std::uint64_t kSlotControl = 0x18;
constexpr std::uint64_t kSlotStatus = 0x1a;
constexpr std::uint64_t kSlotEnd = 0x1c;

constexpr std::uint8_t kSlotImplemented = 1 << (8 - 8);  // of the second byte of the flags
constexpr std::uint8_t kLinkReporting = 1 << (20 - 16);  // of the third byte of the link capabilities
constexpr std::uint8_t kLinkActive = 1 << (13 - 8);      // of the second byte of link status

// Attention button, power controller, attention and power indicator, hot-plug capable, no command completed.
constexpr std::uint32_t kCapabilities = 1U << 0 | 1U << 1 | 1U << 3 | 1U << 4 | 1U << 6 | 1U << 18;
constexpr unsigned kNumberShift = 19;
constexpr std::uint16_t kNumbers = 1 << 13;

// The same bit enables an event in slot control and reports it in slot status, but for the link's.
constexpr std::uint16_t kButtonPressed = 1 << 0;
constexpr std::uint16_t kPresenceChanged = 1 << 3;
constexpr std::uint16_t kLinkChangedEnable = 1 << 12;
constexpr std::uint16_t kLinkChanged = 1 << 8;
constexpr std::uint16_t kPresent = 1 << 6;  // of slot status
constexpr std::uint16_t kEvents = kButtonPressed | kPresenceChanged | kLinkChanged;

constexpr std::uint16_t kInterruptEnable = 1 << 5;
constexpr std::uint16_t kAttentionOff = 3 << 6;
constexpr std::uint16_t kPowerIndicator = 3 << 8;
constexpr std::uint16_t kPowerIndicatorOn = 1 << 8;
constexpr std::uint16_t kPowerIndicatorBlinks = 2 << 8;
constexpr std::uint16_t kPowerIndicatorOff = 3 << 8;
constexpr std::uint16_t kPowerOff = 1 << 10;
constexpr std::uint16_t kWritableControl = kButtonPressed | kPresenceChanged | kInterruptEnable |
                                           kAttentionOff | kPowerIndicator | kPowerOff | kLinkChangedEnable;

constexpr std::uint16_t kEmptyControl = kAttentionOff | kPowerIndicatorOff | kPowerOff;
constexpr std::uint16_t kOccupiedControl = kAttentionOff | kPowerIndicatorOn;

std::uint16_t with_byte(std::uint16_t value, std::uint64_t index, std::byte byte) noexcept {
  const unsigned shift = static_cast<unsigned>(index) * 8;
  return static_cast<std::uint16_t>((value & ~(0xffU << shift)) | std::to_integer<unsigned>(byte) << shift);
}

}  // namespace

HotPlugSlot::HotPlugSlot(std::uint16_t number, Actions actions)
    : capabilities_(kCapabilities | std::uint32_t{number} << kNumberShift),
      actions_(std::move(actions)),
      control_(kEmptyControl) {
  if (number >= kNumbers) {
    throw Error(std::errc::invalid_argument, "PCI Express slot " + std::to_string(number) +
                                                 ": slot numbers end at " + std::to_string(kNumbers - 1));
  }
}

bool HotPlugSlot::is_linked() const noexcept {
  return (status_ & kPresent) != 0 && (control_ & kPowerOff) == 0;
}

// Software turns the indicator off when the device may be taken out (PCIe 5.0 §6.7.1.1.2).
bool HotPlugSlot::is_let_go() const noexcept {
  return (control_ & kPowerOff) != 0 && (control_ & kPowerIndicator) == kPowerIndicatorOff;
}

bool HotPlugSlot::link_active() const noexcept {
  const std::lock_guard lock(mutex_);
  return is_linked();
}

// Adds events and drives the wire: asserted while an enabled event is reported (PCIe 5.0 §6.7.3.4).
void HotPlugSlot::raise(std::uint16_t events) noexcept {
  status_ = static_cast<std::uint16_t>(status_ | events);
  unsigned enabled = control_ & (kButtonPressed | kPresenceChanged);
  if ((control_ & kLinkChangedEnable) != 0) enabled |= kLinkChanged;
  actions_.interrupt((control_ & kInterruptEnable) != 0 && (status_ & enabled) != 0);
}

bool HotPlugSlot::take_release() noexcept {
  return (status_ & kPresent) != 0 && is_let_go() && std::exchange(removal_requested_, false);
}

void HotPlugSlot::set_present(bool present) {
  const std::lock_guard lock(mutex_);
  if (present == ((status_ & kPresent) != 0)) return;
  const bool was_linked = is_linked();
  status_ = static_cast<std::uint16_t>(present ? status_ | kPresent : status_ & ~kPresent);
  removal_requested_ = false;
  // Where there is a button, Linux listens to it instead of to presence: whoever puts a device in presses it
  // (PCIe 5.0 §6.7.1.5). Both at once, and nobody waits for a second press.
  std::uint16_t events = present ? kPresenceChanged | kButtonPressed : kPresenceChanged;
  if (was_linked != is_linked()) events |= kLinkChanged;
  raise(events);
}

bool HotPlugSlot::is_driven() const noexcept {
  const std::lock_guard lock(mutex_);
  return (control_ & kInterruptEnable) != 0;
}

void HotPlugSlot::set_power(bool on) {
  const std::lock_guard lock(mutex_);
  const bool was_linked = is_linked();
  const unsigned rest = control_ & ~unsigned{kPowerIndicator | kPowerOff};
  control_ = static_cast<std::uint16_t>(rest | (on ? kPowerIndicatorOn : kPowerIndicatorOff | kPowerOff));
  removal_requested_ = false;
  raise(was_linked == is_linked() ? std::uint16_t{0} : kLinkChanged);
}

RemovalRequest HotPlugSlot::request_removal() {
  {
    const std::lock_guard lock(mutex_);
    if ((status_ & kPresent) == 0) return RemovalRequest::empty;
    if (!is_let_go()) {
      // A second press would call off what the first began (PCIe 5.0 §6.7.1.5).
      const bool blinks = (control_ & kPowerIndicator) == kPowerIndicatorBlinks;
      const bool unseen = (status_ & kButtonPressed) != 0;
      if (std::exchange(removal_requested_, true) && (blinks || unseen)) return RemovalRequest::in_progress;
      raise(kButtonPressed);
      return RemovalRequest::asked;
    }
    removal_requested_ = false;
  }
  actions_.release();
  return RemovalRequest::released;
}

void HotPlugSlot::reset() {
  bool released = false;
  {
    const std::lock_guard lock(mutex_);
    released = std::exchange(removal_requested_, false);
    status_ &= kPresent;
    control_ = (status_ & kPresent) != 0 && !released ? kOccupiedControl : kEmptyControl;
    raise(0);
  }
  if (released) actions_.release();
}

HotPlugSlotState HotPlugSlot::save() const {
  const std::lock_guard lock(mutex_);
  return {.control = control_, .status = status_, .removal_requested = removal_requested_};
}

void HotPlugSlot::restore(const HotPlugSlotState& state) {
  const std::lock_guard lock(mutex_);
  if (state.version != 1) {
    throw Error(std::errc::invalid_argument, "the saved state of a PCI Express slot is of another version");
  }
  control_ = state.control & kWritableControl;
  status_ = state.status & (kEvents | kPresent);
  removal_requested_ = state.removal_requested && (status_ & kPresent) != 0;
  raise(0);
}

std::uint8_t HotPlugSlot::byte_at(std::uint64_t offset, std::uint8_t stored) const noexcept {
  if (offset == kExpressFlags + 1) return stored | kSlotImplemented;
  if (offset == kLinkCapabilities + 2) return stored | kLinkReporting;
  if (offset == kLinkStatus + 1) {
    return static_cast<std::uint8_t>((stored & ~kLinkActive) | (is_linked() ? kLinkActive : 0));
  }
  if (offset < kSlotCapabilities || offset >= kSlotEnd) return stored;
  if (offset < kSlotControl)
    return static_cast<std::uint8_t>(capabilities_ >> (8 * (offset - kSlotCapabilities)));
  if (offset < kSlotStatus) return static_cast<std::uint8_t>(control_ >> (8 * (offset - kSlotControl)));
  return static_cast<std::uint8_t>(status_ >> (8 * (offset - kSlotStatus)));
}

void HotPlugSlot::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = std::byte{byte_at(offset + i, std::to_integer<std::uint8_t>(data[i]))};
  }
}

void HotPlugSlot::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  bool released = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_linked = is_linked();
    std::uint16_t control = control_;
    std::uint16_t cleared = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const std::uint64_t at = offset + i;
      if (at >= kSlotControl && at < kSlotStatus) control = with_byte(control, at - kSlotControl, data[i]);
      if (at >= kSlotStatus && at < kSlotEnd) cleared = with_byte(cleared, at - kSlotStatus, data[i]);
    }
    control_ = control & kWritableControl;
    status_ = static_cast<std::uint16_t>(status_ & ~(cleared & kEvents));
    raise(was_linked == is_linked() ? std::uint16_t{0} : kLinkChanged);
    released = take_release();
  }
  if (released) actions_.release();
}

}  // namespace warren::vmm::pci
