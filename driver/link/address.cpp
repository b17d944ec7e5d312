#include "driver/link/address.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <span>

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

std::uint8_t family_of(const IpAddress& address) {
  return address.is_ipv6 ? AF_INET6 : AF_INET;
}

std::span<const std::uint8_t> bytes_of(const IpAddress& address) {
  return std::span(address.bytes).first(address.bits() / 8);
}

std::optional<IpAddress> address_of(std::uint8_t family, std::span<const std::uint8_t> bytes) {
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  IpAddress address{.is_ipv6 = family == AF_INET6};
  if (bytes.size() != address.bits() / 8) return std::nullopt;
  std::ranges::copy(bytes, address.bytes.begin());
  return address;
}

void check_prefix(const IpAddress& address, unsigned prefix) {
  if (prefix > address.bits())
    throw invalid_argument(fmt::format("{}/{}: the prefix is beyond {} bits",
                                       config::format_ip_address(address), prefix, address.bits()));
}

std::string text_of(const IpAddress& address, unsigned prefix) {
  return fmt::format("{}/{}", config::format_ip_address(address), prefix);
}

Message address_message(int type, int flags, const Link& link, const LinkAddress& address) {
  const bool is_ipv6 = address.address.is_ipv6;
  Message message(type, flags,
                  ifaddrmsg{.ifa_family = family_of(address.address),
                            .ifa_prefixlen = static_cast<std::uint8_t>(address.prefix),
                            .ifa_flags = static_cast<std::uint8_t>(is_ipv6 ? IFA_F_NODAD : 0),
                            .ifa_index = static_cast<std::uint32_t>(link.index)});
  message.put(IFA_LOCAL, bytes_of(address.address));
  if (is_ipv6) return message;
  message.put(IFA_ADDRESS, bytes_of(address.address));
  // A network of two (RFC 3021) or one has no broadcast address.
  if (type == RTM_NEWADDR && address.prefix < 31)
    message.put(IFA_BROADCAST, bytes_of(config::last_address(address.address, address.prefix)));
  return message;
}

Message route_message(int type, int flags, const Route& route) {
  const bool is_new = type == RTM_NEWROUTE;
  Message message(type, flags,
                  rtmsg{.rtm_family = family_of(route.network),
                        .rtm_dst_len = static_cast<std::uint8_t>(route.prefix),
                        .rtm_table = RT_TABLE_MAIN,
                        // Of a removal: any.
                        .rtm_protocol = static_cast<std::uint8_t>(is_new ? RTPROT_STATIC : RTPROT_UNSPEC),
                        .rtm_scope = static_cast<std::uint8_t>(!is_new          ? RT_SCOPE_NOWHERE
                                                               : !route.gateway ? RT_SCOPE_LINK
                                                                                : RT_SCOPE_UNIVERSE),
                        .rtm_type = RTN_UNICAST});
  if (route.prefix != 0) message.put(RTA_DST, bytes_of(route.network));
  if (route.gateway) message.put(RTA_GATEWAY, bytes_of(*route.gateway));
  if (!route.link.empty()) message.put(RTA_OIF, require_link(route.link).index);
  if (route.metric) message.put(RTA_PRIORITY, *route.metric);
  return message;
}

void check(const Route& route) {
  check_prefix(route.network, route.prefix);
  if (route.gateway && route.gateway->is_ipv6 != route.network.is_ipv6)
    throw invalid_argument(fmt::format("route to {}: gateway {} is of another family",
                                       text_of(route.network, route.prefix),
                                       config::format_ip_address(*route.gateway)));
  if (!route.gateway && route.link.empty())
    throw invalid_argument(
        fmt::format("route to {}: it needs a gateway or a link", text_of(route.network, route.prefix)));
  if (config::first_address(route.network, route.prefix) != route.network)
    throw invalid_argument(fmt::format("route to {}: the address has bits beyond its prefix",
                                       text_of(route.network, route.prefix)));
}

std::map<int, std::string> names_of_links() {
  std::map<int, std::string> names;
  for (const Link& link : list_links()) names[link.index] = link.name;
  return names;
}

