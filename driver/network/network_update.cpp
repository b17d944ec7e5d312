// virNetworkUpdate: one entry of one section is put in, replaced or taken out.
#include <algorithm>
#include <utility>

#include <libvirt/libvirt.h>

#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

constexpr config::XmlLimits kEntryLimits{.bytes = 64u << 10, .depth = 8, .nodes = 10'000};

Error invalid(std::string detail) {
  return Error(VIR_ERR_OPERATION_INVALID, std::move(detail), VIR_FROM_NETWORK);
}
Error unsupported(std::string detail) {
  return Error(VIR_ERR_OPERATION_UNSUPPORTED, std::move(detail), VIR_FROM_NETWORK);
}

// A change under way. `what` names an entry of the section in messages.
struct Change {
  NetworkDefinition& definition;
  const NetworkUpdate& update;
  std::string_view what;
  XmlElement* root = nullptr;

  bool adds() const {
    return update.command == VIR_NETWORK_UPDATE_COMMAND_ADD_FIRST ||
           update.command == VIR_NETWORK_UPDATE_COMMAND_ADD_LAST;
  }
  bool deletes() const { return update.command == VIR_NETWORK_UPDATE_COMMAND_DELETE; }
  Completeness completeness() const { return deletes() ? Completeness::partial : Completeness::whole; }

  template <typename Entry>
  void add(std::vector<Entry>& entries, Entry entry) const {
    const bool first = update.command == VIR_NETWORK_UPDATE_COMMAND_ADD_FIRST;
    entries.insert(first ? entries.begin() : entries.end(), std::move(entry));
  }
  void refuse_modify() const {
    if (!adds() && !deletes())
      throw unsupported(fmt::format("a {} cannot be modified, only added or deleted", what));
  }
  Error exists(std::string_view which) const {
    return invalid(fmt::format("network '{}' has a {} with {} already", definition.name, what, which));
  }
  Error missing(std::string_view which) const {
    return invalid(fmt::format("network '{}' has no {} with {}", definition.name, what, which));
  }
  Error ambiguous(std::string_view which) const {
    return invalid(
        fmt::format("network '{}' has more than one {} with {}; say which by more of its attributes",
                    definition.name, what, which));
  }
};

// The <ip> that a change of <dhcp> is for: the one at parent_index, or else the one with <dhcp>, the first of
// IPv4, the first.
NetworkAddress& chosen_address(const Change& change) {
  std::vector<NetworkAddress>& addresses = change.definition.addresses;
  const int index = change.update.parent_index;
  if (index >= 0) {
    if (static_cast<std::size_t>(index) < addresses.size()) return addresses[static_cast<std::size_t>(index)];
    throw invalid(fmt::format("network '{}' has no <ip> number {}: they are counted from 0, and there are {}",
                              change.definition.name, index, addresses.size()));
  }
  auto found = std::ranges::find_if(addresses, &NetworkAddress::has_dhcp);
  if (found == addresses.end())
    found = std::ranges::find_if(addresses, [](const NetworkAddress& one) { return !one.address->is_ipv6; });
  if (found != addresses.end()) return *found;
  if (!addresses.empty()) return addresses.front();
  throw invalid(
      fmt::format("network '{}' has no <ip> whose <dhcp> could be changed", change.definition.name));
}

void refuse_second_dhcp(const Change& change, const NetworkAddress& address) {
  for (const NetworkAddress& other : change.definition.addresses)
    if (&other != &address && other.has_dhcp() && other.address->is_ipv6 == address.address->is_ipv6)
      throw invalid(fmt::format("<dhcp> is for one {} address of network '{}', and {} has it",
                                address.address->is_ipv6 ? "IPv6" : "IPv4", change.definition.name,
                                config::format_ip_address(*other.address)));
}

std::string describe(const DhcpHost& host) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) text += fmt::format("{}{}='{}'", text.empty() ? "" : " ", name, value);
  };
  add("mac", host.mac.value_or(""));
  add("id", host.id);
  add("name", host.name);
  add("ip", host.ip ? config::format_ip_address(*host.ip) : std::string());
  return text;
}

bool same_mac(const DhcpHost& one, const DhcpHost& other) {
  return one.mac && other.mac && config::parse_mac_address(*one.mac) == config::parse_mac_address(*other.mac);
}

bool shares_any(const DhcpHost& one, const DhcpHost& other) {
  return same_mac(one, other) || (!one.id.empty() && one.id == other.id) ||
         (!one.name.empty() && one.name == other.name) || (one.ip && one.ip == other.ip);
}

