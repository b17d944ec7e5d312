// The host's end of a guest's interface: a tap, in a bridge or by itself, a macvtap, or another program.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/config/interface.h"
#include "driver/domain/passt.h"
#include "driver/link/link.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct GuestLink {
  std::string name;                               // empty: there is none
  std::vector<vmm::FileDescriptor> queues;        // non-blocking; one for each queue pair
  std::shared_ptr<link::HalfMadeLink> half_made;  // a macvtap: until it is the domain's; else null
  std::vector<vmm::FileDescriptor> vhost;         // /dev/vhost-net for each queue, where that is asked for
  vmm::FileDescriptor connection;                 // instead of all that: to a passt or a vhost-user back end
};

// What interfaces are opened with.
struct LinkAccess {
  std::filesystem::path vhost_net;  // where <backend vhost=/> names no other
  PasstSettings passt;
};

// Where its port says, for one of type network. A macvtap stays until it is deleted; a tap does not, nor does
// what is connected. Blocks; pool threads only. Throws Error.
// One that is to be filtered is down until set_guest_link_up().
GuestLink open_guest_link(const config::Interface& interface, const LinkAccess& access);
// The tap of an interface with a filter, once that is in force. Blocks; any thread. Throws Error.
void set_guest_link_up(const config::Interface& interface);

// The tap of a running guest, back in its bridge where it is not: somebody took it out, or made the bridge
// anew. False: it is where it belongs. Blocks; any thread. Throws Error.
bool plug_guest_link(const config::Interface& interface);

}  // namespace warren::driver::domain
