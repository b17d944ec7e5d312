// <network> to NetworkDefinition.
#include <set>
#include <utility>

#include "driver/config/port_xml.h"
#include "driver/config/xml_schema.h"
#include "driver/network/network_parts.h"
#include "driver/network/network_schema_text.h"

namespace warren::driver::network {

namespace {

constexpr std::size_t kMostNameBytes = 240;                // NAME.xml and its temporary are file names
constexpr std::uint32_t kLeastMtu = 68, kMostMtu = 65535;  // RFC 791 §3.2; what the kernel gives a bridge

void parse_identity(XmlElement& root, NetworkDefinition& definition) {
  XmlElement* name = root.child("name");
  if (!name || name->text().empty())
    throw Error(VIR_ERR_NO_NAME, fmt::format("a network needs <name>, with text (line {})", root.line()),
                VIR_FROM_NETWORK);
  definition.name = name->text();
  const bool is_path = definition.name.find_first_of(std::string_view("/\n\0", 3)) != std::string::npos;
  if (is_path || definition.name == "." || definition.name == "..")
    throw Error(
        VIR_ERR_XML_DETAIL,
        fmt::format("{} (line {}): '{}' cannot name a network: it has a '/' or a line break in it, or "
                    "is only dots",
                    name->path(), name->line(), definition.name.substr(0, 64)),
        VIR_FROM_NETWORK);
  if (definition.name.size() > kMostNameBytes)
    throw name->malformed(fmt::format("it is longer than {} bytes", kMostNameBytes));
  if (XmlElement* uuid = root.child("uuid")) {
    const auto value = Uuid::parse(uuid->text());
    if (!value) throw uuid->malformed("it is no UUID");
    definition.uuid = *value;
  } else {
    definition.uuid = Uuid::random();
  }
  if (XmlElement* title = root.child("title")) definition.title = title->text();
  if (definition.title.find('\n') != std::string::npos)
    throw root.child("title")->malformed("it is to be one line");
  if (XmlElement* description = root.child("description")) definition.description = description->text();
}

void parse_metadata(config::XmlDocument& document, NetworkDefinition& definition) {
  XmlElement* element = document.root().child("metadata");
  if (!element) return;
  definition.metadata = std::move(document.metadata());
  std::set<std::string_view> namespaces;
  for (const config::MetadataElement& one : definition.metadata) {
    if (one.namespace_uri.empty()) throw element->malformed("every element in it has to be in a namespace");
    if (!namespaces.insert(one.namespace_uri).second)
      throw element->malformed(
          fmt::format("there are two elements of the namespace '{}'", one.namespace_uri.substr(0, 256)));
  }
}

void parse_bridge(XmlElement& root, NetworkDefinition& definition) {
  XmlElement* element = root.child("bridge");
  if (!element) return;
  BridgeSettings& bridge = definition.bridge;
  if (const auto name = element->attribute("name"); name && !name->empty())
    bridge.name = require_link_name(*element, "name");
  bridge.zone = read_line(*element, "zone");
  const auto stp = config::read_on_off(*element, "stp");
  const auto delay = config::read_number(*element, "delay");
  bridge.stp = stp.value_or(true);
  bridge.delay_s = delay.value_or(0);
  bridge.mac_table_manager = config::read_enum(*element, "macTableManager", config::kMacTableManagerNames);
  if (definition.owns_bridge()) return;
  const std::string_view mode = forward_mode_names().name(definition.mode());
  if (definition.mode() != ForwardMode::bridge && bridge != BridgeSettings{})
    throw element->malformed(fmt::format("a network of mode '{}' has no bridge", mode));
  if (stp || bridge.delay_s != 0 || !bridge.zone.empty())
    throw element->malformed(
        fmt::format("'stp', 'delay' and 'zone' are for bridges that the network makes; one of mode '{}' does "
                    "not make its own",
                    mode));
  const bool has_pool =
      !definition.forward->interfaces.empty() || !definition.forward->physical_function.empty();
  if (!bridge.name.empty() && has_pool)
    throw element->malformed("a network of mode 'bridge' has either a bridge or interfaces, not both");
}

void parse_mac(XmlElement& root, NetworkDefinition& definition) {
  XmlElement* element = root.child("mac");
  if (!element) return;
  const std::string text = config::require_text(*element, "address");
  definition.mac = config::parse_mac_address(text);
  if (!definition.mac)
    throw element->malformed_attribute("address",
                                       fmt::format("'{}' is not a MAC address", text.substr(0, 64)));
  if (config::is_multicast(*definition.mac))
    throw element->malformed_attribute("address", fmt::format("'{}' is a multicast address", text));
}

void parse_domain(XmlElement& root, NetworkDefinition& definition) {
  XmlElement* element = root.child("domain");
  if (!element) return;
  definition.domain_name = read_domain_name(*element, "name");
  if (definition.domain_name.empty()) throw element->malformed_attribute("name", "it is missing or empty");
  definition.domain_local_only = config::read_yes_no(*element, "localOnly");
}

void parse_ports(XmlElement& root, NetworkDefinition& definition) {
  if (XmlElement* element = root.child("port"))
    definition.port_isolated = config::read_yes_no(*element, "isolated");
  if (XmlElement* element = root.child("vlan")) definition.vlan = config::parse_vlan(*element);
  if (XmlElement* element = root.child("virtualport"))
    definition.virtual_port = config::parse_virtual_port(*element, true);
  definition.bandwidth = config::parse_bandwidth(root.child("bandwidth"));
  for (XmlElement* element : root.children("portgroup"))
    definition.port_groups.push_back(parse_port_group(*element));
}

void parse_dnsmasq_options(XmlElement& root, NetworkDefinition& definition) {
  XmlElement* options = root.child("dnsmasq:options");
  if (!options) return;
  for (XmlElement* option : options->children("dnsmasq:option")) {
    definition.dnsmasq_options.push_back(read_line(*option, "value"));
    if (definition.dnsmasq_options.back().empty())
      throw option->malformed_attribute("value", "it is missing or empty");
  }
}

NetworkDefinition parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kNetworkSchema, sizeof kNetworkSchema - 1),
                              .document = "network_definition",
                              .root = "network"},
                             xml, kNetworkLimits);
  }
  config::XmlDocument document(xml, "network_definition", kNetworkLimits);
  XmlElement& root = document.root();
  if (root.name() != "network")
    throw root.malformed(fmt::format("the document is to be <network>, not <{}>", root.name().substr(0, 64)));
  NetworkDefinition definition;
  parse_identity(root, definition);
  parse_metadata(document, definition);
  root.attribute("connections");  // of a running network; nothing that could be set
  if (config::read_yes_no(root, "ipv6") == true) definition.ipv6 = true;
  definition.trust_guest_rx_filters = config::read_yes_no(root, "trustGuestRxFilters");
  definition.forward = parse_forward(root);
  parse_bridge(root, definition);
  if (XmlElement* mtu = root.child("mtu"))
    definition.mtu = config::require_number(*mtu, "size", kLeastMtu, kMostMtu);
  parse_mac(root, definition);
  parse_domain(root, definition);
  definition.dns = parse_dns(root.child("dns"));
  parse_ports(root, definition);
  for (XmlElement* element : root.children("ip")) definition.addresses.push_back(parse_address(*element));
  for (XmlElement* element : root.children("route")) definition.routes.push_back(parse_route(*element));
  parse_dnsmasq_options(root, definition);
  root.refuse_unread();
  check_network(root, definition);
  return definition;
}

}  // namespace

PortGroup parse_port_group(XmlElement& element) {
  PortGroup group{.name = config::require_text(element, "name"),
                  .is_default = config::read_yes_no(element, "default").value_or(false),
                  .trust_guest_rx_filters = config::read_yes_no(element, "trustGuestRxFilters")};
  if (XmlElement* child = element.child("virtualport"))
    group.virtual_port = config::parse_virtual_port(*child, true);
  group.bandwidth = config::parse_bandwidth(element.child("bandwidth"));
  if (XmlElement* child = element.child("vlan")) group.vlan = config::parse_vlan(*child);
  return group;
}

NetworkDefinition parse_network(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_NETWORK);
  }
}

}  // namespace warren::driver::network
