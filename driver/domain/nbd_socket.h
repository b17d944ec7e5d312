// Connections to NBD servers, which workers are handed: they reach no network themselves.
//
// Blocks, but not beyond a limit: pool threads only.
#pragma once

#include <chrono>
#include <string>

#include "driver/config/disk.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

// A connected stream socket on which nothing was said. `what` is for the error, e.g. "disk vda". Throws Error
// (VIR_ERR_SYSTEM_ERROR) naming the server, also when finding it and connecting take longer than `limit`.
vmm::FileDescriptor connect_to_nbd(const config::NbdServer& server, const std::string& what,
                                   std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace warren::driver::domain