// Everything that `wanted` says is so of `host`.
bool has_all(const DhcpHost& host, const DhcpHost& wanted) {
  return (!wanted.mac || same_mac(host, wanted)) && (wanted.id.empty() || wanted.id == host.id) &&
         (wanted.name.empty() || wanted.name == host.name) && (!wanted.ip || wanted.ip == host.ip);
}

void change_dhcp_host(const Change& change) {
  NetworkAddress& address = chosen_address(change);
  DhcpHost host = parse_dhcp_host(*change.root, address, change.completeness());
  const auto shared =
      std::ranges::find_if(address.hosts, [&](const DhcpHost& other) { return shares_any(host, other); });
  if (change.adds()) {
    refuse_second_dhcp(change, address);
    if (shared != address.hosts.end()) throw change.exists(fmt::format("any of {}", describe(host)));
    change.add(address.hosts, std::move(host));
  } else if (change.deletes()) {
    const auto found =
        std::ranges::find_if(address.hosts, [&](const DhcpHost& other) { return has_all(other, host); });
    if (found == address.hosts.end()) throw change.missing(describe(host));
    address.hosts.erase(found);
  } else {
    if (shared == address.hosts.end()) throw change.missing(fmt::format("any of {}", describe(host)));
    *shared = std::move(host);
  }
}

void change_dhcp_range(const Change& change) {
  change.refuse_modify();
  NetworkAddress& address = chosen_address(change);
  const DhcpRange range = parse_dhcp_range(*change.root, address);
  const std::string which =
      fmt::format("start='{}' end='{}'", config::format_ip_address(range.addresses.begin),
                  config::format_ip_address(range.addresses.end));
  const auto found = std::ranges::find(address.ranges, range.addresses, &DhcpRange::addresses);
  if (change.adds()) {
    refuse_second_dhcp(change, address);
    if (found != address.ranges.end()) throw change.exists(which);
    change.add(address.ranges, range);
  } else {
    if (found == address.ranges.end()) throw change.missing(which);
    address.ranges.erase(found);
  }
}

void change_forward_interface(const Change& change) {
  change.refuse_modify();
  if (!change.definition.forward)
    throw invalid(fmt::format("network '{}' is isolated: it has no <forward>", change.definition.name));
  std::vector<std::string>& interfaces = change.definition.forward->interfaces;
  std::string name = parse_forward_interface(*change.root);
  const auto found = std::ranges::find(interfaces, name);
  if (change.adds()) {
    if (found != interfaces.end()) throw change.exists(fmt::format("dev='{}'", name));
    change.add(interfaces, std::move(name));
  } else {
    if (found == interfaces.end()) throw change.missing(fmt::format("dev='{}'", name));
    interfaces.erase(found);
  }
}

void change_port_group(const Change& change) {
  std::vector<PortGroup>& groups = change.definition.port_groups;
  PortGroup group = parse_port_group(*change.root);
  const std::string which = fmt::format("name='{}'", group.name);
  const auto found = std::ranges::find(groups, group.name, &PortGroup::name);
  if (change.adds() && found != groups.end()) throw change.exists(which);
  if (!change.adds() && found == groups.end()) throw change.missing(which);
  if (change.deletes()) {
    groups.erase(found);
    return;
  }
  for (auto other = groups.begin(); other != groups.end(); ++other)
    if (group.is_default && other->is_default && other != found)
      throw invalid(fmt::format("portgroup '{}' of network '{}' is the default already; there is one at most",
                                other->name, change.definition.name));
  if (change.adds()) {
    change.add(groups, std::move(group));
  } else {
    *found = std::move(group);
  }
}

// Those of `entries` that `matches` holds for; to delete, it has to be one.
template <typename Entry, typename Matches>
void delete_only(const Change& change, std::vector<Entry>& entries, std::string_view which, Matches matches) {
  const auto count = std::ranges::count_if(entries, matches);
  if (count == 0) throw change.missing(which);
  if (count > 1) throw change.ambiguous(which);
  std::erase_if(entries, matches);
}

void change_dns_host(const Change& change, Dns& dns) {
  DnsHostPattern host = parse_dns_host(*change.root, change.completeness());
  std::string which;
  if (host.ip) which = fmt::format("ip='{}'", config::format_ip_address(*host.ip));
  if (change.adds()) {
    if (std::ranges::find(dns.hosts, *host.ip, &DnsHost::ip) != dns.hosts.end()) throw change.exists(which);
    change.add(dns.hosts, DnsHost{.ip = *host.ip, .names = std::move(host.names)});
    return;
  }
  if (!host.names.empty())
    which += fmt::format("{}<hostname>{}", which.empty() ? "" : " or ", host.names.front());
  delete_only(change, dns.hosts, which, [&](const DnsHost& other) {
    return host.ip == other.ip || std::ranges::any_of(host.names, [&](const std::string& name) {
             return std::ranges::find(other.names, name) != other.names.end();
           });
  });
}

