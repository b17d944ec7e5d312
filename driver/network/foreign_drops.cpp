#include "driver/network/foreign_drops.h"

#include <algorithm>
#include <fstream>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/network/network_rules.h"
#include "driver/network/packet_fate.h"
#include "driver/nftables/transaction.h"

namespace warren::driver::network {

namespace {

namespace json = boost::json;

constexpr std::string_view kFiltersTable = "warren_nwfilter";  // driver/nwfilter's

constexpr std::string_view kIcmpv6 = "icmpv6";

struct Traffic {
  std::string hook;
  std::string words;
  SketchedPacket packet;
};

// What a network lives on, as packets.
class TrafficList {
 public:
  explicit TrafficList(const NetworkDefinition& definition) : definition_(definition) {
    if (definition.forward && !definition.forward->interfaces.empty())
      outward_ = definition.forward->interfaces.front();
  }

  std::vector<Traffic> make(bool bridged_traffic_is_filtered) {
    for (const NetworkAddress& address : definition_.addresses) {
      if (!address.address) continue;
      const Subnet subnet{*address.address, address.effective_prefix()};
      if (definition_.mode() == ForwardMode::nat || definition_.mode() == ForwardMode::route)
        add_forwarded(subnet);
      if (bridged_traffic_is_filtered) add_bridged(subnet);
      add_services(address, subnet);
    }
    return std::move(list_);
  }

 private:
  SketchedPacket packet(const Subnet& subnet) const {
    SketchedPacket sketched;
    sketched.ipv6 = subnet.address.is_ipv6;
    sketched.bridge = definition_.bridge.name;
    return sketched;
  }

  void add(const char* hook, std::string_view words, SketchedPacket sketched) {
    list_.push_back({hook, fmt::format("{} (IPv{})", words, sketched.ipv6 ? 6 : 4), std::move(sketched)});
  }

  void add_forwarded(const Subnet& subnet) {
    SketchedPacket leaving = packet(subnet);
    leaving.in = definition_.bridge.name;
    leaving.out = outward_;
    leaving.source = subnet;
    add("forward", "guests to outside", leaving);
    SketchedPacket coming = packet(subnet);
    coming.in = outward_;
    coming.out = definition_.bridge.name;
    coming.destination = subnet;
    coming.state = "established";
    add("forward", "answers from outside to guests", coming);
    const bool translated =
        definition_.mode() == ForwardMode::nat && (!coming.ipv6 || definition_.forward->nat_ipv6);
    if (translated) return;
    coming.state = "new";
    add("forward", "outside to guests", coming);
  }

  void add_bridged(const Subnet& subnet) {
    SketchedPacket among = packet(subnet);
    among.in = among.out = definition_.bridge.name;
    among.source = among.destination = subnet;
    add("forward", "guest to guest", among);
  }

  SketchedPacket to_host(const Subnet& subnet, std::string_view protocol) const {
    SketchedPacket sketched = packet(subnet);
    sketched.in = definition_.bridge.name;
    sketched.has_out = false;
    sketched.protocol = protocol;
    return sketched;
  }

  void add_service(const char* words, const Subnet& subnet, std::uint16_t port, bool to_address,
                   std::string_view protocol = "udp") {
    SketchedPacket asking = to_host(subnet, protocol);
    asking.port = port;
    if (to_address) asking.destination = Subnet{subnet.address, subnet.address.bits()};
    add("input", words, asking);
  }

  // Without it (RFC 4861) no guest finds its router, nor the host a guest. Connection tracking leaves it
  // alone.
  void add_neighbour_discovery(const Subnet& subnet) {
    for (const char* type : {"nd-router-solicit", "nd-neighbor-solicit", "nd-neighbor-advert"}) {
      SketchedPacket asking = to_host(subnet, kIcmpv6);
      asking.type = type;
      asking.state = "untracked";
      add("input", "neighbour discovery", asking);
    }
  }

