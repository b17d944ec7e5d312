#include "driver/network/packet_fate.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace warren::driver::network {

namespace {

namespace json = boost::json;

// The kernel allows 16 jumps within each other (NFT_JUMP_STACK_SIZE); the second bounds how long a ruleset of
// any shape can take.
constexpr unsigned kDeepest = 16;
constexpr unsigned kMostSteps = 50'000;

enum class Truth { no, maybe, yes };

Truth negate(Truth truth) {
  if (truth == Truth::maybe) return truth;
  return truth == Truth::yes ? Truth::no : Truth::yes;
}

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* object_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr ? value->if_object() : nullptr;
}

// Numbers of what nft has no word for in this place.
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 7> kNumbers{
    {{"tcp", 6}, {"udp", 17}, {"icmpv6", 58}, {"ipv4", 2}, {"ipv6", 10}, {"ip", 0x0800}, {"ip6", 0x86dd}}};

// What a rule asks about a packet.
struct Asked {
  enum class Kind { unknown, device, word, number, address, never } kind = Kind::unknown;
  std::optional<std::string> text;  // of device and word
  std::uint64_t number = 0;
  std::optional<Subnet> subnet;
};

std::optional<Subnet> subnet_of(const json::value& right) {
  if (right.is_string()) {
    auto address = config::parse_ip_address(std::string_view(right.get_string()));
    if (!address) return std::nullopt;
    return Subnet{*address, address->bits()};
  }
  const json::object* object = right.if_object();
  const json::object* prefix = object != nullptr ? object_of(*object, "prefix") : nullptr;
  if (prefix == nullptr) return std::nullopt;
  auto address = config::parse_ip_address(text_of(*prefix, "addr"));
  const json::value* length = prefix->if_contains("len");
  if (!address || length == nullptr || !length->is_int64() || length->get_int64() < 0 ||
      static_cast<std::uint64_t>(length->get_int64()) > address->bits())
    return std::nullopt;
  return Subnet{*address, static_cast<unsigned>(length->get_int64())};
}

const json::array* range_of(const json::value& right) {
  const json::object* object = right.if_object();
  const json::value* range = object != nullptr ? object->if_contains("range") : nullptr;
  const json::array* ends = range != nullptr ? range->if_array() : nullptr;
  return ends != nullptr && ends->size() == 2 ? ends : nullptr;
}

Truth compare_address(const std::optional<Subnet>& ours, const json::value& right) {
  if (!ours) return Truth::maybe;
  const config::IpAddress first = config::first_address(ours->address, ours->prefix);
  const config::IpAddress last = config::last_address(ours->address, ours->prefix);
  std::optional<config::IpAddress> begin, end;
  if (const json::array* range = range_of(right)) {
    auto low = subnet_of((*range)[0]), high = subnet_of((*range)[1]);
    if (low && high) begin = low->address, end = high->address;
  } else if (auto subnet = subnet_of(right)) {
    begin = config::first_address(subnet->address, subnet->prefix);
    end = config::last_address(subnet->address, subnet->prefix);
  }
  if (!begin || begin->is_ipv6 != first.is_ipv6) return Truth::maybe;
  if (*end < first || *begin > last) return Truth::no;
  return *begin <= first && *end >= last ? Truth::yes : Truth::maybe;
}

Truth compare_number(std::uint64_t ours, const json::value& right) {
  auto number = [](const json::value& value) -> std::optional<std::uint64_t> {
    if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
    return std::nullopt;
  };
  if (const json::array* range = range_of(right)) {
    auto low = number((*range)[0]), high = number((*range)[1]);
    if (!low || !high) return Truth::maybe;
    return ours >= *low && ours <= *high ? Truth::yes : Truth::no;
  }
  auto theirs = number(right);
  if (!theirs) return Truth::maybe;
  return ours == *theirs ? Truth::yes : Truth::no;
}

Truth compare_word(std::string_view ours, const json::value& right) {
  if (right.is_string()) {
    std::string_view theirs = right.get_string();
    if (theirs == "ipv6-icmp") theirs = "icmpv6";  // protocols(5), and nft's header of it
    return ours == theirs ? Truth::yes : Truth::no;
  }
  const auto* known = std::ranges::find(kNumbers, ours, &std::pair<std::string_view, std::uint64_t>::first);
  return known == kNumbers.end() ? Truth::maybe : compare_number(known->second, right);
}

Truth compare_device(const std::optional<std::string>& ours, std::string_view bridge,
                     const json::value& right) {
  if (!right.is_string()) return Truth::maybe;
  std::string_view name = right.get_string();
  const bool any_end = name.ends_with('*');
  if (any_end) name.remove_suffix(1);
  if (any_end && name.empty()) return Truth::yes;
  auto is = [&](std::string_view device) { return any_end ? device.starts_with(name) : device == name; };
  if (ours) return is(*ours) ? Truth::yes : Truth::no;
  return !any_end && (is(bridge) || is("lo")) ? Truth::no : Truth::maybe;
}

