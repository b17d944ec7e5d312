// What a driver says of a packet it sends, before the host's kernel is asked to believe it (virtio 1.2
// §5.1.6.2). The header is a copy: the guest cannot change what was checked (class T3).
#pragma once

#include <cstdint>

#include "vmm-core/virtio/net_layout.h"

namespace warren::vmm::virtio {

// Whether it holds together for a packet of `frame_bytes`, and asks for nothing that `features` do not have.
// Then it is as the kernel is to see it: without what the driver may not say and what has no meaning.
bool settle_transmit_header(net_layout::Header& header, std::uint64_t features,
                            std::uint64_t frame_bytes) noexcept;

}  // namespace warren::vmm::virtio
