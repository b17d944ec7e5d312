#include "driver/nwfilter/filter_definition.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"
#include "driver/nwfilter/filter_schema_text.h"

namespace warren::driver::nwfilter {

namespace {

constexpr config::XmlLimits kLimits{.bytes = 1u << 20, .depth = 8, .nodes = 20'000};
constexpr std::size_t kLongestName = 240;  // with ".xml" it is a file's
constexpr std::size_t kLongestChain = 31;

struct ChainPrefix {
  std::string_view name;
  int priority;
};
// A longer name goes before one that it begins with.
constexpr ChainPrefix kChains[] = {{"root", 0},   {"mac", -800},  {"stp", -810},  {"vlan", -750},
                                   {"arp", -500}, {"rarp", -400}, {"ipv4", -700}, {"ipv6", -600}};

constexpr config::EnumName<Action> kActionNames[] = {{"drop", Action::drop},
                                                     {"accept", Action::accept},
                                                     {"reject", Action::reject},
                                                     {"return", Action::return_},
                                                     {"continue", Action::continue_}};
constexpr config::EnumTable<Action> kActions{kActionNames, {}};
constexpr config::EnumName<Direction> kDirectionNames[] = {
    {"in", Direction::in}, {"out", Direction::out}, {"inout", Direction::inout}};
constexpr config::EnumTable<Direction> kDirections{kDirectionNames, {}};
// Protocols whose header begins with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
constexpr std::uint32_t kWithPorts[] = {6, 17, 33, 132, 136};
constexpr std::uint32_t kIcmpv6 = 58;

const ChainPrefix* find_chain(std::string_view chain) {
  for (const ChainPrefix& entry : kChains) {
    if (chain == entry.name) return &entry;
    if (entry.name != "root" && chain.starts_with(entry.name)) return &entry;
  }
  return nullptr;
}

bool is_chain_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestChain && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
  });
}

std::optional<int> read_priority(config::XmlElement& element) {
  const auto text = element.attribute("priority");
  if (!text) return std::nullopt;
  int value = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc{} || end != text->data() + text->size() || value < kLowestPriority ||
      value > kHighestPriority)
    throw element.malformed_attribute(
        "priority", fmt::format("'{}' is no number from {} to {}", text->substr(0, 64), kLowestPriority,
                                kHighestPriority));
  return value;
}

std::optional<VariableAccess> parse_variable(std::string_view text) {
  const std::size_t bracket = text.find('[');
  VariableAccess access{.name = std::string(text.substr(0, bracket))};
  if (!config::is_variable_name(access.name)) return std::nullopt;
  if (bracket == std::string_view::npos) return access;
  text.remove_prefix(bracket + 1);
  if (!text.ends_with(']')) return std::nullopt;
  text.remove_suffix(1);
  access.is_element = !text.starts_with('@');
  if (!access.is_element) text.remove_prefix(1);
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), access.index);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return access;
}

std::variant<AttributeValue, VariableAccess> read_value(config::XmlElement& element,
                                                        const AttributeSpec& attribute,
                                                        std::string_view text) {
  if (attribute.kind == ValueKind::kernel_set)
    throw element.unsupported_attribute(
        attribute.name,
        "nftables does not know the sets of ipset(8); list the addresses as a variable's values");
  if (attribute.takes_variables() && text.starts_with('$')) {
    if (const auto access = parse_variable(text.substr(1))) return *access;
    throw element.malformed_attribute(
        attribute.name,
        fmt::format("'{}' is no variable; it is $NAME, $NAME[0] or $NAME[@0]", text.substr(0, 64)));
  }
  if (auto value = parse_value(attribute, text)) {
    if (attribute.kind == ValueKind::boolean && value->number != 0)
      throw element.unsupported_attribute(
          attribute.name, "nftables cannot compare two fields of a frame; compare each with an address");
    return std::move(*value);
  }
  throw element.malformed_attribute(
      attribute.name, fmt::format("'{}' is not what it can be: {}", text.substr(0, 64), describe(attribute)));
}