// A rule within its chain.
struct Place {
  const json::object& rule;
  const std::string& chain;
};

std::string name_of(const Place& place) {
  const json::value* handle = place.rule.if_contains("handle");
  return fmt::format("rule {} of chain {}", handle != nullptr ? json::serialize(*handle) : "?", place.chain);
}

}  // namespace

// One packet on its way through the chains of one table.
class RulesetWalk {
 public:
  RulesetWalk(const Ruleset& ruleset, const BaseChain& base, const SketchedPacket& packet)
      : ruleset_(ruleset), base_(base), packet_(packet) {}

  PacketFate walk() {
    const End end = chain(base_.name, 0);
    if (end == End::goes_on && base_.drops) {
      fate_.dropped = true;
      fate_.cause = "policy drop";
    }
    return std::move(fate_);
  }

 private:
  enum class End { goes_on, accepted, dropped, returns };

  End chain(const std::string& name, unsigned depth);
  End rule(const json::object& rule, const std::string& chain_name, unsigned depth);
  // nullopt: it is no verdict.
  std::optional<End> verdict(const json::object& statement, Truth so, const Place& where, unsigned depth);
  std::optional<End> jump(const std::string& target, bool for_good, Truth so, unsigned depth);
  std::optional<End> map(const json::object& statement, Truth so, const Place& where, unsigned depth);

  Truth match(const json::object& match) const;
  Truth compare(const Asked& asked, const json::value& right) const;
  Truth compare_any(const Asked& asked, const json::array& values) const;
  const json::array* elements_of(const json::value& set) const;
  Asked asked(const json::value& left) const;
  Asked asked_meta(const std::string& key) const;
  Asked asked_payload(const json::object& payload) const;
  Asked protocol() const;

  const Ruleset& ruleset_;
  const BaseChain& base_;
  const SketchedPacket& packet_;
  PacketFate fate_;
  unsigned steps_ = 0;
};

RulesetWalk::End RulesetWalk::chain(const std::string& name, unsigned depth) {
  auto found = ruleset_.rules_.find({base_.family, base_.table, name});
  if (found == ruleset_.rules_.end() || depth > kDeepest) return End::goes_on;
  for (const json::object* one : found->second) {
    if (++steps_ > kMostSteps) return End::accepted;
    const End end = rule(*one, name, depth);
    if (end == End::returns) return End::goes_on;
    if (end != End::goes_on) return end;
  }
  return End::goes_on;
}

RulesetWalk::End RulesetWalk::rule(const json::object& rule, const std::string& chain_name, unsigned depth) {
  const json::value* expressions = rule.if_contains("expr");
  if (expressions == nullptr || !expressions->is_array()) return End::goes_on;
  const Place where{rule, chain_name};
  static constexpr std::string_view kSideEffects[] = {"counter", "log", "mangle", "notrack", "ct helper"};
  Truth so = Truth::yes;
  for (const json::value& one : expressions->get_array()) {
    const json::object* statement = one.if_object();
    if (statement == nullptr || statement->empty()) continue;
    const std::string_view kind = statement->begin()->key();
    if (kind == "match") {
      const json::object* what = object_of(*statement, "match");
      so = std::min(so, what != nullptr ? match(*what) : Truth::maybe);
      if (so == Truth::no) return End::goes_on;
    } else if (auto end = verdict(*statement, so, where, depth)) {
      return *end;
    } else if (std::ranges::find(kSideEffects, kind) == std::end(kSideEffects) && kind != "vmap" &&
               kind != "jump" && kind != "goto") {
      so = std::min(so, Truth::maybe);
    }
  }
  return End::goes_on;
}

std::optional<RulesetWalk::End> RulesetWalk::verdict(const json::object& statement, Truth so,
                                                     const Place& where, unsigned depth) {
  std::string kind(statement.begin()->key());
  if (kind == "vmap") return map(statement, so, where, depth);
  if (kind == "jump" || kind == "goto") {
    const json::object* how = object_of(statement, kind.c_str());
    if (how == nullptr) return std::nullopt;
    return jump(text_of(*how, "target"), kind == "goto", so, depth);
  }
  if (kind == "return") return so == Truth::yes ? End::returns : End::goes_on;
  if (kind == "continue") return End::goes_on;
  if (kind == "accept") {
    if (so == Truth::yes) return End::accepted;
    ++fate_.may_be_accepted;
    return End::goes_on;
  }
  // The targets of iptables that nft does not translate.
  const json::object* extension = object_of(statement, "xt");
  if (extension != nullptr && text_of(*extension, "type") == "target") {
    const std::string name = text_of(*extension, "name");
    if (name == "REJECT") kind = "reject";
  }
  if (kind != "drop" && kind != "reject") return std::nullopt;
  if (so != Truth::yes) return End::goes_on;
  fate_.dropped = true;
  fate_.cause = fmt::format("{}: {}", name_of(where), kind);
  return End::dropped;
}

