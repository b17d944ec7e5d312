// Disks that another program serves over vhost-user: the daemon connects, the worker gets the connection.
#pragma once

#include <string_view>

#include "driver/config/disk.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

// Blocks: pool threads only. Throws Error naming the disk and the socket.
vmm::FileDescriptor connect_back_end(const config::Disk& disk);

// Throws Error for a disk that is not Warren's to read, count or resize. `what` was asked for.
void require_own(const config::Disk& disk, std::string_view what);

}  // namespace warren::driver::domain