void change_dns_text(const Change& change, Dns& dns) {
  DnsText text = parse_dns_text(*change.root, change.completeness());
  const std::string which = fmt::format("name='{}'", text.name);
  const auto found = std::ranges::find(dns.texts, text.name, &DnsText::name);
  if (change.adds()) {
    if (found != dns.texts.end()) throw change.exists(which);
    change.add(dns.texts, std::move(text));
  } else {
    if (found == dns.texts.end()) throw change.missing(which);
    dns.texts.erase(found);
  }
}

bool has_all(const DnsService& service, const DnsService& wanted) {
  const auto agrees = [](const auto& has, const auto& wants) {
    return wants == decltype(wants){} || wants == has;
  };
  return agrees(service.service, wanted.service) && agrees(service.protocol, wanted.protocol) &&
         agrees(service.domain, wanted.domain) && agrees(service.target, wanted.target) &&
         (!wanted.port || wanted.port == service.port) &&
         (!wanted.priority || wanted.priority == service.priority) &&
         (!wanted.weight || wanted.weight == service.weight);
}

void change_dns_service(const Change& change, Dns& dns) {
  DnsService service = parse_dns_service(*change.root, change.completeness());
  const auto matches = [&](const DnsService& other) { return has_all(other, service); };
  const std::string which = fmt::format("service='{}' protocol='{}'", service.service, service.protocol);
  if (!change.adds()) return delete_only(change, dns.services, which, matches);
  if (std::ranges::any_of(dns.services, matches)) throw change.exists(which);
  change.add(dns.services, std::move(service));
}

template <void (*Function)(const Change&, Dns&)>
void change_dns(const Change& change) {
  change.refuse_modify();
  Dns dns = change.definition.dns.value_or(Dns{});
  Function(change, dns);
  change.definition.dns = dns == Dns{} ? std::nullopt : std::optional(std::move(dns));
}

struct Section {
  unsigned int section;
  std::string_view what, element;
  void (*apply)(const Change&);
};
constexpr Section kSections[] = {
    {VIR_NETWORK_SECTION_IP_DHCP_HOST, "DHCP host", "host", change_dhcp_host},
    {VIR_NETWORK_SECTION_IP_DHCP_RANGE, "DHCP range", "range", change_dhcp_range},
    {VIR_NETWORK_SECTION_FORWARD_INTERFACE, "forward interface", "interface", change_forward_interface},
    {VIR_NETWORK_SECTION_PORTGROUP, "portgroup", "portgroup", change_port_group},
    {VIR_NETWORK_SECTION_DNS_HOST, "DNS host", "host", change_dns<change_dns_host>},
    {VIR_NETWORK_SECTION_DNS_TXT, "DNS TXT record", "txt", change_dns<change_dns_text>},
    {VIR_NETWORK_SECTION_DNS_SRV, "DNS SRV record", "srv", change_dns<change_dns_service>},
};

const Section& find_section(const NetworkUpdate& update, const std::string& network) {
  for (const Section& section : kSections)
    if (section.section == update.section) return section;
  throw unsupported(
      fmt::format("section {} of network '{}' cannot be changed by an update; define the network anew",
                  update.section, network));
}

void apply(NetworkDefinition& definition, const NetworkUpdate& update) {
  const Section& section = find_section(update, definition.name);
  if (update.command < VIR_NETWORK_UPDATE_COMMAND_MODIFY ||
      update.command > VIR_NETWORK_UPDATE_COMMAND_ADD_FIRST)
    throw unsupported(
        fmt::format("{} is no command of an update of network '{}'", update.command, definition.name));
  config::XmlDocument document(update.xml, "network_update_xml", kEntryLimits);
  XmlElement& root = document.root();
  if (root.name() != section.element)
    throw root.malformed(
        fmt::format("the document is to be <{}>, not <{}>", section.element, root.name().substr(0, 64)));
  section.apply({.definition = definition, .update = update, .what = section.what, .root = &root});
  root.refuse_unread();
}

}  // namespace

NetworkDefinition updated(const NetworkDefinition& definition, const NetworkUpdate& update) {
  NetworkDefinition changed = definition;
  try {
    apply(changed, update);
  } catch (const Error& error) {
    if (error.domain() == VIR_FROM_NETWORK) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_NETWORK);
  }
  try {
    return parse_network(format_network(changed, nullptr), false);
  } catch (const Error& error) {
    throw Error(
        error.code(),
        fmt::format("network '{}' would be wrong after the change: {}", definition.name, error.detail()),
        VIR_FROM_NETWORK);
  }
}

}  // namespace warren::driver::network
