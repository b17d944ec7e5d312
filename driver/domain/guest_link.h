// The host's end of a guest's interface: a tap, in a bridge or by itself, or a macvtap.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/config/interface.h"
#include "driver/link/link.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct GuestLink {
  std::string name;
  std::vector<vmm::FileDescriptor> queues;        // non-blocking; one for each queue pair
  std::shared_ptr<link::HalfMadeLink> half_made;  // a macvtap: until it is the domain's; else null
};

// Where its port says, for one of type network. A macvtap stays until it is deleted; a tap does not. Blocks;
// any thread. Throws Error.
// One that is to be filtered is down until set_guest_link_up().
GuestLink open_guest_link(const config::Interface& interface);
// The tap of an interface with a filter, once that is in force. Blocks; any thread. Throws Error.
void set_guest_link_up(const config::Interface& interface);

// The tap of a running guest, back in its bridge where it is not: somebody took it out, or made the bridge
// anew. False: it is where it belongs. Blocks; any thread. Throws Error.
bool plug_guest_link(const config::Interface& interface);

}  // namespace warren::driver::domain
