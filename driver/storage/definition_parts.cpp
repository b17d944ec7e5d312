#include "driver/storage/definition_parts.h"

#include <charconv>

#include <fmt/format.h>

#include "driver/config/xml_values.h"

namespace warren::driver::storage {

namespace {

std::optional<std::uint32_t> parse_id(config::XmlElement* element) {
  if (element == nullptr) return std::nullopt;
  const std::string_view text = element->text();
  if (text == "-1") return std::nullopt;  // written by old versions of libvirt for "none"
  const auto value = config::parse_unsigned(text);
  if (!value || *value >= 0xffff'ffffu)
    throw element->malformed(fmt::format("'{}' is no user or group id", text.substr(0, 64)));
  return static_cast<std::uint32_t>(*value);
}

}  // namespace

void check_root(const config::XmlElement& root, std::string_view name) {
  if (root.name() == name) return;
  throw Error(VIR_ERR_XML_ERROR,
              fmt::format("unexpected root element <{}>, expecting <{}>", root.name().substr(0, 64), name),
              VIR_FROM_XML);
}

std::string child_text(config::XmlElement& parent, std::string_view name) {
  config::XmlElement* child = parent.child(name);
  return child == nullptr ? std::string() : std::string(child->text());
}

void check_name(const config::XmlElement& element, std::string_view name) {
  if (name.empty()) throw element.malformed("it is empty");
  for (const char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      throw element.malformed("it has control characters");
}

Permissions parse_permissions(config::XmlElement* element) {
  Permissions permissions;
  if (element == nullptr) return permissions;
  if (config::XmlElement* mode = element->child("mode")) {
    const std::string_view text = mode->text();
    std::uint32_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (failure != std::errc() || end != text.data() + text.size() || text.empty() || value > 0777)
      throw mode->malformed("malformed octal mode");
    permissions.mode = value;
  }
  permissions.owner = parse_id(element->child("owner"));
  permissions.group = parse_id(element->child("group"));
  permissions.label = child_text(*element, "label");
  return permissions;
}

void format_permissions(config::XmlWriter& writer, const Permissions& permissions) {
  if (permissions.empty()) return;
  writer.begin("permissions");
  if (permissions.mode) writer.element("mode", fmt::format("0{:o}", *permissions.mode));
  if (permissions.owner) writer.element("owner", std::to_string(*permissions.owner));
  if (permissions.group) writer.element("group", std::to_string(*permissions.group));
  if (!permissions.label.empty()) writer.element("label", permissions.label);
  writer.end();
}

std::optional<std::uint64_t> parse_size(config::XmlElement* element) {
  if (element == nullptr) return std::nullopt;
  // An empty element says nothing.
  if (element->text().empty()) {
    element->attribute("unit");
    return std::nullopt;
  }
  const std::string_view unit_name = element->attribute("unit").value_or("bytes");
  const auto unit = unit_name == "B" ? std::optional<std::uint64_t>(1) : config::unit_bytes(unit_name);
  if (!unit) {
    throw Error(VIR_ERR_INVALID_ARG,
                fmt::format("{}: unknown suffix '{}'", element->path(), unit_name.substr(0, 64)),
                VIR_FROM_STORAGE);
  }
  const std::string_view text = element->text();
  const auto value = config::parse_unsigned(text);
  if (!value) throw element->malformed("malformed capacity element: it is no number");
  std::uint64_t bytes = 0;
  // Sizes are offsets in files: signed 64-bit numbers.
  if (__builtin_mul_overflow(*value, *unit, &bytes) || bytes > static_cast<std::uint64_t>(INT64_MAX))
    throw Error(VIR_ERR_OVERFLOW, fmt::format("{}: the value is too large", element->path()),
                VIR_FROM_STORAGE);
  return bytes;
}

void format_bytes(config::XmlWriter& writer, std::string_view name, std::uint64_t bytes) {
  writer.begin(name);
  writer.attribute("unit", "bytes");
  writer.text(std::to_string(bytes));
  writer.end();
}

}  // namespace warren::driver::storage
