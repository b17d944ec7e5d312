#include "driver/interface/interface_definition.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"
#include "driver/interface/interface_schema_text.h"
#include "driver/link/link.h"

namespace warren::driver::interface {

namespace {

using config::EnumName;
using config::EnumTable;
using config::XmlElement;
using config::XmlWriter;

constexpr config::XmlLimits kLimits{.bytes = 256u << 10, .depth = 16, .nodes = 5000};
constexpr std::uint32_t kMostMtu = 100'000;
constexpr std::uint32_t kMostDelay =
    100 * 100;  // centiseconds; the kernel's bound is lower and its own affair

constexpr std::array kKinds{EnumName<InterfaceKind>{"ethernet", InterfaceKind::ethernet},
                            EnumName<InterfaceKind>{"bridge", InterfaceKind::bridge},
                            EnumName<InterfaceKind>{"bond", InterfaceKind::bond},
                            EnumName<InterfaceKind>{"vlan", InterfaceKind::vlan}};
constexpr EnumTable<InterfaceKind> kKindTable{kKinds, {}};
constexpr std::array kStarts{EnumName<StartMode>{"none", StartMode::none},
                             EnumName<StartMode>{"onboot", StartMode::onboot},
                             EnumName<StartMode>{"hotplug", StartMode::hotplug}};
constexpr EnumTable<StartMode> kStartTable{kStarts, {}};
constexpr std::array kStates{EnumName<LinkState>{"unknown", LinkState::unknown},
                             EnumName<LinkState>{"notpresent", LinkState::not_present},
                             EnumName<LinkState>{"down", LinkState::down},
                             EnumName<LinkState>{"lowerlayerdown", LinkState::lower_layer_down},
                             EnumName<LinkState>{"testing", LinkState::testing},
                             EnumName<LinkState>{"dormant", LinkState::dormant},
                             EnumName<LinkState>{"up", LinkState::up}};
constexpr EnumTable<LinkState> kStateTable{kStates, {}};
constexpr std::array kBondModes{EnumName<BondMode>{"balance-rr", BondMode::balance_rr},
                                EnumName<BondMode>{"active-backup", BondMode::active_backup},
                                EnumName<BondMode>{"balance-xor", BondMode::balance_xor},
                                EnumName<BondMode>{"broadcast", BondMode::broadcast},
                                EnumName<BondMode>{"802.3ad", BondMode::ieee_802_3ad},
                                EnumName<BondMode>{"balance-tlb", BondMode::balance_tlb},
                                EnumName<BondMode>{"balance-alb", BondMode::balance_alb}};
constexpr EnumTable<BondMode> kBondModeTable{kBondModes, {}};
constexpr std::array kCarriers{EnumName<MiiCarrier>{"ioctl", MiiCarrier::ioctl},
                               EnumName<MiiCarrier>{"netif", MiiCarrier::netif}};
constexpr EnumTable<MiiCarrier> kCarrierTable{kCarriers, {}};
constexpr std::array kValidations{EnumName<ArpValidation>{"active", ArpValidation::active},
                                  EnumName<ArpValidation>{"backup", ArpValidation::backup},
                                  EnumName<ArpValidation>{"all", ArpValidation::all}};
constexpr EnumTable<ArpValidation> kValidationTable{kValidations, {}};

std::string read_name(XmlElement& element) {
  std::string name = config::require_text(element, "name");
  if (!link::is_link_name(name))
    throw element.malformed_attribute(
        "name", fmt::format("'{}' cannot be an interface's name: that has 1 to 15 bytes without '/', ':' and "
                            "blanks",
                            name.substr(0, 64)));
  return name;
}

config::IpAddress read_address(XmlElement& element, std::string_view attribute, bool is_ipv6) {
  const std::string text = config::require_text(element, attribute);
  const auto address = config::parse_ip_address(text);
  if (!address || address->is_ipv6 != is_ipv6)
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is no {} address", text.substr(0, 64), is_ipv6 ? "IPv6" : "IPv4"));
  return *address;
}

Protocol read_protocol(XmlElement& element) {
  const std::string family = config::require_text(element, "family");
  if (family != "ipv4" && family != "ipv6")
    throw element.malformed_attribute("family",
                                      fmt::format("'{}' is neither ipv4 nor ipv6", family.substr(0, 64)));
  Protocol protocol{.is_ipv6 = family == "ipv6"};
  protocol.autoconf = protocol.is_ipv6 && element.child("autoconf") != nullptr;
  if (protocol.autoconf) element.child("autoconf")->mark_read();
  if (XmlElement* dhcp = element.child("dhcp"); dhcp != nullptr) {
    protocol.dhcp = true;
    protocol.peer_dns = config::read_yes_no(*dhcp, "peerdns");
  }
  for (XmlElement* ip : element.children("ip")) {
    InterfaceAddress address{.address = read_address(*ip, "address", protocol.is_ipv6)};
    address.prefix = config::read_number(*ip, "prefix", 1, address.address.bits());
    protocol.addresses.push_back(address);
  }
  if (XmlElement* route = element.child("route"); route != nullptr)
    protocol.gateway = read_address(*route, "gateway", protocol.is_ipv6);
  return protocol;
}

// "15", "0.5" seconds: at most two digits after the point.
std::uint32_t read_delay(XmlElement& bridge, std::string_view text) {
  const std::size_t point = text.find('.');
  std::string fraction(point == std::string_view::npos ? "" : text.substr(point + 1));
  const bool is_short = fraction.size() <= 2 && (point == std::string_view::npos || !fraction.empty());
  fraction.resize(2, '0');
  const auto seconds = config::parse_unsigned(text.substr(0, point));
  std::uint32_t rest = 0;
  const auto [end, error] = std::from_chars(fraction.data(), fraction.data() + 2, rest);
  if (!seconds || text.starts_with("0x") || !is_short || error != std::errc() || end != fraction.data() + 2 ||
      *seconds > kMostDelay / 100)
    throw bridge.malformed_attribute(
        "delay", fmt::format("'{}' is no number of seconds up to {}", text.substr(0, 64), kMostDelay / 100));
  return static_cast<std::uint32_t>(*seconds) * 100 + rest;
}

InterfaceDefinition read_interface(XmlElement& element, std::optional<InterfaceKind> parent);

void read_members(XmlElement& element, InterfaceDefinition& definition) {
  for (XmlElement* member : element.children("interface"))
    definition.members.push_back(read_interface(*member, definition.kind));
}

void read_bridge(XmlElement& element, InterfaceDefinition& definition) {
  definition.stp = config::read_on_off(element, "stp");
  if (const auto delay = element.attribute("delay"); delay)
    definition.delay_centiseconds = read_delay(element, *delay);
  read_members(element, definition);
}

void read_bond(XmlElement& element, InterfaceDefinition& definition) {
  definition.bond_mode = config::read_enum(element, "mode", kBondModeTable);
  XmlElement* mii = element.child("miimon");
  XmlElement* arp = element.child("arpmon");
  if (mii != nullptr && arp != nullptr)
    throw arp->malformed("a bond is watched by <miimon> or by <arpmon>, not by both");
  constexpr std::uint32_t kMost = 0x7fff'ffff;
  if (mii != nullptr) {
    definition.mii = MiiMonitor{.interval_ms = config::require_number(*mii, "freq", 0, kMost),
                                .down_delay_ms = config::read_number(*mii, "downdelay", 0, kMost).value_or(0),
                                .up_delay_ms = config::read_number(*mii, "updelay", 0, kMost).value_or(0),
                                .carrier = config::read_enum(*mii, "carrier", kCarrierTable)};
  }
  if (arp != nullptr) {
    definition.arp = ArpMonitor{.interval_ms = config::require_number(*arp, "interval", 0, kMost),
                                .target = read_address(*arp, "target", /*is_ipv6=*/false),
                                .validation = config::read_enum(*arp, "validate", kValidationTable)};
  }
  read_members(element, definition);
}

void read_vlan(XmlElement& element, InterfaceDefinition& definition) {
  definition.vlan_tag = static_cast<std::uint16_t>(config::require_number(element, "tag", 1, 4094));
  XmlElement* device = element.child("interface");
  if (device == nullptr) throw element.malformed("it needs <interface name='…'/>, the one that it stands on");
  definition.vlan_device = read_name(*device);
}

void read_top_level(XmlElement& element, InterfaceDefinition& definition) {
  if (XmlElement* start = element.child("start"); start != nullptr)
    definition.start = config::require_enum(*start, "mode", kStartTable);
  if (XmlElement* mtu = element.child("mtu"); mtu != nullptr)
    definition.mtu = config::require_number(*mtu, "size", 1, kMostMtu);
  for (XmlElement* child : element.children("protocol")) {
    Protocol protocol = read_protocol(*child);
    for (const Protocol& other : definition.protocols)
      if (other.is_ipv6 == protocol.is_ipv6) throw child->malformed("there is one of that family already");
    definition.protocols.push_back(std::move(protocol));
  }
}

bool may_be_in(InterfaceKind kind, InterfaceKind parent) {
  if (parent == InterfaceKind::bond) return kind == InterfaceKind::ethernet;
  return parent == InterfaceKind::bridge && kind != InterfaceKind::bridge;
}

void read_link(XmlElement& element, InterfaceDefinition& definition) {
  definition.speed = config::read_number(element, "speed");
  // libvirt writes state='' where it knows none.
  if (const auto state = element.attribute("state"); state && !state->empty())
    definition.state = config::read_enum(element, "state", kStateTable);
}

InterfaceDefinition read_interface(XmlElement& element, std::optional<InterfaceKind> parent) {
  InterfaceDefinition definition;
  definition.kind = config::require_enum(element, "type", kKindTable);
  if (parent && !may_be_in(definition.kind, *parent))
    throw element.malformed_attribute(
        "type",
        fmt::format("a {} cannot be in a {}", kKindTable.name(definition.kind), kKindTable.name(*parent)));
  definition.name = read_name(element);
  if (!parent) read_top_level(element, definition);
  if (XmlElement* child = element.child("link"); child != nullptr) read_link(*child, definition);
  if (definition.kind == InterfaceKind::ethernet) {
    XmlElement* mac = element.child("mac");
    if (mac == nullptr) return definition;
    const std::string text = config::require_text(*mac, "address");
    definition.mac = config::parse_mac_address(text);
    if (!definition.mac)
      throw mac->malformed_attribute("address", fmt::format("'{}' is no MAC address", text.substr(0, 64)));
    return definition;
  }
  XmlElement* child = element.child(kKindTable.name(definition.kind));
  if (child == nullptr)
    throw element.malformed(fmt::format("it needs <{}>", kKindTable.name(definition.kind)));
  if (definition.kind == InterfaceKind::bridge) read_bridge(*child, definition);
  if (definition.kind == InterfaceKind::bond) read_bond(*child, definition);
  if (definition.kind == InterfaceKind::vlan) read_vlan(*child, definition);
  return definition;
}

InterfaceDefinition parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kInterfaceSchema, sizeof kInterfaceSchema - 1),
                              .document = "interface_definition",
                              .root = "interface"},
                             xml, kLimits);
  }
  config::XmlDocument document(xml, "interface_definition", kLimits);
  XmlElement& root = document.root();
  if (root.name() != "interface")
    throw root.malformed(
        fmt::format("the document is to be <interface>, not <{}>", root.name().substr(0, 64)));
  InterfaceDefinition definition = read_interface(root, std::nullopt);
  root.refuse_unread();
  return definition;
}