  void add_services(const NetworkAddress& address, const Subnet& subnet) {
    if (subnet.address.is_ipv6) add_neighbour_discovery(subnet);
    // IPv6 guests learn of their router from it in any case; DHCPv6 only where it is asked for.
    if (address.has_dhcp())
      add_service(subnet.address.is_ipv6 ? "DHCPv6" : "DHCP", subnet, subnet.address.is_ipv6 ? 547 : 67,
                  false);
    if (!definition_.dns || definition_.dns->enable.value_or(true)) {
      add_service("DNS", subnet, 53, true);
      add_service("DNS over TCP", subnet, 53, true, "tcp");  // longer answers: RFC 7766
    }
    if (!address.tftp_root.empty()) add_service("TFTP", subnet, 69, true);
  }

  const NetworkDefinition& definition_;
  std::optional<std::string> outward_;
  std::vector<Traffic> list_;
};

std::string ports_of(const std::vector<const Traffic*>& hit, std::string_view protocol) {
  std::vector<std::uint16_t> ports;
  for (const Traffic* traffic : hit)
    if (traffic->packet.port && traffic->packet.protocol == protocol) ports.push_back(*traffic->packet.port);
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  return fmt::format("{}", fmt::join(ports, ","));
}

using CommandOfPorts = std::string (*)(const std::string& command, std::string_view protocol,
                                       const std::string& ports);

// `command`, made to take in what of `hit` is of each protocol: by ports, or ICMPv6 as a whole.
std::string commands_for(const std::vector<const Traffic*>& hit, const std::string& command,
                         CommandOfPorts of_ports, const char* of_icmpv6) {
  std::vector<std::string> commands;
  for (const std::string_view protocol : {"udp", "tcp"}) {
    const std::string ports = ports_of(hit, protocol);
    if (!ports.empty()) commands.push_back(of_ports(command, protocol, ports));
  }
  const auto is_icmpv6 = [](const Traffic* traffic) { return traffic->packet.protocol == kIcmpv6; };
  if (std::ranges::any_of(hit, is_icmpv6)) commands.push_back(command + of_icmpv6);
  return fmt::format("{}", fmt::join(commands, "; "));
}

std::string in_iptables(const std::string& command, std::string_view protocol, const std::string& ports) {
  return fmt::format("{} -p {} -m multiport --dports {} -j ACCEPT", command, protocol, ports);
}

std::string in_nft(const std::string& command, std::string_view protocol, const std::string& ports) {
  return fmt::format("{} {} dport {{ {} }} accept", command, protocol, ports);
}

std::string remedy_of(const Ruleset& ruleset, const ForeignDrop& drop, const NetworkDefinition& definition,
                      const std::vector<const Traffic*>& hit) {
  const std::string& bridge = definition.bridge.name;
  if (drop.table == "firewalld") {
    if (!definition.bridge.zone.empty())
      return fmt::format("firewall-cmd --zone={} --add-interface={}", definition.bridge.zone, bridge);
    return fmt::format(
        "firewall-cmd --zone=libvirt --add-interface={} (or --zone=trusted, where there is no zone libvirt)",
        bridge);
  }
  const bool forward = drop.hook == "forward";
  if ((drop.family == "ip" || drop.family == "ip6") && drop.table == "filter") {
    const char* program = drop.family == "ip" ? "iptables" : "ip6tables";
    // Docker puts its own chains first again whenever it starts, and leaves this one to the administrator.
    const bool docker = forward && ruleset.has_chain(drop.family, drop.table, "DOCKER-USER");
    const std::string chain = docker ? "DOCKER-USER" : drop.chain;
    if (forward)
      return fmt::format("{0} -I {1} -i {2} -j ACCEPT; {0} -I {1} -o {2} -j ACCEPT", program, chain, bridge);
    return commands_for(hit, fmt::format("{} -I {} -i {}", program, chain, bridge), in_iptables,
                        " -p ipv6-icmp -j ACCEPT");
  }
  const std::string insert = fmt::format("nft insert rule {} {} {}", drop.family, drop.table, drop.chain);
  if (drop.family == "bridge") return fmt::format("{} meta ibrname \"{}\" accept", insert, bridge);
  if (forward) return fmt::format("{0} iifname \"{1}\" accept; {0} oifname \"{1}\" accept", insert, bridge);
  return commands_for(hit, fmt::format("{} iifname \"{}\"", insert, bridge), in_nft,
                      " meta l4proto ipv6-icmp accept");
}

// Ours are nearly all of it on a host with many networks and filtered taps, and each network that starts
// asks.
json::array rules_of_others() {
  json::array rules;
  for (const json::value& each : nftables::list("tables")) {
    const json::object* object = each.if_object();
    const json::value* table = object != nullptr ? object->if_contains("table") : nullptr;
    if (table == nullptr || !table->is_object()) continue;
    const json::value* family = table->get_object().if_contains("family");
    const json::value* name = table->get_object().if_contains("name");
    if (family == nullptr || name == nullptr || !family->is_string() || !name->is_string()) continue;
    const std::string_view words(name->get_string());
    if (words == kRulesTable || words == kFiltersTable) continue;
    json::array found =
        nftables::list(fmt::format("table {} {}", std::string_view(family->get_string()), words));
    rules.insert(rules.end(), found.begin(), found.end());
  }
  return rules;
}

bool bridged_traffic_is_filtered() {
  for (const char* name : {"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"}) {
    // Not there: the kernel does not do it at all.
    std::ifstream file(std::string("/proc/sys/net/bridge/") + name);
    int value = 0;
    if (file >> value && value != 0) return true;
  }
  return false;
}

}  // namespace

std::vector<ForeignDrop> find_foreign_drops(const json::array& ruleset, const NetworkDefinition& definition,
                                            bool bridged_is_filtered) {
  std::vector<ForeignDrop> drops;
  if (!definition.owns_bridge()) return drops;
  const Ruleset rules(ruleset);
  const std::vector<Traffic> all = TrafficList(definition).make(bridged_is_filtered);
  for (const BaseChain& base : rules.base_chains()) {
    if (base.family == kRulesFamily && base.table == kRulesTable) continue;
    // Each cause is told once, with all that it hits.
    std::vector<std::pair<ForeignDrop, std::vector<const Traffic*>>> found;
    for (const Traffic& traffic : all) {
      if (traffic.hook != base.hook || !Ruleset::sees(base, traffic.packet)) continue;
      const PacketFate fate = rules.fate(base, traffic.packet);
      if (!fate.dropped) continue;
      auto known =
          std::ranges::find_if(found, [&](const auto& one) { return one.first.cause == fate.cause; });
      if (known == found.end()) {
        found.push_back({{base.family, base.table, base.name, base.hook, fate.cause, {}, 0, {}}, {}});
        known = found.end() - 1;
      }
      if (std::ranges::find(known->first.traffic, traffic.words) == known->first.traffic.end())
        known->first.traffic.push_back(traffic.words);
      known->first.may_be_accepted = std::max(known->first.may_be_accepted, fate.may_be_accepted);
      known->second.push_back(&traffic);
    }
    for (auto& [drop, hit] : found) {
      drop.remedy = remedy_of(rules, drop, definition, hit);
      drops.push_back(std::move(drop));
    }
  }
  return drops;
}

std::vector<ForeignDrop> find_foreign_drops(const NetworkDefinition& definition) {
  return find_foreign_drops(rules_of_others(), definition, bridged_traffic_is_filtered());
}

std::string describe(const ForeignDrop& drop) {
  std::string perhaps;
  if (drop.may_be_accepted > 0)
    perhaps = fmt::format(", but for what {} of its rules may accept", drop.may_be_accepted);
  return fmt::format("table {} {}, chain {} drops {} ({}){}; to let it pass: {}", drop.family, drop.table,
                     drop.chain, fmt::join(drop.traffic, ", "), drop.cause, perhaps, drop.remedy);
}

}  // namespace warren::driver::network
