// Implementation header: what queues of taps and macvtaps have in common (the kernel's tuntap).
#pragma once

#include <cstdint>
#include <string>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

// For TUNSETIFF, of a link with so many queues.
short queue_flags(std::uint32_t queues, bool vnet_header);
// The header of virtio 1.x, of 12 bytes. Throws Error.
void set_vnet_header_size(const vmm::FileDescriptor& queue, const std::string& name);

}  // namespace warren::driver::link
