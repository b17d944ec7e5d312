// Addresses of links, and routes (the main table).
//
// Blocks briefly; any thread. Throws Error as link.h has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/ip_address.h"

namespace warren::driver::link {

using config::IpAddress;

struct LinkAddress {
  IpAddress address;
  unsigned prefix = 0;
  bool operator==(const LinkAddress&) const = default;
};

// IPv4 with its broadcast address; IPv6 at once, without asking whether another has it (RFC 4862 §5.4): the
// links are our own. An address that the link has already stays.
void add_address(const std::string& link, const LinkAddress& address);
// One that the link does not have is removed already.
void remove_address(const std::string& link, const LinkAddress& address);
std::vector<LinkAddress> list_addresses(const std::string& link);  // in the kernel's order

struct Route {
  IpAddress network;  // its host bits are 0
  unsigned prefix = 0;
  std::optional<IpAddress> gateway;
  std::string link;  // empty: the one that the gateway is on
  std::optional<std::uint32_t> metric;
  bool operator==(const Route&) const = default;
};

// A route that is there already stays.
void add_route(const Route& route);
// One that is not there is removed already.
void remove_route(const Route& route);
std::vector<Route> list_routes();  // unicast ones, with default routes

// Who uses the network `network`/`prefix` already: the link with an address in it, or of a route to a part of
// it or to all of it. Links named in `except` do not count. A network around it (a default route) does not
// use it.
std::optional<std::string> link_using(const IpAddress& network, unsigned prefix,
                                      const std::vector<std::string>& except = {});

}  // namespace warren::driver::link
