// Implementation header: the kernel's messages about neighbours.
#pragma once

#include <optional>

#include "driver/link/neighbour.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

struct NeighbourMessage {
  int link = 0;  // index
  Neighbour neighbour;
  bool gone = false;
};
// Nothing for what has no MAC address, or no IP address.
std::optional<NeighbourMessage> neighbour_of(const Answer& answer);

}  // namespace warren::driver::link
