#include "driver/network/network_rules.h"

#include <algorithm>
#include <optional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/nftables/transaction.h"

namespace warren::driver::network {

namespace {

namespace json = boost::json;

constexpr std::size_t kLongestDevice = 15;  // IFNAMSIZ - 1
constexpr PortRange kDefaultPorts{1024, 65535};

// A map from the bridge to the chain of its network, and the base chain that looks into it. The packet's
// destination is judged before its source; each chain returns what it has nothing against and rejects the
// rest, so that what goes from one network to another has to be right for both.
struct Side {
  const char* map;     // also the prefix of the chains' names
  const char* base;    // chain
  const char* device;  // of the packet, looked up
};
constexpr Side kTo{"to", "forward", "oifname"};
constexpr Side kFrom{"from", "forward", "iifname"};
// By the bridge a packet came from, and not by its source address: networks may overlap.
constexpr Side kNat{"nat", "postrouting", "iifname"};
constexpr Side kSides[] = {kTo, kFrom, kNat};

json::object member(const char* name, json::value value) {
  json::object object;
  object[name] = std::move(value);
  return object;
}

json::object ours() {
  json::object object;
  object["family"] = kRulesFamily;
  object["table"] = kRulesTable;
  return object;
}

json::object command(const char* verb, const char* kind, json::object what) {
  return member(verb, member(kind, std::move(what)));
}

json::object chain(std::string_view name) {
  json::object object = ours();
  object["name"] = name;
  return object;
}

std::string chain_of(const Side& side, std::string_view bridge) {
  return fmt::format("{}_{}", side.map, bridge);
}

json::object element(const Side& side, std::string_view bridge) {
  json::object object = ours();
  object["name"] = side.map;
  json::array pair;
  pair.emplace_back(bridge);
  pair.emplace_back(member("jump", member("target", json::value(chain_of(side, bridge)))));
  object["elem"] = json::array{std::move(pair)};
  return object;
}

json::object rule(std::string_view chain_name, json::array expressions) {
  json::object object = ours();
  object["chain"] = chain_name;
  object["expr"] = std::move(expressions);
  return command("add", "rule", std::move(object));
}

json::value meta(const char* key) {
  return member("meta", member("key", key));
}

json::value match(const char* operation, json::value left, json::value right) {
  json::object object;
  object["op"] = operation;
  object["left"] = std::move(left);
  object["right"] = std::move(right);
  return member("match", std::move(object));
}

json::value returns() {
  return member("return", nullptr);
}

json::value rejects() {
  json::object how;
  how["type"] = "icmpx";  // of either family
  how["expr"] = "port-unreachable";
  return member("reject", std::move(how));
}

json::value comes_back() {
  return match("in", member("ct", member("key", "state")), json::array{"established", "related"});
}

bool is_device_name(std::string_view name, std::string_view also) {
  if (name.empty() || name.size() > kLongestDevice || name == "." || name == "..") return false;
  return std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

// The chains are called after it, and nft(8) takes no other characters in their names.
void check_bridge(const NetworkDefinition& definition) {
  if (is_device_name(definition.bridge.name, "_-.")) return;
  throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
              fmt::format("network {}: its rules cannot be made for a bridge named '{}': use up to {} "
                          "letters, digits, '_', '-' and '.'",
                          definition.name, definition.bridge.name, kLongestDevice),
              VIR_FROM_NETWORK);
}

json::value subnet(const char* field, const NetworkAddress& address, const char* operation = "==") {
  const unsigned prefix = address.effective_prefix();
  json::object place;
  place["protocol"] = address.address->is_ipv6 ? "ip6" : "ip";
  place["field"] = field;
  json::object range;
  range["addr"] = config::format_ip_address(config::first_address(*address.address, prefix));
  range["len"] = prefix;
  return match(operation, member("payload", std::move(place)), member("prefix", std::move(range)));
}

json::value address_range(const std::string& begin, const std::string& end) {
  if (begin == end) return json::value(begin);
  return member("range", json::array{json::value(begin), json::value(end)});
}

// One network's rules, chain by chain.
class Writer {
 public:
  explicit Writer(const NetworkDefinition& definition) : definition_(definition) {
    check_bridge(definition);
    if (definition.forward) {
      for (const std::string& device : definition.forward->interfaces) add_device(device);
    }
  }

