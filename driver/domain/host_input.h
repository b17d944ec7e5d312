// An input device of the host that a guest is to have: its evdev node (Linux Documentation/input/input.rst).
//
// Blocks: pool threads only. Throws Error naming the path.
#pragma once

#include <string>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct HostInput {
  vmm::FileDescriptor device;                        // non-blocking; nobody else gets its events
  vmm::control::HostInputSpecification description;  // all but the descriptor's name
};

enum class HostInputUse {
  whole,   // LEDs are set, too
  listen,  // the descriptor is for reading only: whoever has it may ungrab it
};

// Its events are the guest's alone from now on, until the descriptor and what was made of it are closed.
HostInput open_host_input(const std::string& path, HostInputUse use);

}  // namespace warren::driver::domain
