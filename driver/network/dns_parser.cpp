// <dns>: what the name server of a network answers. All of it ends in lines of dnsmasq's configuration.
#include <algorithm>

#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

constexpr std::uint32_t kMost16Bits = 65535;

// One field of a line of fields parted by commas, and of a name of DNS labels.
std::string read_field(XmlElement& element, std::string_view attribute) {
  std::string text = read_line(element, attribute);
  if (text.find_first_of(", ") != std::string::npos)
    throw element.malformed_attribute(attribute,
                                      fmt::format("'{}' has a blank or a comma in it", text.substr(0, 64)));
  return text;
}

std::string require_field(XmlElement& element, std::string_view attribute) {
  std::string text = read_field(element, attribute);
  if (text.empty()) throw element.malformed_attribute(attribute, "it is missing or empty");
  return text;
}

// A service or a protocol: a label of a DNS name, written without its underscore (RFC 2782).
std::string read_label(XmlElement& element, std::string_view attribute) {
  std::string text = read_field(element, attribute);
  const bool is_label = std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_+/*").find(c) != std::string_view::npos;
  });
  if (!is_label)
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is not the name of a service or protocol", text.substr(0, 64)));
  return text;
}

DnsForwarder parse_forwarder(XmlElement& element) {
  DnsForwarder forwarder{.address = read_ip_address(element, "addr"),
                         .domain = read_domain_name(element, "domain")};
  if (!forwarder.address && forwarder.domain.empty()) throw element.malformed("it needs 'addr' or 'domain'");
  return forwarder;
}

}  // namespace

DnsHostPattern parse_dns_host(XmlElement& element, Completeness completeness) {
  DnsHostPattern host{.ip = read_ip_address(element, "ip"), .names = {}};
  for (XmlElement* child : element.children("hostname")) {
    const std::string_view name = child->text();
    check_domain_name(*child, name);
    host.names.emplace_back(name);
  }
  if (completeness == Completeness::whole) {
    if (!host.ip) throw element.malformed_attribute("ip", "it is missing");
    if (host.names.empty()) throw element.malformed("<hostname> is missing");
  } else if (!host.ip && host.names.empty()) {
    throw element.malformed("it is to say which host: 'ip' or <hostname>");
  }
  return host;
}

DnsText parse_dns_text(XmlElement& element, Completeness completeness) {
  DnsText text{.name = require_field(element, "name"), .value = read_line(element, "value")};
  if (completeness == Completeness::whole && !element.attribute("value"))
    throw element.malformed_attribute("value", "it is missing");
  return text;
}

DnsService parse_dns_service(XmlElement& element, Completeness completeness) {
  DnsService service{.service = read_label(element, "service"), .protocol = read_label(element, "protocol")};
  if (completeness == Completeness::whole && service.service.empty())
    throw element.malformed_attribute("service", "it is missing or empty");
  if (completeness == Completeness::whole && service.protocol.empty())
    throw element.malformed_attribute("protocol", "it is missing or empty");
  service.domain = read_domain_name(element, "domain");
  service.target = read_domain_name(element, "target");
  service.port = config::read_number(element, "port", 1, kMost16Bits);
  service.priority = config::read_number(element, "priority", 0, kMost16Bits);
  service.weight = config::read_number(element, "weight", 0, kMost16Bits);
  // 0 is what is said by saying nothing (RFC 2782).
  if (service.priority == 0u) service.priority.reset();
  if (service.weight == 0u) service.weight.reset();
  const bool is_about_target = service.port || service.priority || service.weight;
  if (completeness == Completeness::whole && is_about_target && service.target.empty())
    throw element.malformed_attribute("target", "'port', 'priority' and 'weight' need it");
  if (service == DnsService{}) throw element.malformed("it is to say which service");
  return service;
}

std::optional<Dns> parse_dns(XmlElement* element) {
  if (!element) return std::nullopt;
  Dns dns{.enable = config::read_yes_no(*element, "enable"),
          .forward_plain_names = config::read_yes_no(*element, "forwardPlainNames")};
  for (XmlElement* child : element->children("forwarder")) dns.forwarders.push_back(parse_forwarder(*child));
  for (XmlElement* child : element->children("txt"))
    dns.texts.push_back(parse_dns_text(*child, Completeness::whole));
  for (XmlElement* child : element->children("host")) {
    DnsHostPattern host = parse_dns_host(*child, Completeness::whole);
    dns.hosts.push_back({.ip = *host.ip, .names = std::move(host.names)});
  }
  for (XmlElement* child : element->children("srv"))
    dns.services.push_back(parse_dns_service(*child, Completeness::whole));
  const bool has_records =
      !(dns.forwarders.empty() && dns.texts.empty() && dns.hosts.empty() && dns.services.empty());
  if (dns.enable == false && has_records)
    throw element->malformed_attribute("enable", "a name server that is off has nothing to answer");
  if (dns == Dns{}) return std::nullopt;
  return dns;
}

}  // namespace warren::driver::network
