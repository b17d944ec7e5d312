#include "driver/nwfilter/filter_tree.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::nwfilter {

namespace {

// A tree of references or a product of lists can be made to have no end.
constexpr std::size_t kMostRules = 32'768;
constexpr std::size_t kMostReferences = 4096;
constexpr std::string_view kIp = "IP", kMac = "MAC", kLearning = "CTRL_IP_LEARNING";

using Variables = std::map<std::string, std::vector<std::string>, std::less<>>;

Error filter_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_NWFILTER};
}

class Instantiator {
 public:
  Instantiator(const config::FilterBinding& binding, const FindFilter& find)
      : binding_(binding), find_(find) {}

  TapFilter run(const Variables& variables) {
    add_filter(binding_.filter.filter, variables);
    return std::move(result_);
  }

 private:
  void add_filter(const std::string& name, const Variables& variables) {
    const FilterDefinition* filter = find_(name);
    if (filter == nullptr)
      throw filter_error(VIR_ERR_NO_NWFILTER, fmt::format("{}: there is no filter '{}'; define it first",
                                                          binding_.port_device, name));
    if (std::ranges::find(path_, name) != path_.end())
      throw filter_error(VIR_ERR_OPERATION_FAILED, fmt::format("filter '{}' refers to itself", name));
    if (++references_ > kMostReferences)
      throw filter_error(VIR_ERR_OPERATION_FAILED, fmt::format("filter '{}' refers to more than {} filters",
                                                               binding_.filter.filter, kMostReferences));
    path_.push_back(name);
    for (const auto& entry : filter->entries) {
      if (const auto* rule = std::get_if<FilterRule>(&entry)) {
        add_rule(*filter, *rule, variables);
        continue;
      }
      const auto& reference = std::get<FilterReference>(entry);
      // What the reference gives stands in for what nobody outside gave.
      Variables inner = variables;
      inner.insert(reference.parameters.begin(), reference.parameters.end());
      add_filter(reference.filter, inner);
    }
    path_.pop_back();
  }

  const std::vector<std::string>* values(const FilterDefinition& filter, const VariableAccess& access,
                                         const Variables& variables) const {
    const auto found = variables.find(access.name);
    if (found != variables.end() && (!access.is_element || access.index < found->second.size()))
      return &found->second;
    if (access.name == kIp && learning_of(binding_) != Learning::none && found == variables.end())
      return nullptr;
    throw filter_error(
        VIR_ERR_INTERNAL_ERROR,
        fmt::format("{}: filter '{}' needs a value for {}; give it as a <parameter> of <filterref>",
                    binding_.port_device, filter.name, access.to_string()));
  }

  void add_rule(const FilterDefinition& filter, const FilterRule& rule, const Variables& variables) {
    std::map<std::uint32_t, std::size_t> lengths;  // of the iterators
    bool misses_ip = false;
    for (const FilterMatch& match : rule.matches) {
      const auto* access = std::get_if<VariableAccess>(&match.value);
      if (access == nullptr) continue;
      const std::vector<std::string>* list = values(filter, *access, variables);
      if (list == nullptr)
        misses_ip = true;
      else if (!access->is_element &&
               lengths.emplace(access->index, list->size()).first->second != list->size())
        throw filter_error(VIR_ERR_INTERNAL_ERROR,
                           fmt::format("{}: filter '{}' goes through {} along with a list of another length",
                                       binding_.port_device, filter.name, access->to_string()));
    }
    if (misses_ip) {
      result_.misses_ip = true;
      if (rule.action != Action::drop && rule.action != Action::reject) return;
    }
    std::map<std::uint32_t, std::size_t> positions;
    for (const auto& [iterator, length] : lengths) positions.emplace(iterator, 0);
    do {
      add_instance(filter, rule, variables, positions);
    } while (advance(positions, lengths));
  }

  // The next combination; false after the last.
  static bool advance(std::map<std::uint32_t, std::size_t>& positions,
                      const std::map<std::uint32_t, std::size_t>& lengths) {
    for (auto position = positions.rbegin(); position != positions.rend(); ++position) {
      if (++position->second < lengths.at(position->first)) return true;
      position->second = 0;
    }
    return false;
  }

