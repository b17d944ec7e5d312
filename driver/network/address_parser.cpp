// <ip> with its <dhcp>, and <route>.
#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

using Unit = DhcpLeaseTime::Unit;
constexpr config::EnumName<Unit> kUnits[] = {
    {"seconds", Unit::seconds}, {"minutes", Unit::minutes}, {"hours", Unit::hours}};
constexpr std::uint64_t kLeastLeaseSeconds = 120;         // dnsmasq raises what is shorter without a word
constexpr std::uint64_t kMostLeaseSeconds = 0xffff'fffe;  // RFC 2132 §9.2; 0xffffffff is for ever
constexpr std::uint64_t kMostRangeAddresses = 65535;

constexpr config::EnumName<bool> kFamilies[] = {{"ipv4", false}, {"ipv6", true}};

// What <ip> and <route> say alike: family, address, prefix and netmask.
template <typename Network>
void parse_subnet(XmlElement& element, const IpAddress& address, Network& network) {
  const auto family = element.attribute("family");
  if (family && !family->empty()) {
    const bool is_ipv6 = config::require_enum(element, "family", config::EnumTable<bool>{kFamilies, {}});
    if (is_ipv6 != address.is_ipv6)
      throw element.malformed_attribute(
          "family", fmt::format("it is '{}', but {} is not", *family, config::format_ip_address(address)));
    network.has_family = true;
  } else if (address.is_ipv6) {
    throw element.malformed_attribute("family", "an IPv6 address needs family='ipv6'");
  }
  network.prefix = config::read_number(element, "prefix", 0, address.bits());
  network.netmask = read_ip_address(element, "netmask");
  if (!network.netmask) return;
  if (network.prefix) throw element.malformed_attribute("netmask", "there is a prefix already");
  if (address.is_ipv6) throw element.malformed_attribute("netmask", "an IPv6 address has a prefix instead");
  if (network.netmask->is_ipv6 || !config::prefix_of_netmask(*network.netmask))
    throw element.malformed_attribute(
        "netmask", fmt::format("'{}' is not an IPv4 netmask", config::format_ip_address(*network.netmask)));
}

std::optional<DhcpLeaseTime> parse_lease(XmlElement& parent) {
  XmlElement* element = parent.child("lease");
  if (!element) return std::nullopt;
  const auto text = element->attribute("expiry");
  if (!text) throw element->malformed_attribute("expiry", "it is missing");
  const auto expiry = config::parse_unsigned(*text);
  if (!expiry)
    throw element->malformed_attribute("expiry", fmt::format("'{}' is not a number", text->substr(0, 64)));
  DhcpLeaseTime lease{.expiry = *expiry};
  lease.unit =
      config::read_enum(*element, "unit", config::EnumTable<Unit>{kUnits, {}}).value_or(Unit::minutes);
  if (lease.expiry == 0) return DhcpLeaseTime{};
  constexpr std::array<std::uint64_t, 3> kSeconds = {1, 60, 3600};
  std::uint64_t seconds = 0;
  if (__builtin_mul_overflow(lease.expiry, kSeconds[static_cast<std::size_t>(lease.unit)], &seconds) ||
      seconds > kMostLeaseSeconds)
    throw element->unsupported_attribute("expiry", "it is longer than DHCP can say; 0 is for ever");
  if (seconds < kLeastLeaseSeconds)
    throw element->unsupported_attribute("expiry", "two minutes are the least");
  return lease;
}

// How many addresses there are; more than can be counted are the most that can be counted.
std::uint64_t addresses_of(const AddressRange& range) {
  std::uint64_t difference = 0;
  int borrow = 0;
  for (std::size_t i = range.begin.bits() / 8; i-- > 0;) {
    const int step = range.end.bytes[i] - range.begin.bytes[i] - borrow;
    borrow = step < 0 ? 1 : 0;
    const std::uint64_t digit = static_cast<std::uint8_t>(step);
    const std::size_t place = range.begin.bits() / 8 - 1 - i;
    if (place >= 7 && digit != 0) return std::numeric_limits<std::uint64_t>::max();
    if (place < 7) difference |= digit << 8 * place;
  }
  return difference + 1;
}

void check_host_mac(const XmlElement& element, std::string_view text) {
  const auto mac = config::parse_mac_address(text);
  if (!mac)
    throw element.malformed_attribute("mac", fmt::format("'{}' is not a MAC address", text.substr(0, 64)));
  if (config::is_multicast(*mac))
    throw element.malformed_attribute("mac", fmt::format("'{}' is a multicast address", text));
}

