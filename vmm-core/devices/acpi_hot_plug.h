// What the register blocks of things that come and go have in common: what a guest is to be notified of in
// each slot (ACPI 6.5 §5.6.6), and what it answers with _OST (§6.3.5).
//
// Values only: whoever has the slots locks them. A slot is anything with a member `request`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace warren::vmm {

// What a device is notified with (ACPI 6.5 table 5.164).
inline constexpr std::uint8_t kAcpiDeviceCheck = 1, kAcpiEjectRequest = 3;
// What _STA answers of what is there: present, enabled, shown, functioning (§6.3.7).
inline constexpr std::uint32_t kAcpiStatusPresent = 0xf;

struct AcpiRequest {
  std::uint8_t event = 0;  // to be notified; 0: none
  bool removal_requested = false;
  std::uint32_t source_event = 0;  // the first argument of an _OST that is under way

  void check() noexcept { *this = {.event = kAcpiDeviceCheck}; }
  void ask_to_eject() noexcept {
    removal_requested = true;
    event = kAcpiEjectRequest;
  }
  // The status code of an _OST: true when it refuses what was asked for, once for each request.
  bool is_refused_by(std::uint32_t status_code) noexcept;
  // As it was saved, of whatever may have been saved (class T21).
  void restore(const AcpiRequest& saved) noexcept;
};

// The event register: the slot's number in bits 0 to 15 and the value to notify its device with in bits 16 to
// 31, or 0. Writing what was read takes it off.
std::uint32_t acpi_event(std::size_t slot, const AcpiRequest& request) noexcept;
bool is_acpi_event(std::uint32_t written, std::size_t slot, const AcpiRequest& request) noexcept;

template <typename Slot>
std::uint32_t next_acpi_event(std::span<const Slot> slots) noexcept {
  for (std::size_t i = 0; i < slots.size(); ++i)
    if (slots[i].request.event != 0) return acpi_event(i, slots[i].request);
  return 0;
}

// False when there is no such event.
template <typename Slot>
bool take_acpi_event(std::span<Slot> slots, std::uint32_t written) noexcept {
  const std::size_t slot = written & 0xffff;
  if (slot >= slots.size() || !is_acpi_event(written, slot, slots[slot].request)) return false;
  slots[slot].request.event = 0;
  return true;
}

}  // namespace warren::vmm
