// The server's part for the commands of probes.h. Implementation header of control/ (Boost.JSON).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "vmm-core/control/probes.h"

namespace warren::vmm::control {

// `descriptors` came with the request, `given` go with the answer. The answer's value; nullopt when `name` is
// none of these commands. Throws Error.
std::optional<boost::json::value> serve_probe(Probes& probes, std::string_view name,
                                              const boost::json::value& arguments,
                                              std::vector<FileDescriptor>& descriptors,
                                              std::vector<FileDescriptor>& given);

}  // namespace warren::vmm::control