  void add_instance(const FilterDefinition& filter, const FilterRule& rule, const Variables& variables,
                    const std::map<std::uint32_t, std::size_t>& positions) {
    if (result_.rules.size() >= kMostRules)
      throw filter_error(VIR_ERR_OPERATION_FAILED,
                         fmt::format("{}: filter '{}' and the lists of its variables make more than {} rules",
                                     binding_.port_device, binding_.filter.filter, kMostRules));
    TapRule made{.action = rule.action,
                 .direction = rule.direction,
                 .priority = rule.priority,
                 .state_match = rule.state_match,
                 .protocol = rule.protocol,
                 .chain = filter.chain,
                 .chain_priority = filter.priority};
    for (const FilterMatch& match : rule.matches) {
      if (const auto* value = std::get_if<AttributeValue>(&match.value)) {
        made.matches.push_back({match.attribute, match.negated, *value});
        continue;
      }
      const auto& access = std::get<VariableAccess>(match.value);
      const std::vector<std::string>* list = values(filter, access, variables);
      if (list == nullptr) continue;  // the rule then drops whatever the address
      const std::string& text = (*list)[access.is_element ? access.index : positions.at(access.index)];
      auto value = parse_value(*match.attribute, text);
      if (!value)
        throw filter_error(VIR_ERR_INTERNAL_ERROR,
                           fmt::format("{}: filter '{}' uses {} for '{}', and '{}' is not {}",
                                       binding_.port_device, filter.name, access.to_string(),
                                       match.attribute->name, text, describe(*match.attribute)));
      made.matches.push_back({match.attribute, match.negated, std::move(*value)});
    }
    // A mask or the end of a range says nothing without what it belongs to.
    std::erase_if(made.matches, [&made](const ValueMatch& entry) {
      return !entry.attribute->needs.empty() && made.match(entry.attribute->needs) == nullptr;
    });
    result_.rules.push_back(std::move(made));
  }

  const config::FilterBinding& binding_;
  const FindFilter& find_;
  TapFilter result_;
  std::vector<std::string> path_;
  std::size_t references_ = 0;
};

}  // namespace

const ValueMatch* TapRule::match(std::string_view attribute) const {
  for (const ValueMatch& entry : matches)
    if (entry.attribute->name == attribute) return &entry;
  return nullptr;
}

Learning learning_of(const config::FilterBinding& binding) {
  const auto found = binding.filter.parameters.find(kLearning);
  if (found == binding.filter.parameters.end()) return Learning::any;
  const std::string& text = found->second.front();
  if (found->second.size() == 1) {
    if (text == "any") return Learning::any;
    if (text == "dhcp") return Learning::dhcp;
    if (text == "none") return Learning::none;
  }
  throw filter_error(VIR_ERR_INVALID_ARG, fmt::format("{}: '{}' is no {}; it is one of: any, dhcp, none",
                                                      binding.port_device, text, kLearning));
}

TapFilter instantiate(const config::FilterBinding& binding, const std::vector<std::string>& learned,
                      const FindFilter& find) {
  Variables variables = binding.filter.parameters;
  variables.emplace(kMac, std::vector{config::format_mac_address(binding.mac)});
  if (!learned.empty()) variables.emplace(kIp, learned);
  return Instantiator(binding, find).run(variables);
}

std::set<std::string> filters_below(std::string_view name, const FindFilter& find) {
  std::set<std::string> seen;
  std::vector<std::string> open{std::string(name)};
  while (!open.empty()) {
    std::string next = std::move(open.back());
    open.pop_back();
    const FilterDefinition* filter = find(next);
    if (!seen.insert(std::move(next)).second || filter == nullptr) continue;
    for (const auto& entry : filter->entries)
      if (const auto* reference = std::get_if<FilterReference>(&entry)) open.push_back(reference->filter);
  }
  return seen;
}

void refuse_loop(const FilterDefinition& definition, const FindFilter& find) {
  for (const auto& entry : definition.entries) {
    const auto* reference = std::get_if<FilterReference>(&entry);
    if (reference != nullptr && filters_below(reference->filter, find).contains(definition.name))
      throw filter_error(
          VIR_ERR_OPERATION_FAILED,
          fmt::format("filter '{}' would introduce a loop: '{}', which it refers to, leads back to it",
                      definition.name, reference->filter));
  }
}

}  // namespace warren::driver::nwfilter
