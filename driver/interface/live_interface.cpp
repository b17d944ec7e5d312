#include "driver/interface/live_interface.h"

#include <algorithm>

#include "driver/link/address.h"
#include "driver/link/bridge.h"
#include "driver/link/link_details.h"

namespace warren::driver::interface {

namespace {

bool is_guests(const link::Link& link) {
  return link.kind == "tun" || link.kind == "macvtap";
}

LinkState state_of(link::OperationalState state) {
  switch (state) {
    case link::OperationalState::unknown:
      return LinkState::unknown;
    case link::OperationalState::not_present:
      return LinkState::not_present;
    case link::OperationalState::down:
      return LinkState::down;
    case link::OperationalState::lower_layer_down:
      return LinkState::lower_layer_down;
    case link::OperationalState::testing:
      return LinkState::testing;
    case link::OperationalState::dormant:
      return LinkState::dormant;
    case link::OperationalState::up:
      return LinkState::up;
  }
  return LinkState::unknown;
}

std::vector<Protocol> protocols_of(const std::string& name) {
  Protocol four, six{.is_ipv6 = true};
  for (const link::LinkAddress& address : link::list_addresses(name)) {
    Protocol& protocol = address.address.is_ipv6 ? six : four;
    protocol.addresses.push_back({address.address, address.prefix});
  }
  for (const link::Route& route : link::list_routes()) {
    Protocol& protocol = route.network.is_ipv6 ? six : four;
    if (route.link == name && route.prefix == 0 && route.gateway && !protocol.gateway)
      protocol.gateway = route.gateway;
  }
  std::vector<Protocol> protocols;
  for (Protocol& protocol : {std::ref(four), std::ref(six)})
    if (!protocol.addresses.empty() || protocol.gateway) protocols.push_back(std::move(protocol));
  return protocols;
}

void describe_bond(InterfaceDefinition& definition, const link::Bond& bond) {
  if (bond.mode <= static_cast<std::uint8_t>(BondMode::balance_alb))
    definition.bond_mode = static_cast<BondMode>(bond.mode);
  if (bond.arp_interval != 0 && bond.arp_target) {
    definition.arp = ArpMonitor{.interval_ms = bond.arp_interval, .target = *bond.arp_target};
    // 0 is none; 1 to 3 are in our order (the kernel's BOND_ARP_VALIDATE_*).
    if (bond.arp_validate >= 1 && bond.arp_validate <= 3)
      definition.arp->validation = static_cast<ArpValidation>(bond.arp_validate - 1);
  } else if (bond.mii_interval != 0) {
    definition.mii = MiiMonitor{.interval_ms = bond.mii_interval,
                                .down_delay_ms = bond.down_delay,
                                .up_delay_ms = bond.up_delay,
                                .carrier = bond.use_carrier ? MiiCarrier::netif : MiiCarrier::ioctl};
  }
}

InterfaceDefinition describe_without_addresses(const link::Link& link, const std::vector<link::Link>& links,
                                               bool with_members);

void add_members(InterfaceDefinition& definition, const link::Link& link,
                 const std::vector<link::Link>& links) {
  for (const link::Link& member : links) {
    if (member.master != link.index) continue;
    InterfaceDefinition described = describe_without_addresses(member, links, member.kind == "bond");
    // What cannot be said of a member (a bridge in a bond) is said as of any link.
    if (described.kind == InterfaceKind::bridge ||
        (definition.kind == InterfaceKind::bond && described.kind != InterfaceKind::ethernet))
      described = {.name = member.name, .mac = member.mac};
    definition.members.push_back(std::move(described));
  }
}

InterfaceDefinition describe_without_addresses(const link::Link& link, const std::vector<link::Link>& links,
                                               bool with_members) {
  InterfaceDefinition definition{.name = link.name};
  if (link.kind == "bridge") {
    definition.kind = InterfaceKind::bridge;
    if (const auto bridge = link::read_bridge(link.name); bridge) {
      definition.stp = bridge->stp;
      definition.delay_centiseconds = bridge->delay_centiseconds;
    }
  } else {
    definition.speed = link::read_speed(link.name);
    definition.state = state_of(link.state);
  }
  if (const auto bond = link.kind == "bond" ? link::read_bond(link.name) : std::nullopt; bond) {
    definition.kind = InterfaceKind::bond;
    describe_bond(definition, *bond);
  }
  const auto lower = std::ranges::find(links, link.lower, &link::Link::index);
  if (const auto tag = link.kind == "vlan" ? link::read_vlan_tag(link.name) : std::nullopt;
      tag && lower != links.end()) {
    definition.kind = InterfaceKind::vlan;
    definition.vlan_tag = *tag;
    definition.vlan_device = lower->name;
  }
  if (definition.kind == InterfaceKind::ethernet) definition.mac = link.mac;
  if (with_members) add_members(definition, link, links);
  return definition;
}

}  // namespace

std::vector<link::Link> list_live() {
  std::vector<link::Link> links = link::list_links();
  std::erase_if(links, is_guests);
  std::ranges::sort(links, {}, &link::Link::name);
  return links;
}

std::optional<link::Link> find_live(const std::string& name) {
  std::optional<link::Link> link = link::find_link(name);
  if (link && is_guests(*link)) link.reset();
  return link;
}

bool is_active(const link::Link& link) {
  return link.state == link::OperationalState::up;
}

InterfaceDefinition describe(const link::Link& link) {
  InterfaceDefinition definition = describe_without_addresses(link, list_live(), /*with_members=*/true);
  definition.mtu = link.mtu;
  definition.protocols = protocols_of(link.name);
  return definition;
}

}  // namespace warren::driver::interface
