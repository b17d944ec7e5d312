// What is behind an interface in place of a link of the host: a passt (<interface type='user'>) or a program
// that speaks vhost-user; and <backend>, which says how it is reached.
//
// Plain values; any thread. Format: libvirt's formatdomain, "Network interfaces".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/ip_address.h"

namespace warren::driver::config {

// <backend>
struct InterfaceBackend {
  bool passt = false;    // type='passt' was given; it is the only one there is
  std::string log_file;  // type user: what passt says goes there
  std::string vhost;     // type of a tap: in place of /dev/vhost-net
  bool tap = false;      // tap='/dev/net/tun' was given; it is the only one there is
  bool operator==(const InterfaceBackend&) const = default;
};

// <ip>: what a guest is given by DHCP or router advertisements; at most one of each family.
struct GuestAddress {
  IpAddress address;
  std::optional<std::uint32_t> prefix;
  bool operator==(const GuestAddress&) const = default;
};

// <range>: of ports, from 1 on; `to` is the guest's first.
struct PortRange {
  std::uint32_t start = 0;
  std::optional<std::uint32_t> end;  // the last; none: `start` alone
  std::optional<std::uint32_t> to;   // not of one that is left out
  std::optional<bool> exclude;
  bool operator==(const PortRange&) const = default;
};

enum class ForwardedProtocol { tcp, udp };

// <portForward>: ports of the host that lead to the guest's.
struct PortForward {
  ForwardedProtocol protocol = ForwardedProtocol::tcp;
  std::optional<IpAddress> address;  // of the host, where they are open; none: all
  std::string device;                // on that link alone
  std::vector<PortRange> ranges;     // empty: every port that is free
  bool operator==(const PortForward&) const = default;
};

// Type user.
struct UserNetwork {
  std::string device;  // the link whose addresses and routes the guest has; empty: that of the default route
  std::vector<GuestAddress> addresses;
  std::vector<PortForward> forwards;
  bool operator==(const UserNetwork&) const = default;
};

// Type vhostuser: <source type='unix' mode='client'>.
struct VhostUserSource {
  std::string path;
  bool operator==(const VhostUserSource&) const = default;
};

}  // namespace warren::driver::config
