// Ports of networks and of Open vSwitch that a daemon which died had asked for, and had not written down whom
// for. Implementation header (Asio).
#pragma once

#include "driver/domain/environment.h"

namespace warren::driver::domain {

// Those of the domain `owner` that its live definition does not name; its adoption calls this while the table
// still has it. One that cannot be deleted is logged, and the others are.
Task<> delete_stray_ports_of(std::shared_ptr<Environment> environment, Uuid owner);

// Of all domains: once all are loaded, before any starts.
Task<> delete_stray_ports(const std::shared_ptr<Environment>& environment);
// Likewise, of Open vSwitch: those of taps that their domains do not have (domain_switches.cpp).
Task<> delete_stray_switch_ports(const std::shared_ptr<Environment>& environment);

}  // namespace warren::driver::domain