  json::array write() {
    for (const Side& side : kSides) {
      const std::string name = chain_of(side, definition_.bridge.name);
      commands_.push_back(command("add", "chain", chain(name)));
      commands_.push_back(command("flush", "chain", chain(name)));
    }
    allow(kTo, {match("==", meta("iifname"), bridge()), returns()});
    allow(kFrom, {match("==", meta("oifname"), bridge()), returns()});
    for (const NetworkAddress& address : definition_.addresses) {
      // An isolated network's subnets go nowhere.
      if (address.address && definition_.mode() != ForwardMode::none) write_subnet(address);
    }
    allow(kTo, {rejects()});
    allow(kFrom, {rejects()});
    for (const Side& side : kSides)
      commands_.push_back(command("add", "element", element(side, definition_.bridge.name)));
    return std::move(commands_);
  }

 private:
  void add_device(const std::string& device) {
    // A star at its end would be any device that begins so.
    if (!is_device_name(device, "_-.+@:#=,")) {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("network {}: <forward> names '{}', which is no name of a device",
                              definition_.name, device),
                  VIR_FROM_NETWORK);
    }
    devices_.emplace_back(device);
  }

  json::value bridge() const { return json::value(definition_.bridge.name); }

  void allow(const Side& side, json::array expressions) {
    commands_.push_back(rule(chain_of(side, definition_.bridge.name), std::move(expressions)));
  }

  // Only by the devices of <forward>, if it names some.
  void restrict_to_devices(const char* which, json::array& expressions) const {
    if (!devices_.empty()) expressions.push_back(match("==", meta(which), member("set", devices_)));
  }

  // As libvirt has it: without <nat ipv6='yes'> the IPv6 subnets of a network of mode nat are routed.
  bool is_translated(const NetworkAddress& address) const {
    return definition_.mode() == ForwardMode::nat &&
           (!address.address->is_ipv6 || definition_.forward->nat_ipv6);
  }

  void write_subnet(const NetworkAddress& address) {
    json::array to, from;
    restrict_to_devices("iifname", to);
    to.push_back(subnet("daddr", address));
    restrict_to_devices("oifname", from);
    from.push_back(subnet("saddr", address));
    if (is_translated(address)) {
      to.push_back(comes_back());
      write_translation(address);
    }
    to.push_back(returns());
    from.push_back(returns());
    allow(kTo, std::move(to));
    allow(kFrom, std::move(from));
  }

  // Multicast of the link and broadcasts keep their source: who hears them is to answer to it.
  void write_translation(const NetworkAddress& address) {
    const bool ipv6 = address.address->is_ipv6;
    std::vector<std::pair<const char*, unsigned>> untouched{{"224.0.0.0", 24}, {"255.255.255.255", 32}};
    if (ipv6) untouched = {{"ff02::", 16}};
    for (const auto& [begin, prefix] : untouched) {
      const NetworkAddress range{.address = config::parse_ip_address(begin), .prefix = prefix};
      allow(kNat, {subnet("saddr", address), subnet("daddr", range), returns()});
    }
    json::array leaving;
    restrict_to_devices("oifname", leaving);
    leaving.push_back(subnet("saddr", address));
    leaving.push_back(subnet("daddr", address, "!="));
    // Ports below 1024 are the host's own; other protocols have none.
    json::array with_ports = leaving;
    with_ports.push_back(match("==", meta("l4proto"), member("set", json::array{"tcp", "udp"})));
    with_ports.push_back(translation(ipv6, definition_.forward->nat_ports.value_or(kDefaultPorts)));
    allow(kNat, std::move(with_ports));
    leaving.push_back(translation(ipv6, std::nullopt));
    allow(kNat, std::move(leaving));
  }

  json::value translation(bool ipv6, std::optional<PortRange> ports) const {
    json::object how;
    if (ports) {
      json::value begin = ports->begin, end = ports->end;
      how["port"] =
          ports->begin == ports->end ? begin : json::value(member("range", json::array{begin, end}));
    }
    const std::optional<AddressRange>& addresses = definition_.forward->nat_addresses;
    if (!addresses || addresses->begin.is_ipv6 != ipv6) {
      if (how.empty()) return member("masquerade", nullptr);
      return member("masquerade", std::move(how));
    }
    how["family"] = ipv6 ? "ip6" : "ip";
    how["addr"] =
        address_range(config::format_ip_address(addresses->begin), config::format_ip_address(addresses->end));
    return member("snat", std::move(how));
  }

