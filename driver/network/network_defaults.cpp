// What a network has without saying so.
#include <span>

#include "driver/config/domain_defaults.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {

namespace {

constexpr unsigned kIpv6Prefix = 64;

// The classes of RFC 791 §3.2.
unsigned natural_prefix(const IpAddress& address) {
  if (address.bytes[0] < 0x80) return 8;
  return address.bytes[0] < 0xc0 ? 16 : 24;
}

}  // namespace

unsigned NetworkAddress::effective_prefix() const {
  if (prefix) return *prefix;
  if (netmask) return config::prefix_of_netmask(*netmask).value_or(0);
  if (!address || address->is_ipv6) return kIpv6Prefix;
  return natural_prefix(*address);
}

unsigned NetworkRoute::effective_prefix() const {
  if (prefix) return *prefix;
  return netmask ? config::prefix_of_netmask(*netmask).value_or(0) : 0;
}

void fill_defaults(NetworkDefinition& definition) {
  if (!definition.owns_bridge() || definition.mac) return;
  MacAddress mac{0x52, 0x54, 0x00};
  config::system_random_bytes(std::span(mac).subspan(3));
  definition.mac = mac;
}

}  // namespace warren::driver::network