std::optional<RulesetWalk::End> RulesetWalk::jump(const std::string& target, bool for_good, Truth so,
                                                  unsigned depth) {
  if (so == Truth::yes) {
    const End end = chain(target, depth + 1);
    if (end != End::goes_on) return end;
    if (for_good) return End::returns;
    return std::nullopt;
  }
  // What is done to it there is only perhaps done.
  PacketFate before = fate_;
  const End end = chain(target, depth + 1);
  const unsigned accepted = fate_.may_be_accepted + (end == End::accepted ? 1 : 0);
  fate_ = std::move(before);
  fate_.may_be_accepted = accepted;
  return std::nullopt;
}

std::optional<RulesetWalk::End> RulesetWalk::map(const json::object& statement, Truth so, const Place& where,
                                                 unsigned depth) {
  const json::object* lookup = object_of(statement, "vmap");
  const json::value* key = lookup != nullptr ? lookup->if_contains("key") : nullptr;
  const json::value* data = lookup != nullptr ? lookup->if_contains("data") : nullptr;
  const json::array* pairs = data != nullptr ? elements_of(*data) : nullptr;
  if (key == nullptr || pairs == nullptr) return std::nullopt;
  const Asked what = asked(*key);
  for (const json::value& one : *pairs) {
    const json::array* pair = one.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[1].is_object()) continue;
    const Truth found = std::min(so, compare(what, (*pair)[0]));
    if (found == Truth::no || (*pair)[1].get_object().empty()) continue;
    auto end = verdict((*pair)[1].get_object(), found, where, depth);
    if (found == Truth::yes) return end;
  }
  return std::nullopt;
}

Truth RulesetWalk::match(const json::object& match) const {
  const json::value* left = match.if_contains("left");
  const json::value* right = match.if_contains("right");
  if (left == nullptr || right == nullptr) return Truth::maybe;
  const std::string operation = text_of(match, "op");
  if (operation != "==" && operation != "!=" && operation != "in") return Truth::maybe;
  const Asked what = asked(*left);
  // A header that the packet has not got matches nothing, whatever is asked of it.
  if (what.kind == Asked::Kind::never) return Truth::no;
  const Truth so = compare(what, *right);
  return operation == "!=" ? negate(so) : so;
}

Truth RulesetWalk::compare_any(const Asked& asked, const json::array& values) const {
  Truth best = Truth::no;
  for (const json::value& one : values) best = std::max(best, compare(asked, one));
  return best;
}

const json::array* RulesetWalk::elements_of(const json::value& set) const {
  if (const json::array* list = set.if_array()) return list;
  if (const json::object* object = set.if_object()) {
    const json::value* list = object->if_contains("set");
    return list != nullptr ? list->if_array() : nullptr;
  }
  if (!set.is_string() || !set.get_string().starts_with('@')) return nullptr;
  auto found = ruleset_.sets_.find({base_.family, base_.table, std::string(set.get_string().subview(1))});
  return found != ruleset_.sets_.end() ? found->second : nullptr;
}

Truth RulesetWalk::compare(const Asked& asked, const json::value& right) const {
  if (asked.kind == Asked::Kind::never) return Truth::no;
  if (asked.kind == Asked::Kind::unknown) return Truth::maybe;
  if (const json::array* values = elements_of(right)) return compare_any(asked, *values);
  // An element with more to it: a time-out, a counter.
  if (const json::object* object = right.if_object()) {
    const json::object* element = object_of(*object, "elem");
    const json::value* value = element != nullptr ? element->if_contains("val") : nullptr;
    if (value != nullptr) return compare(asked, *value);
  }
  switch (asked.kind) {
    case Asked::Kind::device:
      return compare_device(asked.text, packet_.bridge, right);
    case Asked::Kind::word:
      return compare_word(*asked.text, right);
    case Asked::Kind::number:
      return compare_number(asked.number, right);
    case Asked::Kind::address:
      return compare_address(asked.subnet, right);
    default:
      return Truth::maybe;
  }
}

Asked RulesetWalk::protocol() const {
  if (packet_.protocol.empty()) return {};
  return {.kind = Asked::Kind::word, .text = std::string(packet_.protocol)};
}

