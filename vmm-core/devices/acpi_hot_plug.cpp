#include "vmm-core/devices/acpi_hot_plug.h"

namespace warren::vmm {
namespace {

constexpr unsigned kNotificationShift = 16;

// Source events of an _OST that answers a request to eject: the notification itself, or its processing
// (ACPI 6.5 table 6.22).
constexpr std::uint32_t kEjectionProcessing = 0x103;
// Status codes that are no refusal (tables 6.23 and 6.25).
constexpr std::uint32_t kSuccess = 0, kEjectionPending = 0x84;

}  // namespace

bool AcpiRequest::is_refused_by(std::uint32_t status_code) noexcept {
  const bool answers =
      removal_requested && (source_event == kAcpiEjectRequest || source_event == kEjectionProcessing);
  if (!answers || status_code == kSuccess || status_code == kEjectionPending) return false;
  removal_requested = false;
  return true;
}

void AcpiRequest::restore(const AcpiRequest& saved) noexcept {
  *this = saved;
  if (event != kAcpiDeviceCheck && event != kAcpiEjectRequest) event = 0;
}

std::uint32_t acpi_event(std::size_t slot, const AcpiRequest& request) noexcept {
  return static_cast<std::uint32_t>(slot) | std::uint32_t{request.event} << kNotificationShift;
}

bool is_acpi_event(std::uint32_t written, std::size_t slot, const AcpiRequest& request) noexcept {
  return request.event != 0 && written == acpi_event(slot, request);
}

}  // namespace warren::vmm
