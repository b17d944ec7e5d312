// Ports of a bridge: links put into it, and how the bridge treats them.
//
// Blocks briefly; any thread. Throws Error as link.h has it; VIR_ERR_OPERATION_UNSUPPORTED where the kernel
// cannot do it.
#pragma once

#include <optional>
#include <string>

#include "driver/config/identity.h"
#include "driver/config/vlan.h"

namespace warren::driver::link {

// Moves it there from another bridge.
void add_port(const std::string& bridge, const std::string& link);
// One that is in no bridge is removed already.
void remove_port(const std::string& link);

// What is not given stays as it is.
struct PortFlags {
  std::optional<bool> isolated;       // talks to ports that are not isolated alone
  std::optional<bool> learning;       // the bridge remembers whom it hears there
  std::optional<bool> unicast_flood;  // gets what is for addresses that the bridge does not know
  std::optional<bool> hairpin;        // gets what it sent itself

  bool operator==(const PortFlags&) const = default;
};
void set_port_flags(const std::string& link, const PortFlags& flags);

// An address that is at this port for good: the bridge need not learn it. Adding what is there and removing
// what is not are no errors.
void add_static_address(const std::string& link, const config::MacAddress& mac);
void remove_static_address(const std::string& link, const config::MacAddress& mac);

// The VLANs of a port, in place of those it had (IEEE 802.1Q). Without `trunk`, the one tag is what frames
// without a tag belong to, and the guest sees none; with it, frames carry their tags, but for those of the
// native VLAN: untagged ones belong to it, and it leaves with a tag (`tagged`) or without. The bridge must
// filter VLANs: otherwise the port would be in every one of them, so that is refused.
void set_port_vlans(const std::string& link, const config::Vlan& vlan);

}  // namespace warren::driver::link
