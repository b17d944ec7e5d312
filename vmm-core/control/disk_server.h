// The server's part for the commands of disks.h. Implementation header of control/ (Boost.JSON).
#pragma once

#include <optional>
#include <string_view>

#include <boost/json/value.hpp>

#include "vmm-core/control/disks.h"

namespace warren::vmm::control {

// Throws Error naming the member that is out of its limits.
void validate_limits(const DiskLimits& limits, const std::string& member);

// What is returned; nothing when `name` is none of these commands. Throws Error.
std::optional<boost::json::value> serve_disk_command(DiskCommands& commands, std::string_view name,
                                                     const boost::json::value& arguments);

}  // namespace warren::vmm::control
