#include "driver/nwfilter/filter_rules.h"

#include <algorithm>
#include <map>
#include <ranges>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/nftables/transaction.h"
#include "driver/nwfilter/frame_match.h"

namespace warren::driver::nwfilter {

namespace {

namespace json = boost::json;

constexpr std::size_t kLongestNftComment = 127;

// A way through a tap, and where in the table it begins. The priorities are of the bridge family: frames are
// looked at before connections are (-200), packets after it.
struct Way {
  Direction direction;
  const char* suffix;
  const char* device;  // meta key
  const char* hook;
  const char* frames_map;
  const char* packets_map;
};
constexpr Way kWays[] = {
    {Direction::out, "out", "iifname", "prerouting", "frames_out", "packets_out"},
    {Direction::in, "in", "oifname", "postrouting", "frames_in", "packets_in"},
};
constexpr int kFramesPriority = -300, kPacketsPriority = -150;

json::object in_table(json::object object) {
  object["family"] = "bridge";
  object["table"] = kTable;
  return object;
}

void add_command(json::array& commands, std::string_view verb, std::string_view kind, json::object object) {
  commands.push_back(json::object{{verb, {{kind, std::move(object)}}}});
}

bool goes(Direction direction, const Way& way) {
  return direction == Direction::inout || direction == way.direction;
}

json::value verdict(Action action, bool can_reject) {
  switch (action) {
    case Action::accept:
      return {{"accept", nullptr}};
    case Action::return_:
      return {{"return", nullptr}};
    case Action::continue_:
      return {{"continue", nullptr}};
    case Action::reject:
      if (can_reject) return {{"reject", nullptr}};
      break;
    case Action::drop:
      break;
  }
  return {{"drop", nullptr}};
}

json::value jump(const std::string& chain) {
  return {{"jump", {{"target", chain}}}};
}

// Frames that a chain is for, by its prefix.
void match_chain(json::array& expressions, std::string_view protocol) {
  static constexpr std::pair<std::string_view, std::uint16_t> kTypes[] = {
      {"vlan", 0x8100}, {"arp", 0x0806}, {"rarp", 0x8035}, {"ipv4", 0x0800}, {"ipv6", 0x86dd}};
  for (const auto& [name, type] : kTypes)
    if (name == protocol) expressions.push_back(match_ether_type(type));
  if (protocol == "stp") expressions.push_back(match_value(field_of("ether", "daddr"), "01:80:c2:00:00:00"));
}

// Rules of one priority stay as they were written.
void sort_by_priority(std::vector<const TapRule*>& rules) {
  std::multimap<int, const TapRule*> sorted;
  for (const TapRule* rule : rules) sorted.emplace(rule->priority, rule);
  std::ranges::copy(sorted | std::views::values, rules.begin());
}

class TapCompiler {
 public:
  TapCompiler(const std::string& tap, const TapFilter& filter, const BridgeFeatures& features,
              const AddressWait* wait)
      : tap_(tap), features_(features), wait_(wait) {
    for (const TapRule& rule : filter.rules) {
      const bool of_packets = rule.protocol != nullptr && rule.protocol->layer == Layer::network;
      (of_packets ? packets_ : frames_[{rule.chain_priority, rule.chain}]).push_back(&rule);
    }
    sort_by_priority(packets_);
    for (auto& [chain, rules] : frames_) sort_by_priority(rules);
  }

  TapChains run() {
    for (const Way& way : kWays) {
      compile_frames(way);
      compile_packets(way);
    }
    return std::move(result_);
  }

 private:
  using Rules = std::vector<const TapRule*>;

  std::string chain_name(const Way& way) const { return fmt::format("{}/{}", tap_, way.suffix); }

  // Root's rules in their order, and each chain where its priority puts it: before a rule of the same.
  void compile_frames(const Way& way) {
    TapChain root{.name = chain_name(way)};
    if (wait_ != nullptr) add_wait(root, way);
    Rules rules;
    for (const auto& [chain, members] : frames_)
      if (chain.second == "root") rules.insert(rules.end(), members.begin(), members.end());
    sort_by_priority(rules);
    std::vector<TapChain> chains;
    auto rule = rules.begin();
    for (const auto& [chain, priority] : chain_order()) {
      for (; rule != rules.end() && (*rule)->priority < priority; ++rule) add_frame_rule(root, **rule, way);
      TapChain inner{.name = root.name + "/" + chain};
      for (const TapRule* member : members_of(chain)) add_frame_rule(inner, *member, way);
      if (inner.rules.empty()) continue;
      json::array expressions;
      match_chain(expressions, chain_protocol(chain));
      expressions.push_back(jump(inner.name));
      root.rules.push_back(std::move(expressions));
      chains.push_back(std::move(inner));
    }
    for (; rule != rules.end(); ++rule) add_frame_rule(root, **rule, way);
    result_.chains.push_back(std::move(root));
    std::ranges::move(chains, std::back_inserter(result_.chains));
  }

