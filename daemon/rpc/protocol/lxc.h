// Arguments of the LXC program (libvirt-lxc.h).
#pragma once

#include <cstdint>

#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc::protocol {

struct DomainOpenNamespaceArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
