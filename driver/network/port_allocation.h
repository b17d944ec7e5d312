// Where in a network a new port goes: which bridge, link or device of the host it gets, and what of the
// network's and portgroup's settings it takes over.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "driver/config/network_port.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {

using Ports = std::map<Uuid, config::NetworkPort>;

// What has to be known of the host and of the network's other ports.
struct PortSurroundings {
  const Ports& ports;
  std::vector<config::PciAddress> devices;  // of a hostdev network
};

// `port` with its plug and all it inherits. Throws Error where the network cannot have it (libvirt's
// networkAllocatePort).
config::NetworkPort allocate(const NetworkDefinition& network, config::NetworkPort port,
                             const PortSurroundings& surroundings);
// Of a port that exists already, such as one of an earlier daemon: that its plug is the network's still.
void check_plug(const NetworkDefinition& network, const config::NetworkPort& port);

// That each link the ports are on is in the network's pool still: OPERATION_INVALID.
void require_devices_of(const Ports& ports, const NetworkDefinition& network);

// Whether `bandwidth` fits beside the floors of the other ports; throws Error. `port` is left out of them.
void check_floor(const NetworkDefinition& network, const config::NetworkPort& port, const Ports& ports,
                 const std::optional<config::Bandwidth>& bandwidth);
bool has_floor(const std::optional<config::Bandwidth>& bandwidth);
// The lowest class that no port has; classes 1 and 2 are the network's own.
std::uint32_t free_class(const Ports& ports);

}  // namespace warren::driver::network
