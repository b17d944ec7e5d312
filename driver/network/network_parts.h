// The parts parse_network(), format_network() and updated() are made of; private to this folder.
//
// Parsing throws Error that names element and line. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {

using config::XmlElement;

// An element of virNetworkUpdate is whole when it is to be put in, and may be `partial` when it only says
// which one is to go.
enum class Completeness { whole, partial };

inline constexpr config::XmlLimits kNetworkLimits{.bytes = 4u << 20, .depth = 64, .nodes = 100'000};
inline constexpr std::size_t kMostAddresses = 256;  // <ip> of a network

// forward_parser.cpp
const config::EnumTable<ForwardMode>& forward_mode_names();
std::optional<Forward> parse_forward(XmlElement& root);
std::string parse_forward_interface(XmlElement& element);

// address_parser.cpp
NetworkAddress parse_address(XmlElement& element);
// `parent`: the <ip> it is in.
DhcpRange parse_dhcp_range(XmlElement& element, const NetworkAddress& parent);
DhcpHost parse_dhcp_host(XmlElement& element, const NetworkAddress& parent, Completeness completeness);
NetworkRoute parse_route(XmlElement& element);

// dns_parser.cpp
std::optional<Dns> parse_dns(XmlElement* element);
// Of a partial one the address may be missing.
struct DnsHostPattern {
  std::optional<IpAddress> ip;
  std::vector<std::string> names;
};
DnsHostPattern parse_dns_host(XmlElement& element, Completeness completeness);
DnsText parse_dns_text(XmlElement& element, Completeness completeness);
DnsService parse_dns_service(XmlElement& element, Completeness completeness);

// network_parser.cpp
PortGroup parse_port_group(XmlElement& element);

// network_names.cpp
IpAddress require_ip_address(XmlElement& element, std::string_view attribute);
std::optional<IpAddress> read_ip_address(XmlElement& element, std::string_view attribute);
// Of a link of the host.
std::string require_link_name(XmlElement& element, std::string_view attribute);
// A name as DNS has them; what would break a line or a field of dnsmasq's configuration is refused.
void check_domain_name(const XmlElement& element, std::string_view name);
std::string read_domain_name(XmlElement& element, std::string_view attribute);
// Any text without control characters; empty if there is none.
std::string read_line(XmlElement& element, std::string_view attribute);

// network_checks.cpp: what concerns more than one element. `root` gives the lines.
void check_network(XmlElement& root, const NetworkDefinition& definition);

}  // namespace warren::driver::network
