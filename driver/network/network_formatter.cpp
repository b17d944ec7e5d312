// NetworkDefinition to <network>, in libvirt's order.
#include "driver/config/port_xml.h"
#include "driver/network/network_parts.h"

namespace warren::driver::network {

using config::XmlWriter;

namespace {

std::string_view yes_no(bool value) {
  return value ? "yes" : "no";
}

void format_choice(XmlWriter& writer, std::string_view name, const std::optional<bool>& value) {
  if (value) writer.attribute(name, yes_no(*value));
}

void format_text(XmlWriter& writer, std::string_view name, std::string_view text) {
  if (!text.empty()) writer.attribute(name, text);
}

template <typename Number>
void format_number(XmlWriter& writer, std::string_view name, const std::optional<Number>& value) {
  if (value) writer.attribute(name, *value);
}

void format_address(XmlWriter& writer, std::string_view name, const std::optional<IpAddress>& address) {
  if (address) writer.attribute(name, config::format_ip_address(*address));
}

// <name attribute=…/>
template <typename Value>
void format_single(XmlWriter& writer, std::string_view name, std::string_view attribute, const Value& value) {
  writer.begin(name);
  writer.attribute(attribute, value);
  writer.end();
}

void format_nat(XmlWriter& writer, const Forward& forward) {
  if (!forward.nat_ipv6 && !forward.nat_addresses && !forward.nat_ports) return;
  writer.begin("nat");
  if (forward.nat_ipv6) writer.attribute("ipv6", "yes");
  if (forward.nat_addresses) {
    writer.begin("address");
    format_address(writer, "start", forward.nat_addresses->begin);
    format_address(writer, "end", forward.nat_addresses->end);
    writer.end();
  }
  if (forward.nat_ports) {
    writer.begin("port");
    writer.attribute("start", forward.nat_ports->begin);
    writer.attribute("end", forward.nat_ports->end);
    writer.end();
  }
  writer.end();
}

void format_forward(XmlWriter& writer, const NetworkDefinition& definition, const LiveFigures* live) {
  if (!definition.forward) return;
  const Forward& forward = *definition.forward;
  writer.begin("forward");
  if (!forward.interfaces.empty() && forward.physical_function.empty())
    writer.attribute("dev", forward.interfaces.front());
  writer.attribute("mode", forward_mode_names().name(forward.mode));
  format_choice(writer, "managed", forward.managed);
  if (forward.driver)
    format_single(writer, "driver", "name", config::kNetworkHostDeviceDriverNames.name(*forward.driver));
  format_nat(writer, forward);
  if (!forward.physical_function.empty()) format_single(writer, "pf", "dev", forward.physical_function);
  for (std::size_t i = 0; i < forward.interfaces.size(); ++i) {
    writer.begin("interface");
    writer.attribute("dev", forward.interfaces[i]);
    if (live && i < live->interface_connections.size() && live->interface_connections[i] != 0)
      writer.attribute("connections", live->interface_connections[i]);
    writer.end();
  }
  const bool is_found = live && !forward.physical_function.empty() && forward.addresses.empty();
  for (const config::PciAddress& address : is_found ? live->functions : forward.addresses)
    config::format_host_pci_address(writer, address);
  writer.end();
}

void format_bridge(XmlWriter& writer, const NetworkDefinition& definition) {
  const BridgeSettings& bridge = definition.bridge;
  if (!definition.owns_bridge() && bridge == BridgeSettings{}) return;
  writer.begin("bridge");
  format_text(writer, "name", bridge.name);
  format_text(writer, "zone", bridge.zone);
  if (definition.owns_bridge()) {
    writer.attribute("stp", bridge.stp ? "on" : "off");
    writer.attribute("delay", bridge.delay_s);
  }
  if (bridge.mac_table_manager)
    writer.attribute("macTableManager", config::kMacTableManagerNames.name(*bridge.mac_table_manager));
  writer.end();
}

void format_service(XmlWriter& writer, const DnsService& service) {
  writer.begin("srv");
  writer.attribute("service", service.service);
  writer.attribute("protocol", service.protocol);
  format_text(writer, "domain", service.domain);
  format_text(writer, "target", service.target);
  format_number(writer, "port", service.port);
  format_number(writer, "priority", service.priority);
  format_number(writer, "weight", service.weight);
  writer.end();
}

void format_dns(XmlWriter& writer, const std::optional<Dns>& dns) {
  if (!dns) return;
  writer.begin("dns");
  format_choice(writer, "enable", dns->enable);
  format_choice(writer, "forwardPlainNames", dns->forward_plain_names);
  for (const DnsForwarder& forwarder : dns->forwarders) {
    writer.begin("forwarder");
    format_text(writer, "domain", forwarder.domain);
    format_address(writer, "addr", forwarder.address);
    writer.end();
  }
  for (const DnsText& text : dns->texts) {
    writer.begin("txt");
    writer.attribute("name", text.name);
    writer.attribute("value", text.value);
    writer.end();
  }
  for (const DnsService& service : dns->services) format_service(writer, service);
  for (const DnsHost& host : dns->hosts) {
    writer.begin("host");
    format_address(writer, "ip", host.ip);
    for (const std::string& name : host.names) writer.element("hostname", name);
    writer.end();
  }
  writer.end();
}

void format_lease(XmlWriter& writer, const std::optional<DhcpLeaseTime>& lease) {
  if (!lease) return;
  constexpr std::string_view kUnits[] = {"seconds", "minutes", "hours"};
  writer.begin("lease");
  writer.attribute("expiry", lease->expiry);
  if (lease->expiry != 0) writer.attribute("unit", kUnits[static_cast<std::size_t>(lease->unit)]);
  writer.end();
}

void format_dhcp_host(XmlWriter& writer, const DhcpHost& host) {
  writer.begin("host");
  if (host.mac) writer.attribute("mac", *host.mac);
  format_text(writer, "id", host.id);
  format_text(writer, "name", host.name);
  format_address(writer, "ip", host.ip);
  format_lease(writer, host.lease);
  writer.end();
}

void format_dhcp(XmlWriter& writer, const NetworkAddress& address) {
  if (!address.has_dhcp() && address.boot_file.empty()) return;
  writer.begin("dhcp");
  for (const DhcpRange& range : address.ranges) {
    writer.begin("range");
    format_address(writer, "start", range.addresses.begin);
    format_address(writer, "end", range.addresses.end);
    format_lease(writer, range.lease);
    writer.end();
  }
  for (const DhcpHost& host : address.hosts) format_dhcp_host(writer, host);
  if (!address.boot_file.empty()) {
    writer.begin("bootp");
    writer.attribute("file", address.boot_file);
    format_address(writer, "server", address.boot_server);
    writer.end();
  }
  writer.end();
}

void format_subnet(XmlWriter& writer, bool has_family, const IpAddress& address,
                   const std::optional<unsigned>& prefix, const std::optional<IpAddress>& netmask) {
  if (has_family) writer.attribute("family", address.is_ipv6 ? "ipv6" : "ipv4");
  format_address(writer, "address", address);
  format_address(writer, "netmask", netmask);
  format_number(writer, "prefix", prefix);
}

void format_addresses(XmlWriter& writer, const NetworkDefinition& definition) {
  for (const NetworkAddress& address : definition.addresses) {
    writer.begin("ip");
    format_subnet(writer, address.has_family, *address.address, address.prefix, address.netmask);
    if (address.local_ptr) writer.attribute("localPtr", "yes");
    writer.content();
    if (!address.tftp_root.empty()) format_single(writer, "tftp", "root", address.tftp_root);
    format_dhcp(writer, address);
    writer.end();
  }
  for (const NetworkRoute& route : definition.routes) {
    writer.begin("route");
    format_subnet(writer, route.has_family, route.address, route.prefix, route.netmask);
    format_address(writer, "gateway", route.gateway);
    format_number(writer, "metric", route.metric);
    writer.end();
  }
}

void format_port_group(XmlWriter& writer, const PortGroup& group) {
  writer.begin("portgroup");
  writer.attribute("name", group.name);
  if (group.is_default) writer.attribute("default", "yes");
  format_choice(writer, "trustGuestRxFilters", group.trust_guest_rx_filters);
  writer.content();
  if (group.vlan) config::format_vlan(writer, *group.vlan);
  if (group.virtual_port) config::format_virtual_port(writer, *group.virtual_port);
  config::format_bandwidth(writer, group.bandwidth);
  writer.end();
}

void format_identity(XmlWriter& writer, const NetworkDefinition& definition, const LiveFigures* live) {
  if (!definition.dnsmasq_options.empty())
    writer.attribute("xmlns:dnsmasq", "http://libvirt.org/schemas/network/dnsmasq/1.0");
  if (live && live->connections != 0) writer.attribute("connections", live->connections);
  if (definition.ipv6 == true) writer.attribute("ipv6", "yes");
  format_choice(writer, "trustGuestRxFilters", definition.trust_guest_rx_filters);
  writer.element("name", definition.name);
  writer.element("uuid", definition.uuid.to_string());
  if (!definition.title.empty()) writer.element("title", definition.title);
  if (!definition.description.empty()) writer.element("description", definition.description);
  if (definition.metadata.empty()) return;
  writer.begin("metadata");
  for (const config::MetadataElement& element : definition.metadata) writer.verbatim(element.xml);
  writer.end();
}

void format_options(XmlWriter& writer, const NetworkDefinition& definition) {
  if (definition.dnsmasq_options.empty()) return;
  writer.begin("dnsmasq:options");
  for (const std::string& option : definition.dnsmasq_options)
    format_single(writer, "dnsmasq:option", "value", option);
  writer.end();
}

}  // namespace

std::string format_network(const NetworkDefinition& definition, const LiveFigures* live) {
  XmlWriter writer(2048);
  writer.begin("network");
  format_identity(writer, definition, live);
  format_forward(writer, definition, live);
  format_bridge(writer, definition);
  if (definition.mtu) format_single(writer, "mtu", "size", *definition.mtu);
  if (definition.mac) format_single(writer, "mac", "address", config::format_mac_address(*definition.mac));
  if (!definition.domain_name.empty()) {
    writer.begin("domain");
    writer.attribute("name", definition.domain_name);
    format_choice(writer, "localOnly", definition.domain_local_only);
    writer.end();
  }
  format_dns(writer, definition.dns);
  if (definition.vlan) config::format_vlan(writer, *definition.vlan);
  config::format_bandwidth(writer, definition.bandwidth);
  if (definition.port_isolated) format_single(writer, "port", "isolated", yes_no(*definition.port_isolated));
  format_addresses(writer, definition);
  if (definition.virtual_port) config::format_virtual_port(writer, *definition.virtual_port);
  for (const PortGroup& group : definition.port_groups) format_port_group(writer, group);
  format_options(writer, definition);
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::network
