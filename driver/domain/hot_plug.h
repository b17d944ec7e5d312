// Parts of the change of devices that domain_devices.cpp and hot_plug.cpp share. Implementation header.
#pragma once

#include "driver/config/domain_definition.h"
#include "driver/config/host_facts.h"

namespace warren::driver::domain {

// Completes and refuses a persistent definition with a changed device as define would. Throws Error.
void complete_changed(config::DomainDefinition& definition, const config::HostFacts& facts);

}  // namespace warren::driver::domain
