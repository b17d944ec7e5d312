// Who is at the other end of a link: the kernel's table of IP addresses and the MAC addresses they have (ARP,
// RFC 826; neighbour discovery, RFC 4861).
//
// Blocks briefly; any thread. Throws Error as link.h has it.
#pragma once

#include <string>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"

namespace warren::driver::link {

struct Neighbour {
  config::IpAddress address;
  config::MacAddress mac{};
  bool operator==(const Neighbour&) const = default;
};

// Those whose MAC address is known.
std::vector<Neighbour> list_neighbours(const std::string& link);

}  // namespace warren::driver::link
