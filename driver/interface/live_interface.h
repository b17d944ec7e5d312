// The host's interfaces as the kernel has them, by driver/link.
//
// Blocks briefly; any thread. Throws Error (VIR_ERR_NO_INTERFACE, VIR_ERR_SYSTEM_ERROR).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/interface/interface_definition.h"
#include "driver/link/link.h"

namespace warren::driver::interface {

// Guests' ends (taps and macvtaps) are no interfaces of the host.
std::vector<link::Link> list_live();  // by name
std::optional<link::Link> find_live(const std::string& name);
// Traffic can pass: what virInterfaceIsActive means. Loopback never says so.
bool is_active(const link::Link& link);

// With addresses, ports and the state of the link.
InterfaceDefinition describe(const link::Link& link);

}  // namespace warren::driver::interface
