// Implementation header: the kernel's messages about neighbours.
#pragma once

#include <optional>

#include "driver/link/neighbour.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

struct NeighbourMessage {
  int link = 0;  // index
  config::IpAddress address;
  std::optional<config::MacAddress> mac;  // none: it is gone, or did not answer
};
// Nothing for what is no IP address's, and for one that is still being asked.
std::optional<NeighbourMessage> neighbour_of(const Answer& answer);

}  // namespace warren::driver::link