// DHCPv6 client identifiers are bytes in hexadecimal digits, parted by colons.
void check_client_id(const XmlElement& element, std::string_view id) {
  const bool is_hexadecimal = std::ranges::all_of(id, [](char c) {
    return c == ':' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (!is_hexadecimal)
    throw element.malformed_attribute(
        "id", fmt::format("'{}' is not hexadecimal digits parted by colons", id.substr(0, 64)));
}

void check_whole_host(const XmlElement& element, const DhcpHost& host, bool is_ipv6) {
  if (is_ipv6 && host.id.empty() && host.name.empty())
    throw element.malformed("it is to say who gets the address: 'id' or 'name'");
  if (!is_ipv6 && !host.mac && host.name.empty())
    throw element.malformed("it is to say who gets the address: 'mac' or 'name'");
  if (!host.ip) throw element.malformed_attribute("ip", "it is missing");
  if (host.ip->is_ipv6 != is_ipv6)
    throw element.malformed_attribute("ip", "it is not of the family of the <ip> it is below");
}

void parse_boot(XmlElement& dhcp, NetworkAddress& address) {
  XmlElement* element = dhcp.child("bootp");
  if (!element) return;
  if (address.address->is_ipv6) throw element->unsupported("it is only for IPv4 addresses");
  address.boot_file = read_line(*element, "file");
  if (address.boot_file.empty()) throw element->malformed_attribute("file", "it is missing or empty");
  address.boot_server = read_ip_address(*element, "server");
  if (address.boot_server && address.boot_server->is_ipv6)
    throw element->malformed_attribute("server", "it is not an IPv4 address");
}

void parse_dhcp(XmlElement& dhcp, NetworkAddress& address) {
  for (XmlElement* range : dhcp.children("range"))
    address.ranges.push_back(parse_dhcp_range(*range, address));
  std::set<IpAddress> given;
  for (XmlElement* element : dhcp.children("host")) {
    DhcpHost host = parse_dhcp_host(*element, address, Completeness::whole);
    // dnsmasq gives neither of two hosts the address.
    if (!given.insert(*host.ip).second)
      throw element->malformed(
          fmt::format("the address {} is given to two hosts", config::format_ip_address(*host.ip)));
    address.hosts.push_back(std::move(host));
  }
  parse_boot(dhcp, address);
}

}  // namespace

NetworkAddress parse_address(XmlElement& element) {
  NetworkAddress address;
  address.address = require_ip_address(element, "address");
  parse_subnet(element, *address.address, address);
  if (address.prefix == 0u) address.prefix.reset();  // libvirt takes it for none
  if (config::is_unspecified(*address.address) || config::is_multicast(*address.address))
    throw element.malformed_attribute(
        "address", fmt::format("no host can have {}", config::format_ip_address(*address.address)));
  if (const auto local = config::read_yes_no(element, "localPtr")) address.local_ptr = *local;
  if (XmlElement* tftp = element.child("tftp")) {
    if (address.address->is_ipv6) throw tftp->unsupported("it is only for IPv4 addresses");
    address.tftp_root = config::require_absolute_path(*tftp, "root");
  }
  if (XmlElement* dhcp = element.child("dhcp")) parse_dhcp(*dhcp, address);
  return address;
}

DhcpRange parse_dhcp_range(XmlElement& element, const NetworkAddress& parent) {
  const DhcpRange range{
      .addresses = {require_ip_address(element, "start"), require_ip_address(element, "end")},
      .lease = parse_lease(element)};
  const auto& [begin, end] = range.addresses;
  const IpAddress& address = *parent.address;
  const unsigned prefix = parent.effective_prefix();
  if (begin.is_ipv6 != address.is_ipv6 || end.is_ipv6 != address.is_ipv6)
    throw element.malformed("its addresses are not of the family of the <ip> it is below");
  if (end < begin) throw element.malformed("the range ends before it starts");
  if (!config::in_same_network(begin, address, prefix) || !config::in_same_network(end, address, prefix))
    throw element.malformed(
        fmt::format("the range is not within the network {}/{}", config::format_ip_address(address), prefix));
  if (!address.is_ipv6 && begin == config::first_address(address, prefix))
    throw element.malformed_attribute("start", "it is the address of the network itself");
  if (!address.is_ipv6 && end == config::last_address(address, prefix))
    throw element.malformed_attribute("end", "it is the broadcast address of the network");
  if (addresses_of(range.addresses) > kMostRangeAddresses)
    throw element.malformed(fmt::format("it has more than {} addresses", kMostRangeAddresses));
  return range;
}

DhcpHost parse_dhcp_host(XmlElement& element, const NetworkAddress& parent, Completeness completeness) {
  const bool is_ipv6 = parent.address->is_ipv6;
  DhcpHost host;
  if (const auto mac = element.attribute("mac")) {
    if (is_ipv6)
      throw element.malformed_attribute("mac", "DHCPv6 knows its clients by 'id', not by MAC address");
    check_host_mac(element, *mac);
    host.mac = *mac;
  }
  if (const auto id = element.attribute("id")) {
    if (!is_ipv6) throw element.unsupported_attribute("id", "it is only for IPv6 addresses");
    check_client_id(element, *id);
    host.id = *id;
  }
  host.name = read_domain_name(element, "name");
  if (const auto name = element.attribute("name");
      name && (name->empty() || name->front() == '-' || name->front() == '.'))
    throw element.malformed_attribute("name",
                                      fmt::format("'{}' is not the name of a host", name->substr(0, 64)));
  host.ip = read_ip_address(element, "ip");
  host.lease = parse_lease(element);
  if (completeness == Completeness::whole) {
    check_whole_host(element, host, is_ipv6);
  } else if (!host.mac && host.id.empty() && host.name.empty() && !host.ip) {
    throw element.malformed("it is to say which host: 'mac', 'id', 'name' or 'ip'");
  }
  return host;
}

NetworkRoute parse_route(XmlElement& element) {
  NetworkRoute route;
  route.address = require_ip_address(element, "address");
  route.gateway = require_ip_address(element, "gateway");
  parse_subnet(element, route.address, route);
  if (route.gateway.is_ipv6 != route.address.is_ipv6)
    throw element.malformed_attribute("gateway", "it is not of the family of the route");
  if (config::first_address(route.address, route.effective_prefix()) != route.address)
    throw element.malformed_attribute(
        "address", fmt::format("{}/{} is not the address of a network",
                               config::format_ip_address(route.address), route.effective_prefix()));
  route.metric = config::read_number(element, "metric", 1);
  return route;
}

}  // namespace warren::driver::network
