// Taps: the host's end of a domain's network interface.
//
// A tap that is made here is not persistent: it lives as long as a descriptor of it is open, which is with
// the worker, so nothing is left behind by any end of worker or daemon. Blocks briefly; any thread. Throws
// Error.
#pragma once

#include <string>
#include <vector>

#include "driver/config/interface.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct Tap {
  std::string name;
  std::vector<vmm::FileDescriptor> queues;  // non-blocking, with IFF_VNET_HDR; one for each queue pair
};

// With the MTU and, for type bridge, in its bridge; up.
Tap open_tap(const config::Interface& interface);

}  // namespace warren::driver::domain
