// What only some links have: a speed, a VLAN's tag, a bond's settings. Bridges have a header of their own.
//
// Blocks briefly; any thread. Throws Error as link.h has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/ip_address.h"

namespace warren::driver::link {

// Mbit/s; nothing for a link that has none (a bridge without ports) or does not know it (no cable).
std::optional<std::uint32_t> read_speed(const std::string& link);

// What has gone by since the link was made, as the host sees it: what a guest sends by its tap is received.
struct Traffic {
  std::uint64_t received_bytes = 0, received_packets = 0, received_errors = 0, received_dropped = 0;
  std::uint64_t sent_bytes = 0, sent_packets = 0, sent_errors = 0, sent_dropped = 0;
};
// Nothing for a link that is not there (any more).
std::optional<Traffic> read_traffic(const std::string& link);

// IEEE 802.1Q; nothing for what is no VLAN's link.
std::optional<std::uint16_t> read_vlan_tag(const std::string& link);

// As the kernel's bonding documentation has it; times in milliseconds.
struct Bond {
  std::uint8_t mode = 0;
  std::uint32_t mii_interval = 0, up_delay = 0, down_delay = 0;
  bool use_carrier = false;
  std::uint32_t arp_interval = 0;
  std::uint32_t arp_validate = 0;
  std::optional<config::IpAddress> arp_target;  // the first
};
// Nothing for what is no bond.
std::optional<Bond> read_bond(const std::string& link);

}  // namespace warren::driver::link