void read_matches(config::XmlElement& element, FilterRule& rule) {
  element.mark_read();
  const bool negated = !config::read_yes_no(element, "match").value_or(true);
  for (const AttributeSpec& attribute : rule.protocol->attributes) {
    const auto text = element.attribute(attribute.name);
    if (!text) continue;
    if (rule.match(attribute.name) != nullptr)
      throw element.malformed_attribute(attribute.name, "the rule has it already");
    rule.matches.push_back({&attribute, negated, read_value(element, attribute, *text)});
  }
}

bool has_number(const FilterMatch& match, std::span<const std::uint32_t> numbers) {
  const auto* value = std::get_if<AttributeValue>(&match.value);
  // What a variable holds is checked when the rule is made.
  return value == nullptr || std::ranges::find(numbers, value->number) != numbers.end();
}

void check_rule(const config::XmlElement& element, FilterRule& rule) {
  std::ranges::sort(rule.matches, {}, [](const FilterMatch& match) { return match.attribute; });
  for (FilterMatch& match : rule.matches) {
    if (match.attribute->needs.empty()) continue;
    const FilterMatch* main = rule.match(match.attribute->needs);
    if (main == nullptr)
      throw element.malformed(fmt::format("'{}' needs '{}'", match.attribute->name, match.attribute->needs));
    match.negated = main->negated;
  }
  if (rule.protocol->name != "ip" && rule.protocol->name != "ipv6") return;
  const FilterMatch* protocol = rule.match("protocol");
  const bool ports = rule.match("srcportstart") != nullptr || rule.match("dstportstart") != nullptr;
  if (ports && (protocol == nullptr || protocol->negated || !has_number(*protocol, kWithPorts)))
    throw element.malformed("ports need protocol tcp, udp, udplite or sctp");
  const bool message = rule.match("type") != nullptr || rule.match("code") != nullptr;
  if (message && (protocol == nullptr || protocol->negated || !has_number(*protocol, std::span(&kIcmpv6, 1))))
    throw element.malformed("'type' and 'code' need protocol icmpv6");
}

FilterRule parse_rule(config::XmlElement& element) {
  element.mark_read();
  FilterRule rule{.action = config::require_enum(element, "action", kActions),
                  .direction = config::require_enum(element, "direction", kDirections),
                  .priority = read_priority(element).value_or(kDefaultRulePriority)};
  if (const auto text = element.attribute("statematch")) {
    if (*text == "0" || *text == "false")
      rule.state_match = false;
    else if (*text != "1" && *text != "true")
      throw element.malformed_attribute("statematch", "it is true, false, 1 or 0");
  }
  for (config::XmlElement* child : element.all_children()) {
    const ProtocolSpec* protocol = find_protocol(child->name());
    if (protocol == nullptr)
      throw child->unsupported(fmt::format("'{}' is no protocol of a rule", child->name().substr(0, 64)));
    if (rule.protocol != nullptr && rule.protocol != protocol)
      throw child->malformed(fmt::format("the rule is of protocol {} already", rule.protocol->name));
    rule.protocol = protocol;
    read_matches(*child, rule);
  }
  if (rule.protocol != nullptr) check_rule(element, rule);
  return rule;
}

void read_head(config::XmlElement& root, FilterDefinition& definition) {
  definition.name = config::require_text(root, "name");
  if (definition.name.size() > kLongestName || definition.name.find('/') != std::string::npos ||
      definition.name.front() == '.')
    throw root.malformed_attribute(
        "name", fmt::format("it has at most {} bytes, no '/', and no '.' at its beginning", kLongestName));
  if (const auto chain = root.attribute("chain")) definition.chain = *chain;
  const ChainPrefix* prefix = is_chain_name(definition.chain) ? find_chain(definition.chain) : nullptr;
  if (prefix == nullptr)
    throw root.malformed_attribute(
        "chain",
        fmt::format("'{}' is not root, and begins with none of mac, stp, vlan, arp, rarp, ipv4, ipv6",
                    definition.chain.substr(0, 64)));
  definition.priority = read_priority(root).value_or(prefix->priority);
  if (config::XmlElement* uuid = root.child("uuid")) {
    const std::optional<Uuid> value = Uuid::parse(uuid->text());
    if (!value) throw uuid->malformed("it is no UUID");
    definition.uuid = *value;
    definition.has_uuid = true;
  } else {
    definition.uuid = Uuid::random();
  }
}

