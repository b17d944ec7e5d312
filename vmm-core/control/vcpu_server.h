// The server's part for the commands of vcpus.h. Implementation header of control/ (Boost.JSON).
#pragma once

#include <string_view>

#include <boost/json/value.hpp>

#include "vmm-core/control/vcpus.h"

namespace warren::vmm::control {

// False when `name` is none of these commands. Throws Error.
bool serve_vcpu_command(VcpuCommands& commands, std::string_view name, const boost::json::value& arguments);

}  // namespace warren::vmm::control
