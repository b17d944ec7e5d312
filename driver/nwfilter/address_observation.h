// What a frame on a guest's tap says of the guest's IPv4 address: ARP, IPv4, DHCP (RFC 826, 791, 2131).
//
// A pure function; the frame is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"

namespace warren::driver::nwfilter {

struct AddressObservation {
  enum class Kind {
    used,      // the guest sent something from it
    leased,    // a DHCP server gave it to the guest
    released,  // the guest gave it back to its DHCP server
  };
  Kind kind = Kind::used;
  config::IpAddress address;
  config::IpAddress server;   // of a lease: who sent it
  std::uint32_t lease_s = 0;  // of a lease; 0xffffffff: for ever
  bool operator==(const AddressObservation&) const = default;
};

inline constexpr std::uint32_t kInfiniteLease = 0xffffffff;

// `frame` begins with its Ethernet header and has no VLAN tag. What a guest says in a server's name is
// nothing.
std::optional<AddressObservation> observe_address(std::span<const std::uint8_t> frame,
                                                  const config::MacAddress& guest, bool to_guest);

}  // namespace warren::driver::nwfilter