FilterDefinition parse(std::string_view xml, bool validate) {
  if (validate) {
    config::validate_against({.text = std::string_view(kFilterSchema, sizeof kFilterSchema - 1),
                              .document = "nwfilter_definition",
                              .root = "filter"},
                             xml, kLimits);
  }
  config::XmlDocument document(xml, "nwfilter_definition", kLimits);
  config::XmlElement& root = document.root();
  if (root.name() != "filter")
    throw root.malformed(fmt::format("the document is to be <filter>, not <{}>", root.name().substr(0, 64)));
  FilterDefinition definition;
  read_head(root, definition);
  for (config::XmlElement* child : root.all_children()) {
    if (child->name() == "rule")
      definition.entries.emplace_back(parse_rule(*child));
    else if (child->name() == "filterref")
      definition.entries.emplace_back(config::parse_filter_reference(*child));
  }
  root.refuse_unread();
  return definition;
}

void format_rule(config::XmlWriter& writer, const FilterRule& rule) {
  writer.begin("rule");
  writer.attribute("action", kActions.name(rule.action));
  writer.attribute("direction", kDirections.name(rule.direction));
  writer.attribute("priority", rule.priority);
  if (!rule.state_match) writer.attribute("statematch", "false");
  if (rule.protocol != nullptr && rule.matches.empty()) writer.empty(rule.protocol->name);
  // What holds and what must not cannot stand in one element.
  for (std::size_t i = 0; i < rule.matches.size();) {
    const bool negated = rule.matches[i].negated;
    writer.begin(rule.protocol->name);
    if (negated) writer.attribute("match", "no");
    for (; i < rule.matches.size() && rule.matches[i].negated == negated; ++i) {
      const FilterMatch& match = rule.matches[i];
      const auto* access = std::get_if<VariableAccess>(&match.value);
      writer.attribute(match.attribute->name,
                       access != nullptr
                           ? access->to_string()
                           : format_value(*match.attribute, std::get<AttributeValue>(match.value)));
    }
    writer.end();
  }
  writer.end();
}

}  // namespace

std::string VariableAccess::to_string() const {
  if (is_element) return fmt::format("${}[{}]", name, index);
  return index == 0 ? "$" + name : fmt::format("${}[@{}]", name, index);
}

const FilterMatch* FilterRule::match(std::string_view attribute) const {
  for (const FilterMatch& entry : matches)
    if (entry.attribute->name == attribute) return &entry;
  return nullptr;
}

std::string_view chain_protocol(std::string_view chain) {
  const ChainPrefix* prefix = find_chain(chain);
  return prefix == nullptr ? std::string_view{} : prefix->name;
}

FilterDefinition parse_filter(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_NWFILTER);
  }
}

std::string format_filter(const FilterDefinition& definition) {
  config::XmlWriter writer(2048);
  writer.begin("filter");
  writer.attribute("name", definition.name);
  writer.attribute("chain", definition.chain);
  if (definition.chain != "root" || definition.priority != 0)
    writer.attribute("priority", definition.priority);
  writer.element("uuid", definition.uuid.to_string());
  for (const auto& entry : definition.entries) {
    if (const auto* rule = std::get_if<FilterRule>(&entry))
      format_rule(writer, *rule);
    else
      config::format_filter_reference(writer, std::get<FilterReference>(entry));
  }
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::nwfilter
