// <filterref>: a network filter by its name, and values for its variables; below an interface, a filter and
// a filter's binding.
//
// Plain values. Format: libvirt's formatnwfilter, "Usage of variables in filters".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::config {

class XmlElement;
class XmlWriter;

struct FilterReference {
  std::string filter;
  // A variable's values: a list where its <parameter> is repeated. Never an empty list.
  std::map<std::string, std::vector<std::string>, std::less<>> parameters;
  bool operator==(const FilterReference&) const = default;
};

inline constexpr std::size_t kMostParameters = 1024;  // values in one reference

// What a variable may be called: letters, digits and '_'.
bool is_variable_name(std::string_view name);

// Throw Error naming element and line: XML_ERROR for what is missing or malformed.
FilterReference parse_filter_reference(XmlElement& element);
void format_filter_reference(XmlWriter& writer, const FilterReference& reference);

}  // namespace warren::driver::config