  // Filters of one chain may disagree on its priority: the lowest is its.
  std::vector<std::pair<std::string, int>> chain_order() const {
    std::vector<std::pair<std::string, int>> order;
    for (const auto& [chain, members] : frames_) {
      const bool known = chain.second == "root" ||
                         std::ranges::find(order, chain.second,
                                           [](const auto& entry) { return entry.first; }) != order.end();
      if (!known) order.emplace_back(chain.second, chain.first);
    }
    return order;
  }

  Rules members_of(const std::string& name) const {
    Rules members;
    for (const auto& [chain, rules] : frames_)
      if (chain.second == name) members.insert(members.end(), rules.begin(), rules.end());
    sort_by_priority(members);
    return members;
  }

  // As written towards the guest; from it with source and destination changed where a rule is for both.
  void add_frame_rule(TapChain& chain, const TapRule& rule, const Way& way) {
    if (!goes(rule.direction, way)) return;
    const bool mirrored = rule.direction == Direction::inout && way.direction == Direction::out;
    add_rule(chain, rule, {.mirrored = mirrored}, false);
  }

  void add_rule(TapChain& chain, const TapRule& rule, const FlowSettings& flow, bool can_reject) {
    std::optional<json::array> expressions = match_frame(rule, flow);
    if (!expressions) return;
    expressions->push_back(verdict(rule.action, can_reject));
    if (const ValueMatch* comment = rule.match("comment")) {
      // Carried along until it becomes the rule's own.
      expressions->push_back(json::object{{"comment", shortened(comment->value.text)}});
    }
    chain.rules.push_back(std::move(*expressions));
  }

  static std::string shortened(std::string text) {
    if (text.size() <= kLongestNftComment) return text;
    std::size_t end = kLongestNftComment;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // within a character
    text.resize(end);
    return text;
  }

  void compile_packets(const Way& way) {
    TapChain chain{.name = chain_name(way) + "-packets"};
    if (wait_ != nullptr) add_wait(chain, way);
    for (const TapRule* rule : packets_) add_packet_rule(chain, *rule, way);
    result_.chains.push_back(std::move(chain));
  }

  // What is accepted one way is answered the other way, for as long as the connection lasts.
  void add_packet_rule(TapChain& chain, const TapRule& rule, const Way& way) {
    const ValueMatch* state = rule.match("state");
    const bool both = rule.direction == Direction::inout;
    const bool forward = goes(rule.direction, way);
    const bool is_pair = rule.action == Action::accept && !both && state == nullptr;
    // A message's answer has another type, and a rule of its own.
    const bool is_message = rule.match("type") != nullptr || rule.match("code") != nullptr;
    if (!forward && (!is_pair || is_message || rule.match("connlimit-above") != nullptr)) return;
    FlowSettings flow{.mirrored = both ? way.direction == Direction::out : !forward};
    if (state != nullptr) {
      flow.states = state->value.number & ~kStateNone;
      if (state->negated && flow.states != 0)
        flow.states ^= kStateNew | kStateEstablished | kStateRelated | kStateInvalid;
    } else if (is_pair && rule.state_match) {
      flow.states = forward ? kStateNew | kStateEstablished : kStateEstablished;
    }
    if ((flow.states != 0 || rule.match("connlimit-above") != nullptr) && !features_.connections)
      throw Error(
          VIR_ERR_OPERATION_UNSUPPORTED,
          fmt::format("{}: a rule of <{}> needs the states of connections, which this kernel's bridges do "
                      "not know (nf_conntrack_bridge); load or build it, or write statematch='false'",
                      tap_, rule.protocol->name),
          VIR_FROM_NWFILTER);
    // The hook of frames to the guest has no way back to who sent them.
    add_rule(chain, rule, flow, features_.reject && way.direction == Direction::out);
  }

  // RFC 2131 §4.1: what a client says from port 68, and what a server answers to it.
  void add_wait(TapChain& chain, const Way& way) const {
    const bool out = way.direction == Direction::out;
    json::array ask;
    if (out)
      ask.push_back(
          match_value(field_of("ether", "saddr"), json::value(config::format_mac_address(wait_->mac))));
    ask.push_back(match_ether_type(0x0800));
    if (!out && !wait_->servers.empty()) {
      json::array servers(wait_->servers.begin(), wait_->servers.end());
      ask.push_back(match_value(field_of("ip", "saddr"), {{"set", std::move(servers)}}));
    }
    ask.push_back(match_value({{"meta", {{"key", "l4proto"}}}}, 17));
    ask.push_back(match_value(field_at("th", 0, 16), out ? 68 : 67));
    ask.push_back(match_value(field_at("th", 16, 16), out ? 67 : 68));
    ask.push_back(verdict(Action::accept, false));
    chain.rules.push_back(std::move(ask));
  }

