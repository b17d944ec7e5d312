// The chipset's own functions: the Q35 host bridge (MCH, device 0) and the ICH9 LPC bridge (device 31).
// What software looks at is there: ids, where ECAM is, where the ACPI block is.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm-core/pci/function.h"

namespace warren::vmm::pci {

class HostBridge final : public Function {
 public:
  // `ecam_base`: where 256 buses of configuration space are mapped.
  HostBridge(Place place, std::uint64_t ecam_base);
};

class LpcBridge final : public Function {
 public:
  // `power_management_base`: the port where the ACPI block is mapped. `root_complex_base`: where the
  // chipset's configuration registers are, if any are.
  LpcBridge(Place place, std::uint16_t power_management_base,
            std::optional<std::uint32_t> root_complex_base = std::nullopt);
};

}  // namespace warren::vmm::pci
