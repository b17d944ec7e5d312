// A worker without a daemon, for tests and debugging: `warren-vmm run FILE`.
//
// FILE is what control/standalone_machine.h describes. Each resource is opened as the daemon would; there is
// no sandbox unless asked for, since files are opened here.
#pragma once

#include <string>
#include <vector>

#include "vmm-core/control/server.h"
#include "vmm-core/control/standalone_machine.h"

namespace warren::vmm::worker {

using control::Resource;
using control::ResourceKind;
using control::StandaloneMachine;

// Reads and validates FILE. Throws Error naming the file and the member.
StandaloneMachine read_standalone_machine(const std::string& path);

// Opens every resource. Throws Error naming the resource and its path.
control::DescriptorSet open_resources(const std::vector<Resource>& resources);

}  // namespace warren::vmm::worker
