// A filter with all it refers to, and values for its variables: the rules of one tap.
//
// Pure functions. Throw driver::Error (domain NWFILTER) naming the filter, the rule's attribute and the
// variable.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/filter_binding.h"
#include "driver/nwfilter/filter_definition.h"

namespace warren::driver::nwfilter {

// Null: there is none of that name. What it returns outlives the call that was given it.
using FindFilter = std::function<const FilterDefinition*(std::string_view name)>;

struct ValueMatch {
  const AttributeSpec* attribute = nullptr;
  bool negated = false;
  AttributeValue value;
};

// A rule with a value for everything.
struct TapRule {
  Action action = Action::drop;
  Direction direction = Direction::inout;
  int priority = 0;
  bool state_match = true;
  const ProtocolSpec* protocol = nullptr;
  std::string chain;
  int chain_priority = 0;
  std::vector<ValueMatch> matches;

  const ValueMatch* match(std::string_view attribute) const;
};

struct TapFilter {
  std::vector<TapRule> rules;  // in the order of the documents
  // $IP is used and nobody knows it: what rules with it let pass is left out, and what they drop is dropped
  // whatever the address.
  bool misses_ip = false;
};

enum class Learning { any, dhcp, none };

// CTRL_IP_LEARNING of the binding. Throws for a value that is none of them.
Learning learning_of(const config::FilterBinding& binding);

// `learned`: what is known of $IP besides the binding's parameters, which go before it.
TapFilter instantiate(const config::FilterBinding& binding, const std::vector<std::string>& learned,
                      const FindFilter& find);

// All that a filter refers to, itself included, whether it is there or not.
std::set<std::string> filters_below(std::string_view name, const FindFilter& find);

// OPERATION_FAILED if `definition` would refer to itself, by whatever way.
void refuse_loop(const FilterDefinition& definition, const FindFilter& find);

}  // namespace warren::driver::nwfilter
