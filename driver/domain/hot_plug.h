// Parts of the change of devices that domain_devices.cpp and hot_plug.cpp share. Implementation header.
#pragma once

#include <chrono>

#include "driver/config/domain_definition.h"
#include "driver/config/host_facts.h"

namespace warren::driver::domain {

// A guest that lets go by the rules first gives whoever pressed the attention button 5 s to press it again
// (PCIe 5.0 §6.7.1.5); libvirt waits as long, for a vCPU too. A little more, and most removals have ended
// when they are answered.
inline constexpr std::chrono::seconds kRemovalPatience{8};

// Completes and refuses a persistent definition with a changed device as define would. Throws Error.
void complete_changed(config::DomainDefinition& definition, const config::HostFacts& facts);

}  // namespace warren::driver::domain
