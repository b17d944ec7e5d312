// <backend>, and what types user and vhostuser have in place of a link: to data and back.
#include "driver/config/interface_backend.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/interface_parts.h"

namespace warren::driver::config {

namespace {

constexpr std::uint32_t kMostPort = 65'535;
constexpr unsigned kIpv6Prefix = 64;  // what router advertisements of passt have

IpAddress require_address(XmlElement& element, std::string_view attribute) {
  const std::string text = require_text(element, attribute);
  const std::optional<IpAddress> address = parse_ip_address(text);
  if (!address) {
    throw element.malformed_attribute(attribute,
                                      fmt::format("'{}' is not an IP address", text.substr(0, 64)));
  }
  return *address;
}

GuestAddress parse_guest_address(XmlElement& element) {
  GuestAddress result{.address = require_address(element, "address"), .prefix = {}};
  const std::string_view family = element.attribute("family").value_or("ipv4");
  if (family != "ipv4" && family != "ipv6") throw element.malformed_attribute("family", "it is ipv4 or ipv6");
  if ((family == "ipv6") != result.address.is_ipv6)
    throw element.malformed_attribute("family", "it is not that of the address");
  result.prefix = read_number(element, "prefix", 1, result.address.bits());
  if (result.address.is_ipv6 && result.prefix.value_or(kIpv6Prefix) != kIpv6Prefix)
    throw element.unsupported_attribute("prefix", "an IPv6 network of passt has a prefix of 64");
  return result;
}

PortRange parse_port_range(XmlElement& element) {
  PortRange range{.start = require_number(element, "start", 1, kMostPort),
                  .end = read_number(element, "end", 1, kMostPort),
                  .to = read_number(element, "to", 1, kMostPort),
                  .exclude = read_yes_no(element, "exclude")};
  if (range.end && *range.end < range.start)
    throw element.malformed_attribute("end", fmt::format("it is below 'start' ({})", range.start));
  if (!range.to) return range;
  if (range.exclude == true)
    throw element.malformed_attribute("to", "ports that are left out have none at the guest");
  if (*range.to + (range.end.value_or(range.start) - range.start) > kMostPort)
    throw element.malformed_attribute("to", "there is no port above 65535");
  return range;
}

PortForward parse_port_forward(XmlElement& element) {
  PortForward forward{.protocol = require_enum(element, "proto", names::kForwardedProtocol),
                      .address = {},
                      .device = {},
                      .ranges = {}};
  if (element.attribute("address")) forward.address = require_address(element, "address");
  if (element.attribute("dev")) forward.device = require_interface_name(element, "dev");
  for (XmlElement* range : element.children("range")) forward.ranges.push_back(parse_port_range(*range));
  if (forward.ranges.empty() && (forward.address || !forward.device.empty())) {
    throw element.unsupported(
        "an address or a link without a <range>: say which ports lead to the guest there");
  }
  return forward;
}

void format_port_range(XmlWriter& writer, const PortRange& range) {
  writer.begin("range");
  writer.attribute("start", range.start);
  format_optional(writer, "end", range.end);
  format_optional(writer, "to", range.to);
  if (range.exclude) writer.attribute("exclude", *range.exclude ? "yes" : "no");
  writer.end();
}

}  // namespace

InterfaceBackend parse_interface_backend(XmlElement& element) {
  InterfaceBackend backend;
  backend.passt = accept_only(element, "type", "passt");
  if (element.attribute("logFile")) backend.log_file = require_absolute_path(element, "logFile");
  if (element.attribute("vhost")) backend.vhost = require_absolute_path(element, "vhost");
  backend.tap = accept_only(element, "tap", "/dev/net/tun");
  return backend;
}

void check_interface_backend(XmlElement& element, const Interface& interface) {
  XmlElement* const backend = element.child("backend");
  if (backend == nullptr) return;
  const bool is_user = interface.type == InterfaceType::user;
  if (interface.backend.passt && !is_user)
    throw backend->unsupported_attribute("type", "passt is for interfaces of type user");
  if (!interface.backend.log_file.empty() && !is_user)
    throw backend->unsupported_attribute("logFile", "it is of passt, for interfaces of type user");
  if (!interface.backend.vhost.empty() && interface.driver.name != PacketMover::vhost)
    throw backend->unsupported_attribute("vhost", "it has no effect without <driver name='vhost'/>");
  if (interface.backend.tap && !has_link(interface))
    throw backend->unsupported_attribute("tap", "this interface has no tap");
}

void format_interface_backend(XmlWriter& writer, const InterfaceBackend& backend) {
  if (backend == InterfaceBackend{}) return;
  writer.begin("backend");
  if (backend.passt) writer.attribute("type", "passt");
  if (backend.tap) writer.attribute("tap", "/dev/net/tun");
  if (!backend.vhost.empty()) writer.attribute("vhost", backend.vhost);
  if (!backend.log_file.empty()) writer.attribute("logFile", backend.log_file);
  writer.end();
}

UserNetwork parse_user_network(XmlElement& element) {
  UserNetwork user;
  if (XmlElement* source = element.child("source"))
    if (source->attribute("dev")) user.device = require_interface_name(*source, "dev");
  for (XmlElement* address : element.children("ip")) {
    GuestAddress parsed = parse_guest_address(*address);
    const bool is_second = std::ranges::any_of(user.addresses, [&](const GuestAddress& other) {
      return other.address.is_ipv6 == parsed.address.is_ipv6;
    });
    if (is_second) throw address->unsupported("a guest of passt has one address of each family");
    user.addresses.push_back(parsed);
  }
  for (XmlElement* forward : element.children("portForward"))
    user.forwards.push_back(parse_port_forward(*forward));
  return user;
}

void format_user_source(XmlWriter& writer, const UserNetwork& user) {
  if (user.device.empty()) return;
  writer.begin("source");
  writer.attribute("dev", user.device);
  writer.end();
}

void format_user_network(XmlWriter& writer, const UserNetwork& user) {
  for (const GuestAddress& each : user.addresses) {
    writer.begin("ip");
    writer.attribute("address", format_ip_address(each.address));
    writer.attribute("family", each.address.is_ipv6 ? "ipv6" : "ipv4");
    format_optional(writer, "prefix", each.prefix);
    writer.end();
  }
  for (const PortForward& forward : user.forwards) {
    writer.begin("portForward");
    writer.attribute("proto", names::kForwardedProtocol.name(forward.protocol));
    if (forward.address) writer.attribute("address", format_ip_address(*forward.address));
    if (!forward.device.empty()) writer.attribute("dev", forward.device);
    for (const PortRange& range : forward.ranges) format_port_range(writer, range);
    writer.end();
  }
}

VhostUserSource parse_vhost_user_interface(XmlElement& element) {
  XmlElement* const source = element.child("source");
  if (source == nullptr) throw element.malformed("<source type='unix' path='…' mode='client'/> is missing");
  require_text(*source, "type");
  accept_only(*source, "type", "unix");
  VhostUserSource result{.path = require_absolute_path(*source, "path")};
  const std::string mode = require_text(*source, "mode");
  if (mode == "server") {
    throw source->unsupported_attribute(
        "mode",
        "Warren does not wait for back ends that connect; have the other program listen, "
        "and give mode='client'");
  }
  if (mode != "client") throw source->malformed_attribute("mode", "it is client or server");
  XmlElement* const reconnect = source->child("reconnect");
  if (reconnect != nullptr && read_yes_no(*reconnect, "enabled").value_or(false)) {
    throw reconnect->unsupported_attribute(
        "enabled", "Warren does not connect to a back end again that was lost; leave <reconnect> out");
  }
  return result;
}

void format_vhost_user_interface(XmlWriter& writer, const VhostUserSource& source) {
  writer.begin("source");
  writer.attribute("type", "unix");
  writer.attribute("path", source.path);
  writer.attribute("mode", "client");
  writer.end();
}

// What a link of the host would be, and what the driver cannot be without one.
void check_without_link(XmlElement& element, const Interface& interface) {
  if (device_plug_of(interface) != nullptr) return;  // check_port_settings
  if (has_link(interface)) {
    if (interface.driver.name == PacketMover::vhost && interface.driver.packed == true) {
      throw element.child("driver")->unsupported_attribute(
          "packed", "the kernel's vhost-net has no packed rings; leave one of the two out");
    }
    return;
  }
  const std::string why = fmt::format("an interface of type {} has no link of the host",
                                      names::kInterfaceType.name(interface.type));
  for (const char* name : {"vlan", "virtualport", "port", "filterref", "target", "bandwidth"})
    if (XmlElement* child = element.child(name)) throw child->unsupported(why);
  if (interface.driver.name == PacketMover::vhost)
    throw element.child("driver")->unsupported_attribute("name", why);
  if (interface.type == InterfaceType::user && interface.driver.queues.value_or(1) != 1)
    throw element.child("driver")->unsupported_attribute("queues", "passt has one pair of queues");
  if (interface.type == InterfaceType::vhostuser && interface.driver.packed == true) {
    throw element.child("driver")->unsupported_attribute(
        "packed", "Warren hands no packed rings to other programs; leave it out");
  }
}

}  // namespace warren::driver::config