void write_protocol(XmlWriter& writer, const Protocol& protocol) {
  writer.begin("protocol");
  writer.attribute("family", protocol.is_ipv6 ? "ipv6" : "ipv4");
  if (protocol.autoconf) writer.empty("autoconf");
  if (protocol.dhcp) {
    writer.begin("dhcp");
    if (protocol.peer_dns) writer.attribute("peerdns", *protocol.peer_dns ? "yes" : "no");
    writer.end();
  }
  for (const InterfaceAddress& address : protocol.addresses) {
    writer.begin("ip");
    writer.attribute("address", config::format_ip_address(address.address));
    if (address.prefix) writer.attribute("prefix", *address.prefix);
    writer.end();
  }
  if (protocol.gateway) {
    writer.begin("route");
    writer.attribute("gateway", config::format_ip_address(*protocol.gateway));
    writer.end();
  }
  writer.content();
  writer.end();
}

void write_interface(XmlWriter& writer, const InterfaceDefinition& definition, bool is_top_level);

void write_bridge(XmlWriter& writer, const InterfaceDefinition& definition) {
  writer.begin("bridge");
  if (definition.stp) writer.attribute("stp", *definition.stp ? "on" : "off");
  if (const auto& delay = definition.delay_centiseconds; delay)
    writer.attribute("delay", *delay % 100 == 0 ? fmt::format("{}", *delay / 100)
                                                : fmt::format("{}.{:02}", *delay / 100, *delay % 100));
  writer.content();
  for (const InterfaceDefinition& member : definition.members) write_interface(writer, member, false);
  writer.end();
}

