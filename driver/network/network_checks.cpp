// What elements of a network say of each other: what its mode has no use for, what may be there once.
#include <algorithm>
#include <set>
#include <utility>

#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

bool is_openvswitch(const std::optional<config::VirtualPort>& port) {
  return port && port->type == config::VirtualPortType::openvswitch;
}

// A bridge of the host, a macvtap or a host device has its addresses from elsewhere, and no tc on it is ours.
void check_foreign(XmlElement& root, const NetworkDefinition& definition) {
  if (definition.owns_bridge()) return;
  const std::string_view mode = forward_mode_names().name(definition.mode());
  const auto refuse = [&](bool is_there, std::string_view name) {
    if (is_there)
      throw root.children(name).front()->unsupported(
          fmt::format("a network of mode '{}' cannot have it: its bridge or device is not its own", mode));
  };
  refuse(definition.mac.has_value(), "mac");
  refuse(!definition.addresses.empty(), "ip");
  refuse(definition.dns.has_value(), "dns");
  refuse(!definition.domain_name.empty(), "domain");
  refuse(definition.bandwidth.has_value(), "bandwidth");
  if (definition.mtu)
    throw root.child("mtu")->malformed(
        fmt::format("the bridge or device of a network of mode '{}' has the MTU it has", mode));
}

void check_addresses(XmlElement& root, const NetworkDefinition& definition) {
  const bool is_routed = definition.mode() == ForwardMode::nat || definition.mode() == ForwardMode::route ||
                         definition.mode() == ForwardMode::open;
  if (is_routed && definition.addresses.empty())
    throw root.child("forward")->malformed(
        fmt::format("a network of mode '{}' needs <ip>", forward_mode_names().name(definition.mode())));
  const std::vector<XmlElement*> elements = root.children("ip");
  if (elements.size() > kMostAddresses)
    throw elements[kMostAddresses]->unsupported(
        fmt::format("a network has at most {} of them", kMostAddresses));
  std::set<IpAddress> given;
  bool has_dhcp[2] = {};
  for (std::size_t i = 0; i < definition.addresses.size(); ++i) {
    const NetworkAddress& address = definition.addresses[i];
    if (!given.insert(*address.address).second)
      throw elements[i]->malformed_attribute(
          "address", fmt::format("{} is there twice", config::format_ip_address(*address.address)));
    const bool is_ipv6 = address.address->is_ipv6;
    if (address.has_dhcp() && std::exchange(has_dhcp[is_ipv6 ? 1 : 0], true))
      throw elements[i]->unsupported(
          fmt::format("<dhcp> is for one {} address of a network; another one has it already",
                      is_ipv6 ? "IPv6" : "IPv4"));
  }
}

void check_routes(XmlElement& root, const NetworkDefinition& definition) {
  const std::vector<XmlElement*> elements = root.children("route");
  for (std::size_t i = 0; i < definition.routes.size(); ++i) {
    const IpAddress& gateway = definition.routes[i].gateway;
    const bool is_reachable = std::ranges::any_of(definition.addresses, [&](const NetworkAddress& address) {
      return config::in_same_network(*address.address, gateway, address.effective_prefix());
    });
    if (!is_reachable)
      throw elements[i]->unsupported_attribute(
          "gateway", fmt::format("{} is in no network of an <ip>", config::format_ip_address(gateway)));
  }
}

void check_port_groups(XmlElement& root, const NetworkDefinition& definition) {
  const std::vector<XmlElement*> elements = root.children("portgroup");
  std::set<std::string_view> names;
  const PortGroup* chosen = nullptr;
  for (std::size_t i = 0; i < definition.port_groups.size(); ++i) {
    const PortGroup& group = definition.port_groups[i];
    if (!names.insert(group.name).second)
      throw elements[i]->malformed_attribute(
          "name", fmt::format("there are two portgroups '{}'", group.name.substr(0, 64)));
    if (group.is_default && chosen)
      throw elements[i]->unsupported_attribute(
          "default", fmt::format("'{}' is the default portgroup already", chosen->name.substr(0, 64)));
    if (group.is_default) chosen = &group;
    if (group.bandwidth && definition.mode() == ForwardMode::hostdev)
      throw elements[i]
          ->child("bandwidth")
          ->unsupported("Warren does not see the packets of a host device; it cannot limit them");
  }
}

// Bridges that filter VLANs, Open vSwitch, and devices that are a guest's own put tags on what a guest sends;
// a macvtap on a shared link does not.
void check_vlans(XmlElement& root, const NetworkDefinition& definition) {
  const bool is_device =
      definition.mode() == ForwardMode::hostdev || definition.mode() == ForwardMode::passthrough;
  if (is_device || definition.owns_bridge() || !definition.bridge.name.empty()) return;
  constexpr std::string_view kReason =
      "only networks with a bridge and those of modes 'hostdev' and 'passthrough' have VLANs";
  const bool is_switch = definition.mode() == ForwardMode::bridge && is_openvswitch(definition.virtual_port);
  if (definition.vlan && !is_switch) throw root.child("vlan")->unsupported(kReason);
  const std::vector<XmlElement*> elements = root.children("portgroup");
  for (std::size_t i = 0; i < definition.port_groups.size(); ++i) {
    const PortGroup& group = definition.port_groups[i];
    const bool is_port = definition.mode() == ForwardMode::bridge && is_openvswitch(group.virtual_port);
    if (group.vlan && !is_switch && !is_port) throw elements[i]->child("vlan")->unsupported(kReason);
  }
}

}  // namespace

void check_network(XmlElement& root, const NetworkDefinition& definition) {
  check_foreign(root, definition);
  check_addresses(root, definition);
  check_routes(root, definition);
  check_port_groups(root, definition);
  check_vlans(root, definition);
}

}  // namespace warren::driver::network
