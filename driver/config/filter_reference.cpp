#include "driver/config/filter_reference.h"

#include <algorithm>

#include <fmt/format.h>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

namespace {

constexpr std::size_t kLongestText = 255;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Addresses, numbers and names are all a variable can hold.
bool is_variable_value(std::string_view value) {
  return !value.empty() && value.size() <= kLongestText && std::ranges::all_of(value, [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == ':' || c == '-' || c == '/' || c == ',';
  });
}

}  // namespace

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestText &&
         std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '_'; });
}

FilterReference parse_filter_reference(XmlElement& element) {
  FilterReference reference{.filter = require_text(element, "filter")};
  if (reference.filter.size() > kLongestText)
    throw element.malformed_attribute("filter", fmt::format("it is longer than {} bytes", kLongestText));
  element.mark_read();
  const std::vector<XmlElement*> parameters = element.children("parameter");
  if (parameters.size() > kMostParameters)
    throw element.malformed(fmt::format("it has more than {} parameters", kMostParameters));
  for (XmlElement* parameter : parameters) {
    const std::string name = require_text(*parameter, "name");
    if (!is_variable_name(name))
      throw parameter->malformed_attribute("name", "a variable's name has letters, digits and '_' alone");
    const std::string value = require_text(*parameter, "value");
    if (!is_variable_value(value))
      throw parameter->malformed_attribute(
          "value", "a variable's value has letters, digits and any of '_.:-/,' alone");
    reference.parameters[name].push_back(value);
  }
  return reference;
}

void format_filter_reference(XmlWriter& writer, const FilterReference& reference) {
  writer.begin("filterref");
  writer.attribute("filter", reference.filter);
  for (const auto& [name, values] : reference.parameters) {
    for (const std::string& value : values) {
      writer.begin("parameter");
      writer.attribute("name", name);
      writer.attribute("value", value);
      writer.end();
    }
  }
  writer.end();
}

}  // namespace warren::driver::config
