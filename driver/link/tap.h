// Taps: the host's end of a guest's network interface.
//
// A tap that is made here is not persistent: it lives as long as a descriptor of it is open, which is with
// the worker, so nothing is left behind by any end of worker or daemon. Blocks briefly; any thread. Throws
// Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/vlan.h"
#include "driver/link/bridge_port.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

struct Tap {
  std::string name;
  std::vector<vmm::FileDescriptor> queues;  // non-blocking; one for each queue pair
};

struct TapSettings {
  std::string name;  // of the tap; empty: the first free one of vnet0, vnet1, …; one "%d" stands for a number
  bool ours = true;  // false: it exists already, and its address, MTU and state are left as they are
  std::uint32_t queues = 1;
  bool vnet_header = true;                      // frames begin with virtio's header of 12 bytes
  std::optional<config::MacAddress> guest_mac;  // the tap's is this with the first byte fe
  std::optional<std::uint32_t> mtu;
  std::string bridge;                // to be put into; empty: none
  PortFlags port;                    // in the bridge
  std::optional<config::Vlan> vlan;  // in the bridge, which must filter VLANs
  // The bridge does not learn at this port: `guest_mac` is there, and nobody else.
  bool fixed_address = false;
  bool up = true;
};

Tap open_tap(const TapSettings& settings);

// Puts a tap that somebody has open into the bridge that open_tap() would have put it into. False: it was
// there, and is left as it is.
bool plug_tap(const TapSettings& settings);

}  // namespace warren::driver::link