  const std::string& tap_;
  const BridgeFeatures& features_;
  const AddressWait* wait_;
  std::map<std::pair<int, std::string>, Rules> frames_;
  Rules packets_;
  TapChains result_{.tap = tap_};
};

bool succeeds(const json::array& expressions) {
  constexpr std::string_view kProbe = "warren_nwfilter_probe";
  const json::object table{{"family", "bridge"}, {"name", kProbe}};
  const json::object chain{{"family", "bridge"},   {"table", kProbe}, {"name", "probe"},   {"type", "filter"},
                           {"hook", "prerouting"}, {"prio", 0},       {"policy", "accept"}};
  json::array commands;
  add_command(commands, "add", "table", table);
  add_command(commands, "add", "chain", chain);
  add_command(commands, "add", "rule",
              {{"family", "bridge"}, {"table", kProbe}, {"chain", "probe"}, {"expr", expressions}});
  add_command(commands, "delete", "table", table);
  try {
    nftables::apply(commands, "try what bridges can do");
  } catch (const Error&) {
    return false;
  }
  return true;
}

json::object element_of(std::string_view map, const std::string& tap, const std::string& chain) {
  json::array pair{tap, jump(chain)};
  return in_table({{"name", map}, {"elem", json::array{std::move(pair)}}});
}

}  // namespace

BridgeFeatures probe_features() {
  const json::value established = {
      {"match", {{"op", "in"}, {"left", {{"ct", {{"key", "state"}}}}}, {"right", {"established", "new"}}}}};
  const json::value reject = {{"reject", nullptr}};
  return {.connections = succeeds(json::array{established}), .reject = succeeds(json::array{reject})};
}

std::vector<std::string> TapChains::names() const {
  std::vector<std::string> all;
  for (const TapChain& chain : chains) all.push_back(chain.name);
  return all;
}

TapChains compile(const std::string& tap, const TapFilter& filter, const BridgeFeatures& features,
                  const AddressWait* wait) {
  return TapCompiler(tap, filter, features, wait).run();
}

TapChains closed(const std::string& tap) {
  TapFilter filter;
  filter.rules.push_back({.action = Action::drop, .direction = Direction::inout, .chain = "root"});
  return compile(tap, filter, {}, nullptr);
}

void add_table(json::array& commands) {
  add_command(commands, "add", "table", {{"family", "bridge"}, {"name", kTable}});
  for (const Way& way : kWays) {
    const std::pair<const char*, int> stages[] = {{way.frames_map, kFramesPriority},
                                                  {way.packets_map, kPacketsPriority}};
    for (const auto& [name, priority] : stages) {
      add_command(commands, "add", "map", in_table({{"name", name}, {"type", "ifname"}, {"map", "verdict"}}));
      add_command(commands, "add", "chain",
                  in_table({{"name", name},
                            {"type", "filter"},
                            {"hook", way.hook},
                            {"prio", priority},
                            {"policy", "accept"}}));
      add_command(commands, "flush", "chain", in_table({{"name", name}}));
      const json::value device = {{"meta", {{"key", way.device}}}};
      const json::value lookup = {{"vmap", {{"key", device}, {"data", fmt::format("@{}", name)}}}};
      add_command(commands, "add", "rule", in_table({{"chain", name}, {"expr", json::array{lookup}}}));
    }
  }
}

void add_tap(json::array& commands, const TapChains& chains, const std::vector<std::string>& old) {
  const std::vector<std::string> now = chains.names();
  for (const std::string& name : now) {
    add_command(commands, "add", "chain", in_table({{"name", name}}));
    add_command(commands, "flush", "chain", in_table({{"name", name}}));
  }
  for (const TapChain& chain : chains.chains) {
    for (json::array expressions : chain.rules) {
      json::object rule = in_table({{"chain", chain.name}});
      if (json::value* comment = expressions.back().as_object().if_contains("comment")) {
        rule["comment"] = std::move(*comment);
        expressions.pop_back();
      }
      rule["expr"] = std::move(expressions);
      add_command(commands, "add", "rule", std::move(rule));
    }
  }
  for (const Way& way : kWays) {
    const std::string chain = fmt::format("{}/{}", chains.tap, way.suffix);
    add_command(commands, "add", "element", element_of(way.frames_map, chains.tap, chain));
    add_command(commands, "add", "element", element_of(way.packets_map, chains.tap, chain + "-packets"));
  }
  for (const char* verb : {"flush", "delete"})
    for (const std::string& name : old)
      if (std::ranges::find(now, name) == now.end())
        add_command(commands, verb, "chain", in_table({{"name", name}}));
}

void remove_tap(json::array& commands, const std::string& tap, const std::vector<std::string>& old) {
  for (const Way& way : kWays) {
    const std::string chain = fmt::format("{}/{}", tap, way.suffix);
    add_command(commands, "delete", "element", element_of(way.frames_map, tap, chain));
    add_command(commands, "delete", "element", element_of(way.packets_map, tap, chain + "-packets"));
  }
  for (const char* verb : {"flush", "delete"})
    for (const std::string& name : old) add_command(commands, verb, "chain", in_table({{"name", name}}));
}

json::array replace_all(const std::vector<const TapChains*>& taps) {
  json::array commands = remove_all();
  add_table(commands);
  for (const TapChains* tap : taps) add_tap(commands, *tap, {});
  return commands;
}

json::array remove_all() {
  json::array commands;
  // Added first, for there may be none to delete.
  add_command(commands, "add", "table", {{"family", "bridge"}, {"name", kTable}});
  add_command(commands, "delete", "table", {{"family", "bridge"}, {"name", kTable}});
  return commands;
}

}  // namespace warren::driver::nwfilter
