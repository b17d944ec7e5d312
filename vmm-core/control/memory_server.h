// The server's part for the commands of memory_devices.h. Implementation header of control/ (Boost.JSON).
#pragma once

#include <string_view>

#include <boost/json/value.hpp>

#include "vmm-core/control/memory_devices.h"

namespace warren::vmm::control {

// False when `name` is none of these commands. Throws Error.
bool serve_memory_command(MemoryCommands& commands, std::string_view name,
                          const boost::json::value& arguments);

}  // namespace warren::vmm::control
