// libnbd without the libraries for its TLS and its URIs, which the worker has no use for: it gets sockets
// that are connected, and is one static program that starts in a millisecond.
#pragma once

namespace warren::vmm::block::nbd {

// For whoever uses libnbd: draws in what stands for those libraries. Does nothing.
void require_no_tls() noexcept;

}  // namespace warren::vmm::block::nbd
