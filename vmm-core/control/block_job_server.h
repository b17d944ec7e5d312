// The server's part for the commands of block_jobs.h. Implementation header of control/ (Boost.JSON).
#pragma once

#include <optional>
#include <string_view>

#include <boost/json/value.hpp>

#include "vmm-core/control/block_jobs.h"

namespace warren::vmm::control {

// The answer; nothing when `name` is none of these commands. What starts a job takes the `delivered`
// descriptors. Throws Error.
std::optional<boost::json::value> serve_block_job_command(BlockJobCommands& commands, std::string_view name,
                                                          const boost::json::value& arguments,
                                                          DescriptorSet& delivered);

}  // namespace warren::vmm::control
