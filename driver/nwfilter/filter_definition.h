// <filter>: rules for what may pass a guest's tap, and references to other filters.
//
// Format: libvirt's formatnwfilter. Pure functions; the document is hostile.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "driver/config/filter_reference.h"
#include "driver/contract/network_filters.h"
#include "driver/nwfilter/protocols.h"

namespace warren::driver::nwfilter {

using config::FilterReference;

enum class Action { drop, accept, reject, return_, continue_ };
enum class Direction { in, out, inout };  // in: towards the guest

// $NAME (the values one after the other, along with others of iterator 0), $NAME[@1] (of iterator 1),
// $NAME[2] (the third value).
struct VariableAccess {
  std::string name;
  bool is_element = false;
  std::uint32_t index = 0;  // of the element, or the iterator's number
  auto operator<=>(const VariableAccess&) const = default;

  std::string to_string() const;  // with its '$'
};

struct FilterMatch {
  const AttributeSpec* attribute = nullptr;  // of the rule's protocol; of static storage
  bool negated = false;                      // match='no'
  std::variant<AttributeValue, VariableAccess> value;
  bool operator==(const FilterMatch&) const = default;
};

inline constexpr int kLowestPriority = -1000, kHighestPriority = 1000, kDefaultRulePriority = 500;

struct FilterRule {
  Action action = Action::drop;
  Direction direction = Direction::inout;
  int priority = kDefaultRulePriority;
  bool state_match = true;
  const ProtocolSpec* protocol = nullptr;  // none: every frame; of static storage
  std::vector<FilterMatch> matches;  // all of them have to hold; in the order of the protocol's attributes
  bool operator==(const FilterRule&) const = default;

  const FilterMatch* match(std::string_view attribute) const;
};

struct FilterDefinition {
  std::string name;
  Uuid uuid;
  bool has_uuid = false;  // it was given
  std::string chain = "root";
  int priority = 0;  // of the chain
  std::vector<std::variant<FilterRule, FilterReference>> entries;

  FilterHandle handle() const { return {name, uuid}; }
  friend bool operator==(const FilterDefinition& one, const FilterDefinition& other) {
    return one.name == other.name && one.uuid == other.uuid && one.chain == other.chain &&
           one.priority == other.priority && one.entries == other.entries;
  }
};

// "arp" of "arp-mac"; empty for a name no chain can have.
std::string_view chain_protocol(std::string_view chain);

// A filter without <uuid> gets one. Throws driver::Error (domain NWFILTER): XML_ERROR for what is malformed,
// CONFIG_UNSUPPORTED for what Warren does not know, XML_INVALID_SCHEMA if it was to be validated.
FilterDefinition parse_filter(std::string_view xml, bool validate = false);
std::string format_filter(const FilterDefinition& definition);

}  // namespace warren::driver::nwfilter