Asked RulesetWalk::asked_meta(const std::string& key) const {
  const bool bridged = base_.family == "bridge";
  if (key == "iifname" || key == "iif" || key == "oifname" || key == "oif") {
    const bool in = key.starts_with('i');
    if (!in && !packet_.has_out) return {.kind = Asked::Kind::never};
    // A bridge's own hooks see its ports.
    if (bridged) return {};
    return {.kind = Asked::Kind::device, .text = in ? packet_.in : packet_.out};
  }
  if (bridged && (key == "ibrname" || key == "obrname"))
    return {.kind = Asked::Kind::device, .text = packet_.bridge};
  if (key == "nfproto") return {.kind = Asked::Kind::word, .text = packet_.ipv6 ? "ipv6" : "ipv4"};
  if (key == "protocol") return {.kind = Asked::Kind::word, .text = packet_.ipv6 ? "ip6" : "ip"};
  if (key == "l4proto") return protocol();
  return {};
}

Asked RulesetWalk::asked_payload(const json::object& payload) const {
  const std::string header = text_of(payload, "protocol"), field = text_of(payload, "field");
  if (header == "ip" || header == "ip6") {
    if ((header == "ip6") != packet_.ipv6) return {.kind = Asked::Kind::never};
    if (field == "saddr") return {.kind = Asked::Kind::address, .subnet = packet_.source};
    if (field == "daddr") return {.kind = Asked::Kind::address, .subnet = packet_.destination};
    if (field == "protocol" || field == "nexthdr") return protocol();
    return {};
  }
  static constexpr std::string_view kTransports[] = {"tcp",  "udp",    "udplite", "sctp", "dccp",
                                                     "icmp", "icmpv6", "igmp",    "esp",  "ah"};
  if (header != "th" && std::ranges::find(kTransports, header) == std::end(kTransports)) return {};
  if (packet_.protocol.empty()) return {};
  if (header != "th" && header != packet_.protocol) return {.kind = Asked::Kind::never};
  if (field == "dport" && packet_.port) return {.kind = Asked::Kind::number, .number = *packet_.port};
  if (field == "type" && !packet_.type.empty())
    return {.kind = Asked::Kind::word, .text = std::string(packet_.type)};
  return {};
}

Asked RulesetWalk::asked(const json::value& left) const {
  const json::object* object = left.if_object();
  if (object == nullptr) return {};
  if (const json::object* meta = object_of(*object, "meta")) return asked_meta(text_of(*meta, "key"));
  if (const json::object* payload = object_of(*object, "payload")) return asked_payload(*payload);
  if (const json::object* connection = object_of(*object, "ct")) {
    if (text_of(*connection, "key") == "state")
      return {.kind = Asked::Kind::word, .text = std::string(packet_.state)};
    // Nobody redirects what we ask about.
    if (text_of(*connection, "key") == "status") return {.kind = Asked::Kind::word, .text = "none"};
  }
  return {};
}

Ruleset::Ruleset(const json::array& elements) {
  for (const json::value& one : elements) {
    const json::object* object = one.if_object();
    if (object == nullptr) continue;
    if (const json::object* chain = object_of(*object, "chain")) add_chain(*chain);
    if (const json::object* rule = object_of(*object, "rule"))
      rules_[{text_of(*rule, "family"), text_of(*rule, "table"), text_of(*rule, "chain")}].push_back(rule);
    for (const char* kind : {"set", "map"}) {
      const json::object* set = object_of(*object, kind);
      if (set == nullptr) continue;
      static const json::array kNone;
      const json::value* elem = set->if_contains("elem");
      const json::array* list = elem != nullptr ? elem->if_array() : nullptr;
      sets_[{text_of(*set, "family"), text_of(*set, "table"), text_of(*set, "name")}] =
          list != nullptr ? list : &kNone;
    }
  }
}

void Ruleset::add_chain(const json::object& chain) {
  BaseChain base{text_of(chain, "family"), text_of(chain, "table"), text_of(chain, "name"),
                 text_of(chain, "hook"), text_of(chain, "policy") == "drop"};
  rules_[{base.family, base.table, base.name}];
  if (!base.hook.empty() && text_of(chain, "type") == "filter" && base.family != "netdev" &&
      base.family != "arp")
    base_chains_.push_back(std::move(base));
}

bool Ruleset::has_chain(std::string_view family, std::string_view table, std::string_view name) const {
  return rules_.contains({std::string(family), std::string(table), std::string(name)});
}

bool Ruleset::sees(const BaseChain& chain, const SketchedPacket& packet) {
  if (chain.family == "ip") return !packet.ipv6;
  if (chain.family == "ip6") return packet.ipv6;
  return true;
}

PacketFate Ruleset::fate(const BaseChain& chain, const SketchedPacket& packet) const {
  return RulesetWalk(*this, chain, packet).walk();
}

}  // namespace warren::driver::network