void write_bond(XmlWriter& writer, const InterfaceDefinition& definition) {
  writer.begin("bond");
  if (definition.bond_mode) writer.attribute("mode", kBondModeTable.name(*definition.bond_mode));
  writer.content();
  if (const auto& mii = definition.mii; mii) {
    writer.begin("miimon");
    writer.attribute("freq", mii->interval_ms);
    if (mii->down_delay_ms != 0) writer.attribute("downdelay", mii->down_delay_ms);
    if (mii->up_delay_ms != 0) writer.attribute("updelay", mii->up_delay_ms);
    if (mii->carrier) writer.attribute("carrier", kCarrierTable.name(*mii->carrier));
    writer.end();
  } else if (const auto& arp = definition.arp; arp) {
    writer.begin("arpmon");
    writer.attribute("interval", arp->interval_ms);
    writer.attribute("target", config::format_ip_address(arp->target));
    if (arp->validation) writer.attribute("validate", kValidationTable.name(*arp->validation));
    writer.end();
  }
  for (const InterfaceDefinition& member : definition.members) write_interface(writer, member, false);
  writer.end();
}

void write_interface(XmlWriter& writer, const InterfaceDefinition& definition, bool is_top_level) {
  writer.begin("interface");
  writer.attribute("type", kKindTable.name(definition.kind));
  writer.attribute("name", definition.name);
  writer.content();
  if (is_top_level) {
    if (definition.start) {
      writer.begin("start");
      writer.attribute("mode", kStartTable.name(*definition.start));
      writer.end();
    }
    if (definition.mtu) {
      writer.begin("mtu");
      writer.attribute("size", *definition.mtu);
      writer.end();
    }
    for (const Protocol& protocol : definition.protocols) write_protocol(writer, protocol);
  }
  if (definition.speed || definition.state) {
    writer.begin("link");
    if (definition.speed) writer.attribute("speed", *definition.speed);
    if (definition.state) writer.attribute("state", kStateTable.name(*definition.state));
    writer.end();
  }
  if (definition.mac) {
    writer.begin("mac");
    writer.attribute("address", config::format_mac_address(*definition.mac));
    writer.end();
  }
  if (definition.kind == InterfaceKind::bridge) write_bridge(writer, definition);
  if (definition.kind == InterfaceKind::bond) write_bond(writer, definition);
  if (definition.kind == InterfaceKind::vlan) {
    writer.begin("vlan");
    writer.attribute("tag", definition.vlan_tag);
    writer.begin("interface");
    writer.attribute("name", definition.vlan_device);
    writer.end();
    writer.end();
  }
  writer.end();
}

}  // namespace

InterfaceDefinition parse_interface(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() == VIR_FROM_INTERFACE) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_INTERFACE);
  }
}

std::string format_interface(const InterfaceDefinition& definition) {
  XmlWriter writer(1024);
  write_interface(writer, definition, /*is_top_level=*/true);
  return writer.take();
}

}  // namespace warren::driver::interface
