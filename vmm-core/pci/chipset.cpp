#include "vmm-core/pci/chipset.h"

namespace warren::vmm::pci {
namespace {

constexpr std::uint16_t kIntel = 0x8086;
constexpr std::uint16_t kSubsystemVendor = 0x1af4;
constexpr std::uint16_t kSubsystem = 0x1100;

// Q35 MCH data sheet §5.1.15: base, 256 MiB (size 00), enabled.
constexpr std::uint16_t kPciExpressBar = 0x60;
constexpr std::uint32_t kPciExpressBarEnable = 1;
// ICH9 data sheet §13.1.13 and §13.1.14: ACPI base address and control.
constexpr std::uint16_t kPowerManagementBase = 0x40;
constexpr std::uint16_t kAcpiControl = 0x44;
constexpr std::uint8_t kAcpiEnable = 1 << 7;
// §13.1.35: root complex base address.
constexpr std::uint16_t kRootComplexBase = 0xf0;
constexpr std::uint32_t kRootComplexEnable = 1;

}  // namespace

HostBridge::HostBridge(Place place, std::uint64_t ecam_base)
    : Function("host-bridge",
               {.vendor = kIntel,
                .device = 0x29c0,
                .class_code = 0x060000,
                .subsystem_vendor = kSubsystemVendor,
                .subsystem = kSubsystem},
               std::move(place)) {
  configuration().set32(kPciExpressBar, static_cast<std::uint32_t>(ecam_base) | kPciExpressBarEnable);
  configuration().set32(kPciExpressBar + 4, static_cast<std::uint32_t>(ecam_base >> 32));
  configuration().set_defaults();
}

LpcBridge::LpcBridge(Place place, std::uint16_t power_management_base,
                     std::optional<std::uint32_t> root_complex_base)
    : Function("lpc-bridge",
               {.vendor = kIntel,
                .device = 0x2918,
                .revision = 2,
                .class_code = 0x060100,
                .subsystem_vendor = kSubsystemVendor,
                .subsystem = kSubsystem},
               std::move(place)) {
  configuration().set32(kPowerManagementBase, power_management_base | 1U);
  configuration().set8(kAcpiControl, kAcpiEnable);
  if (root_complex_base) configuration().set32(kRootComplexBase, *root_complex_base | kRootComplexEnable);
  configuration().set_defaults();
}

}  // namespace warren::vmm::pci
