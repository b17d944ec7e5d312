// What a driver says of a packet it sends, before the host's kernel is asked to believe it (virtio 1.2
// §5.1.6.2), and what the kernel says of one for a driver (§5.1.6.4). The header is a copy: the guest cannot
// change what was checked (class T3).
#pragma once

#include <cstdint>

#include "vmm-core/virtio/net_layout.h"

namespace warren::vmm::virtio {

// Whether it holds together for a packet of `frame_bytes`, and asks for nothing that `features` do not have.
// Then it is as the kernel is to see it: without what the driver may not say and what has no meaning.
bool settle_transmit_header(net_layout::Header& header, std::uint64_t features,
                            std::uint64_t frame_bytes) noexcept;

// Whether a driver that accepted `features` can read a packet that came with this header (§5.1.6.4.1), and
// what it is not to see taken out of it. One that cannot be read was made for the driver before it.
[[nodiscard]] bool settle_receive_header(net_layout::Header& header, std::uint64_t features) noexcept;

}  // namespace warren::vmm::virtio