  const NetworkDefinition& definition_;
  json::array devices_;
  json::array commands_;
};

void add_base_chain(json::array& commands, const char* name, const char* type, int priority) {
  json::object object = chain(name);
  object["type"] = type;
  object["hook"] = name;
  object["prio"] = priority;
  object["policy"] = "accept";
  commands.push_back(command("add", "chain", std::move(object)));
  commands.push_back(command("flush", "chain", chain(name)));
}

// What all networks share; it is the same whether it is there already or not.
json::array foundation() {
  json::array commands;
  json::object table;
  table["family"] = kRulesFamily;
  table["name"] = kRulesTable;
  commands.push_back(command("add", "table", std::move(table)));
  add_base_chain(commands, "forward", "filter", 0);
  add_base_chain(commands, "postrouting", "nat", 100);  // srcnat
  for (const Side& side : kSides) {
    json::object map = ours();
    map["name"] = side.map;
    map["type"] = "ifname";
    map["map"] = "verdict";
    commands.push_back(command("add", "map", std::move(map)));
    json::object lookup;
    lookup["key"] = meta(side.device);
    lookup["data"] = fmt::format("@{}", side.map);
    commands.push_back(rule(side.base, {member("vmap", std::move(lookup))}));
  }
  return commands;
}

void append(json::array& commands, json::array more) {
  for (json::value& one : more) commands.push_back(std::move(one));
}

bool has_rules(const NetworkDefinition& definition) {
  return definition.owns_bridge() && definition.mode() != ForwardMode::open;
}

// nft 1.0.6 has no `destroy`: what is to be gone is added first, so that deleting it never fails.
void append_removal(json::array& commands, std::string_view bridge) {
  for (const Side& side : kSides) {
    commands.push_back(command("add", "chain", chain(chain_of(side, bridge))));
    commands.push_back(command("add", "element", element(side, bridge)));
    commands.push_back(command("delete", "element", element(side, bridge)));
    commands.push_back(command("flush", "chain", chain(chain_of(side, bridge))));
    commands.push_back(command("delete", "chain", chain(chain_of(side, bridge))));
  }
}

std::vector<std::string> keys_of(const json::object& map) {
  std::vector<std::string> keys;
  const json::value* elements = map.if_contains("elem");
  if (elements == nullptr || !elements->is_array()) return keys;
  for (const json::value& one : elements->get_array()) {
    const json::array* pair = one.if_array();
    if (pair != nullptr && !pair->empty() && pair->front().is_string())
      keys.emplace_back(pair->front().get_string());
  }
  return keys;
}

}  // namespace

json::array rules_of(const NetworkDefinition& definition) {
  if (!has_rules(definition)) return {};
  json::array commands = foundation();
  append(commands, Writer(definition).write());
  return commands;
}

json::array removal_of(std::string_view bridge) {
  json::array commands = foundation();
  append_removal(commands, bridge);
  return commands;
}

std::vector<std::string> bridges_with_rules(const json::array& table) {
  std::vector<std::string> bridges;
  for (const json::value& one : table) {
    const json::object* object = one.if_object();
    const json::value* map = object != nullptr ? object->if_contains("map") : nullptr;
    if (map == nullptr || !map->is_object()) continue;
    for (std::string& key : keys_of(map->get_object())) bridges.push_back(std::move(key));
  }
  std::ranges::sort(bridges);
  bridges.erase(std::ranges::unique(bridges).begin(), bridges.end());
  return bridges;
}

void apply_rules(const NetworkDefinition& definition) {
  if (!definition.owns_bridge()) return;
  if (!has_rules(definition)) return remove_rules(definition);
  nftables::apply(rules_of(definition), fmt::format("network {}: set up its rules", definition.name));
}

void apply_all_rules(std::span<const NetworkDefinition* const> active) {
  std::vector<std::string> stale =
      bridges_with_rules(nftables::list(fmt::format("table {} {}", kRulesFamily, kRulesTable)));
  json::array commands = foundation();
  for (const NetworkDefinition* definition : active) {
    if (!has_rules(*definition)) continue;
    append(commands, Writer(*definition).write());
    std::erase(stale, definition->bridge.name);
  }
  for (const std::string& bridge : stale) append_removal(commands, bridge);
  nftables::apply(commands, "networks: set up their rules");
}

void remove_rules(const NetworkDefinition& definition) {
  if (!definition.owns_bridge()) return;
  check_bridge(definition);
  // One of mode open has none, unless it had another mode before; no table is made for it either.
  if (!has_rules(definition)) {
    const auto bridges =
        bridges_with_rules(nftables::list(fmt::format("table {} {}", kRulesFamily, kRulesTable)));
    if (std::ranges::find(bridges, definition.bridge.name) == bridges.end()) return;
  }
  nftables::apply(removal_of(definition.bridge.name),
                  fmt::format("network {}: remove its rules", definition.name));
}

}  // namespace warren::driver::network
