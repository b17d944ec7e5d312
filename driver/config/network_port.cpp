#include "driver/config/network_port.h"

#include "driver/config/network_port_schema_text.h"
#include "driver/config/port_xml.h"
#include "driver/config/xml_schema.h"

namespace warren::driver::config {

namespace {

constexpr XmlLimits kLimits{.bytes = 256u << 10, .depth = 8, .nodes = 16'384};

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

XmlElement& require_child(XmlElement& parent, std::string_view name) {
  XmlElement* child = parent.child(name);
  if (!child) throw parent.malformed(fmt::format("<{}> is missing", name));
  return *child;
}

Uuid require_uuid(XmlElement& parent) {
  XmlElement& element = require_child(parent, "uuid");
  const auto uuid = Uuid::parse(element.text());
  if (!uuid) throw element.malformed("it is no UUID");
  return *uuid;
}

MacAddress require_mac(XmlElement& root) {
  XmlElement& element = require_child(root, "mac");
  const std::string text = require_text(element, "address");
  const auto mac = parse_mac_address(text);
  if (!mac)
    throw element.malformed_attribute("address",
                                      fmt::format("'{}' is not a MAC address", text.substr(0, 64)));
  if (is_multicast(*mac))
    throw element.malformed_attribute("address", fmt::format("'{}' is a multicast address", text));
  return *mac;
}

void parse_plug(XmlElement& element, NetworkPort& port) {
  const std::string type = require_text(element, "type");
  if (type == "network" || type == "bridge") {
    port.plug = BridgePlug{.is_network = type == "network",
                           .bridge = require_text(element, "bridge"),
                           .mac_table_manager = read_enum(element, "macTableManager", kMacTableManagerNames)};
  } else if (type == "direct") {
    port.plug = DirectPlug{.device = require_text(element, "dev"),
                           .mode = read_enum(element, "mode", kMacvtapModeNames).value_or(MacvtapMode::vepa)};
  } else if (type == "hostdev-pci") {
    HostDevicePlug plug{.managed = read_yes_no(element, "managed").value_or(false)};
    if (XmlElement* driver = element.child("driver"))
      plug.driver = require_enum(*driver, "name", kNetworkHostDeviceDriverNames);
    plug.address = parse_host_pci_address(require_child(element, "address"));
    port.plug = plug;
  } else if (type != "none") {
    throw element.malformed_attribute("type",
                                      fmt::format("'{}' is no kind of plug; it is one of: network, bridge, "
                                                  "direct, hostdev-pci",
                                                  type.substr(0, 64)));
  }
}

NetworkPort parse(std::string_view xml, bool validate) {
  if (validate) {
    validate_against({.text = std::string_view(kNetworkPortSchema, sizeof kNetworkPortSchema - 1),
                      .document = "networkport_definition",
                      .root = "networkport"},
                     xml, kLimits);
  }
  XmlDocument document(xml, "networkport_definition", kLimits);
  XmlElement& root = document.root();
  if (root.name() != "networkport")
    throw root.malformed(
        fmt::format("the document is to be <networkport>, not <{}>", root.name().substr(0, 64)));
  NetworkPort port;
  port.uuid = root.child("uuid") != nullptr ? require_uuid(root) : Uuid::random();
  XmlElement& owner = require_child(root, "owner");
  port.owner_name = require_child(owner, "name").text();
  port.owner_uuid = require_uuid(owner);
  if (port.owner_name.empty()) throw owner.malformed("<name> is empty");
  if (XmlElement* group = root.child("group")) port.group = group->text();
  port.mac = require_mac(root);
  if (XmlElement* element = root.child("virtualport")) port.virtual_port = parse_virtual_port(*element, true);
  if (XmlElement* element = root.child("bandwidth")) {
    port.bandwidth = parse_bandwidth(element, true);
    port.class_id = read_number(*element, "classID", 1).value_or(0);
    if (!port.bandwidth) port.class_id = 0;
  }
  if (XmlElement* element = root.child("vlan")) port.vlan = parse_vlan(*element);
  if (XmlElement* element = root.child("port")) port.isolated = read_yes_no(*element, "isolated");
  if (XmlElement* element = root.child("rxfilters"))
    port.trust_guest_rx_filters = read_yes_no(*element, "trustGuest");
  if (XmlElement* element = root.child("plug")) parse_plug(*element, port);
  root.refuse_unread();
  return port;
}

void format_bridge(XmlWriter& writer, const BridgePlug& plug) {
  writer.begin("plug");
  writer.attribute("type", plug.is_network ? "network" : "bridge");
  writer.attribute("bridge", plug.bridge);
  if (plug.mac_table_manager)
    writer.attribute("macTableManager", kMacTableManagerNames.name(*plug.mac_table_manager));
  writer.end();
}

void format_direct(XmlWriter& writer, const DirectPlug& plug) {
  writer.begin("plug");
  writer.attribute("type", "direct");
  writer.attribute("dev", plug.device);
  writer.attribute("mode", kMacvtapModeNames.name(plug.mode));
  writer.end();
}

void format_host_device(XmlWriter& writer, const HostDevicePlug& plug) {
  writer.begin("plug");
  writer.attribute("type", "hostdev-pci");
  writer.attribute("managed", plug.managed ? "yes" : "no");
  if (plug.driver) {
    writer.begin("driver");
    writer.attribute("name", kNetworkHostDeviceDriverNames.name(*plug.driver));
    writer.end();
  }
  format_host_pci_address(writer, plug.address);
  writer.end();
}

// <name attribute='yes|no'/>
void format_choice(XmlWriter& writer, std::string_view name, std::string_view attribute,
                   const std::optional<bool>& value) {
  if (!value) return;
  writer.begin(name);
  writer.attribute(attribute, *value ? "yes" : "no");
  writer.end();
}

}  // namespace

NetworkPort parse_network_port(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_NETWORK);
  }
}

std::string format_network_port(const NetworkPort& port) {
  XmlWriter writer(1024);
  writer.begin("networkport");
  writer.element("uuid", port.uuid.to_string());
  writer.begin("owner");
  writer.element("name", port.owner_name);
  writer.element("uuid", port.owner_uuid.to_string());
  writer.end();
  if (!port.group.empty()) writer.element("group", port.group);
  writer.begin("mac");
  writer.attribute("address", format_mac_address(port.mac));
  writer.end();
  if (port.virtual_port) format_virtual_port(writer, *port.virtual_port);
  format_bandwidth(writer, port.bandwidth, port.class_id);
  if (port.vlan) format_vlan(writer, *port.vlan);
  format_choice(writer, "port", "isolated", port.isolated);
  format_choice(writer, "rxfilters", "trustGuest", port.trust_guest_rx_filters);
  std::visit(Overloaded{[](std::monostate) {}, [&](const BridgePlug& plug) { format_bridge(writer, plug); },
                        [&](const DirectPlug& plug) { format_direct(writer, plug); },
                        [&](const HostDevicePlug& plug) { format_host_device(writer, plug); }},
             port.plug);
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::config
