// What interfaces(5) says of an interface, with the options of ifupdown's bridge-utils-interfaces(5), vlan
// and ifenslave.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/contract/error.h"
#include "driver/interface/ifupdown.h"

namespace warren::driver::interface {

namespace {

Error unsupported(const InterfaceDefinition& definition, std::string_view detail) {
  return {VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("interface {}: {}", definition.name, detail),
          VIR_FROM_INTERFACE};
}

// A file of interfaces(5) has words and patterns: a name must be neither.
void check_name(const InterfaceDefinition& definition, const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (!std::ranges::all_of(name, is_plain) || name.starts_with('-') || name.starts_with('.'))
    throw unsupported(definition,
                      fmt::format("'{}' is no name that ifupdown takes: letters, digits, '.', '_' "
                                  "and '-'",
                                  name));
}

// bridge-utils-interfaces(5), bridge_ports; ifenslave takes words of its own in the same way.
void check_member(const InterfaceDefinition& definition, const std::string& name) {
  check_name(definition, name);
  for (const std::string_view keyword : {"all", "none", "regex", "noregex"})
    if (name == keyword)
      throw unsupported(definition,
                        fmt::format("'{}' is a keyword of ifupdown's bridge_ports and bond-slaves, and no "
                                    "member can have it as its name",
                                    name));
}

std::string member_names(const InterfaceDefinition& definition) {
  std::vector<std::string> names;
  for (const InterfaceDefinition& member : definition.members) {
    check_member(definition, member.name);
    names.push_back(member.name);
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, " "));
}

std::string bond_options(const InterfaceDefinition& definition) {
  std::string text = fmt::format("  bond-slaves {}\n", member_names(definition));
  if (definition.bond_mode) text += fmt::format("  bond-mode {}\n", static_cast<int>(*definition.bond_mode));
  if (const auto& mii = definition.mii; mii) {
    text += fmt::format("  bond-miimon {}\n", mii->interval_ms);
    if (mii->down_delay_ms != 0) text += fmt::format("  bond-downdelay {}\n", mii->down_delay_ms);
    if (mii->up_delay_ms != 0) text += fmt::format("  bond-updelay {}\n", mii->up_delay_ms);
    if (mii->carrier)
      text += fmt::format("  bond-use-carrier {}\n", *mii->carrier == MiiCarrier::netif ? 1 : 0);
  }
  if (const auto& arp = definition.arp; arp) {
    text += fmt::format("  bond-arp-interval {}\n  bond-arp-ip-target {}\n", arp->interval_ms,
                        config::format_ip_address(arp->target));
    if (arp->validation)
      text += fmt::format("  bond-arp-validate {}\n", static_cast<int>(*arp->validation) + 1);
  }
  return text;
}

std::string vlan_options(const InterfaceDefinition& definition) {
  check_name(definition, definition.vlan_device);
  if (definition.name != fmt::format("{}.{}", definition.vlan_device, definition.vlan_tag) &&
      definition.name != fmt::format("vlan{}", definition.vlan_tag))
    throw unsupported(definition,
                      fmt::format("ifupdown reads a VLAN's tag from its name: call it {}.{} or vlan{}",
                                  definition.vlan_device, definition.vlan_tag, definition.vlan_tag));
  return fmt::format("  vlan-raw-device {}\n", definition.vlan_device);
}

std::string kind_options(const InterfaceDefinition& definition) {
  switch (definition.kind) {
    case InterfaceKind::ethernet:
      return definition.mac
                 ? fmt::format("  hwaddress ether {}\n", config::format_mac_address(*definition.mac))
                 : "";
    case InterfaceKind::bond:
      return bond_options(definition);
    case InterfaceKind::vlan:
      return vlan_options(definition);
    case InterfaceKind::bridge:
      break;
  }
  std::string text = fmt::format("  bridge_ports {}\n", member_names(definition));
  if (definition.stp) text += fmt::format("  bridge_stp {}\n", *definition.stp ? "on" : "off");
  if (const auto& delay = definition.delay_centiseconds; delay)
    text += fmt::format("  bridge_fd {}.{:02}\n", *delay / 100, *delay % 100);
  return text;
}

// One stanza for each address, and those for how others are got.
std::vector<std::string> stanzas(const InterfaceDefinition& definition, const Protocol& protocol) {
  const std::string family = protocol.is_ipv6 ? "inet6" : "inet";
  const auto head = [&](std::string_view method) {
    return fmt::format("iface {} {} {}\n", definition.name, family, method);
  };
  if (protocol.peer_dns) throw unsupported(definition, "ifupdown has no <dhcp peerdns='…'/>; leave it out");
  std::vector<std::string> texts;
  if (protocol.autoconf) texts.push_back(head("auto") + (protocol.dhcp ? "  dhcp 1\n" : ""));
  if (protocol.dhcp && !protocol.autoconf) texts.push_back(head("dhcp"));
  for (const InterfaceAddress& address : protocol.addresses) {
    const std::string text = config::format_ip_address(address.address);
    if (!address.prefix) throw unsupported(definition, fmt::format("address {} needs a prefix", text));
    texts.push_back(head("static") + fmt::format("  address {}/{}\n", text, *address.prefix));
    if (protocol.gateway && &address == &protocol.addresses.front())
      texts.back() += fmt::format("  gateway {}\n", config::format_ip_address(*protocol.gateway));
  }
  if (protocol.gateway && protocol.addresses.empty())
    throw unsupported(definition, "a <route gateway='…'/> needs an <ip address='…'/> of its family");
  if (texts.empty()) texts.push_back(head("manual"));
  return texts;
}

}  // namespace

std::string ifupdown_text(const InterfaceDefinition& definition) {
  check_name(definition, definition.name);
  std::string text;
  // A member that is made, and not found, has lines of its own.
  for (const InterfaceDefinition& member : definition.members) {
    if (member.kind == InterfaceKind::ethernet) continue;
    check_name(definition, member.name);
    text += fmt::format("iface {} inet manual\n{}", member.name, kind_options(member));
  }
  if (definition.start == StartMode::onboot) text += fmt::format("auto {}\n", definition.name);
  if (definition.start == StartMode::hotplug) text += fmt::format("allow-hotplug {}\n", definition.name);
  std::vector<std::string> all;
  for (const Protocol& protocol : definition.protocols)
    for (std::string& stanza : stanzas(definition, protocol)) all.push_back(std::move(stanza));
  if (all.empty()) all.push_back(fmt::format("iface {} inet manual\n", definition.name));
  // What is the interface's own is said once.
  all.front() += kind_options(definition);
  if (definition.mtu) all.front() += fmt::format("  mtu {}\n", *definition.mtu);
  for (const std::string& stanza : all) text += stanza;
  return text;
}

}  // namespace warren::driver::interface
