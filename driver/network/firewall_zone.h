// The zone of firewalld that a network's bridge is in (<bridge zone='…'/>), by firewall-cmd(1). It is
// firewalld's until that is stopped or loaded anew without what was said at run time.
//
// Blocks; any thread. Both do nothing for a network that names no zone.
#pragma once

#include "driver/network/network_definition.h"

namespace warren::driver::network {

// Throws Error: CONFIG_UNSUPPORTED where no firewalld runs, else what it says, as of a zone that it does not
// have.
void enter_zone(const NetworkDefinition& definition);
// Of a bridge that goes. Never fails: a zone with the name of a link that is not there does nothing.
void leave_zone(const NetworkDefinition& definition) noexcept;

}  // namespace warren::driver::network