std::optional<Route> route_of(const Answer& answer, const std::map<int, std::string>& names) {
  const auto header = answer.header<rtmsg>();
  if (!header || header->rtm_type != RTN_UNICAST || (header->rtm_flags & RTM_F_CLONED) != 0)
    return std::nullopt;
  const Attributes attributes = answer.attributes<rtmsg>();
  if (attributes.get<std::uint32_t>(RTA_TABLE).value_or(header->rtm_table) != RT_TABLE_MAIN)
    return std::nullopt;
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return std::nullopt;
  Route route{.network = {.is_ipv6 = header->rtm_family == AF_INET6}, .prefix = header->rtm_dst_len};
  if (const auto network = address_of(header->rtm_family, attributes.bytes(RTA_DST)); network)
    route.network = *network;
  route.gateway = address_of(header->rtm_family, attributes.bytes(RTA_GATEWAY));
  if (const auto found = names.find(attributes.get<int>(RTA_OIF).value_or(0)); found != names.end())
    route.link = found->second;
  route.metric = attributes.get<std::uint32_t>(RTA_PRIORITY);
  return route;
}

struct OwnedAddress {
  int link = 0;
  LinkAddress address;
};

std::vector<OwnedAddress> every_address() {
  std::vector<OwnedAddress> addresses;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETADDR, 0, ifaddrmsg{}), "list the addresses")) {
    const auto header = answer.header<ifaddrmsg>();
    if (!header) continue;
    const Attributes attributes = answer.attributes<ifaddrmsg>();
    // Of a point-to-point link, IFA_ADDRESS is the other end's.
    auto address = address_of(header->ifa_family, attributes.bytes(IFA_LOCAL));
    if (!address) address = address_of(header->ifa_family, attributes.bytes(IFA_ADDRESS));
    if (address)
      addresses.push_back({static_cast<int>(header->ifa_index), {*address, header->ifa_prefixlen}});
  }
  return addresses;
}

}  // namespace

void add_address(const std::string& link, const LinkAddress& address) {
  check_prefix(address.address, address.prefix);
  const Message message =
      address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, require_link(link), address);
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error != 0 && result.error != EEXIST)
    fail(result,
         fmt::format("link {}: cannot add the address {}", link, text_of(address.address, address.prefix)));
}

void remove_address(const std::string& link, const LinkAddress& address) {
  check_prefix(address.address, address.prefix);
  const Netlink::Result result =
      Netlink().try_send(address_message(RTM_DELADDR, 0, require_link(link), address));
  if (result.error != 0 && result.error != EADDRNOTAVAIL)
    fail(result, fmt::format("link {}: cannot remove the address {}", link,
                             text_of(address.address, address.prefix)));
}

std::vector<LinkAddress> list_addresses(const std::string& link) {
  const int index = require_link(link).index;
  std::vector<LinkAddress> addresses;
  for (const OwnedAddress& owned : every_address())
    if (owned.link == index) addresses.push_back(owned.address);
  return addresses;
}

void add_route(const Route& route) {
  check(route);
  const Netlink::Result result =
      Netlink().try_send(route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route));
  if (result.error == 0 || result.error == EEXIST) return;
  const std::string via =
      route.gateway ? fmt::format(" by {}", config::format_ip_address(*route.gateway)) : std::string();
  fail(result, fmt::format("link {}: cannot add the route to {}{}", route.link.empty() ? "(any)" : route.link,
                           text_of(route.network, route.prefix), via));
}

void remove_route(const Route& route) {
  check(route);
  const Netlink::Result result = Netlink().try_send(route_message(RTM_DELROUTE, 0, route));
  if (result.error == 0 || result.error == ESRCH) return;
  fail(result, fmt::format("link {}: cannot remove the route to {}",
                           route.link.empty() ? "(any)" : route.link, text_of(route.network, route.prefix)));
}

std::vector<Route> list_routes() {
  const std::map<int, std::string> names = names_of_links();
  std::vector<Route> routes;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETROUTE, 0, rtmsg{}), "list the routes"))
    if (std::optional<Route> route = route_of(answer, names); route) routes.push_back(std::move(*route));
  return routes;
}

std::optional<std::string> link_using(const IpAddress& network, unsigned prefix,
                                      const std::vector<std::string>& except) {
  check_prefix(network, prefix);
  const auto counts = [&](const std::string& name) {
    return !name.empty() && std::ranges::find(except, name) == except.end();
  };
  const std::map<int, std::string> names = names_of_links();
  for (const OwnedAddress& owned : every_address()) {
    const auto found = names.find(owned.link);
    if (found != names.end() && counts(found->second) && owned.address.address.is_ipv6 == network.is_ipv6 &&
        config::in_same_network(owned.address.address, network, prefix))
      return found->second;
  }
  for (const Route& route : list_routes()) {
    if (counts(route.link) && route.network.is_ipv6 == network.is_ipv6 && route.prefix >= prefix &&
        config::in_same_network(route.network, network, prefix))
      return route.link;
  }
  return std::nullopt;
}

}  // namespace warren::driver::link
