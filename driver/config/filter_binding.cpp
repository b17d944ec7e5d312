#include "driver/config/filter_binding.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "driver/config/filter_binding_schema_text.h"
#include "driver/config/xml_schema.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

namespace {

constexpr XmlLimits kLimits{.bytes = 256u << 10, .depth = 8, .nodes = 8192};
constexpr std::size_t kLongestDevice = 15;  // IFNAMSIZ without its NUL

XmlElement& require_child(XmlElement& element, std::string_view name) {
  XmlElement* child = element.child(name);
  if (child == nullptr) throw element.malformed(fmt::format("it has no <{}>", name));
  return *child;
}

// What the kernel takes (dev_valid_name), and nothing that a list of rules could be misread by.
std::string read_device(XmlElement& element) {
  std::string name = require_text(element, "name");
  const bool fits =
      name.size() <= kLongestDevice && name != "." && name != ".." && std::ranges::all_of(name, [](char c) {
        return c > ' ' && c < 0x7f && c != '/' && c != '"' && c != '*' && c != '\\';
      });
  if (!fits)
    throw element.malformed_attribute(
        "name", fmt::format("'{}' cannot be the name of a network device", name.substr(0, 64)));
  return name;
}

FilterBinding parse(std::string_view xml, bool validate) {
  if (validate) {
    validate_against({.text = std::string_view(kFilterBindingSchema, sizeof kFilterBindingSchema - 1),
                      .document = "nwfilterbinding_definition",
                      .root = "filterbinding"},
                     xml, kLimits);
  }
  XmlDocument document(xml, "nwfilterbinding_definition", kLimits);
  XmlElement& root = document.root();
  if (root.name() != "filterbinding")
    throw root.malformed(
        fmt::format("the document is to be <filterbinding>, not <{}>", root.name().substr(0, 64)));
  FilterBinding binding;
  XmlElement& owner = require_child(root, "owner");
  binding.owner_name = require_child(owner, "name").text();
  if (binding.owner_name.empty()) throw owner.malformed("its <name> is empty");
  XmlElement& uuid = require_child(owner, "uuid");
  const std::optional<Uuid> owner_uuid = Uuid::parse(uuid.text());
  if (!owner_uuid) throw uuid.malformed("it is no UUID");
  binding.owner_uuid = *owner_uuid;
  binding.port_device = read_device(require_child(root, "portdev"));
  if (XmlElement* link = root.child("linkdev")) binding.link_device = read_device(*link);
  XmlElement& mac = require_child(root, "mac");
  const auto address = parse_mac_address(require_text(mac, "address"));
  if (!address) throw mac.malformed_attribute("address", "it is no MAC address");
  binding.mac = *address;
  binding.filter = parse_filter_reference(require_child(root, "filterref"));
  root.refuse_unread();
  return binding;
}

void write_named(XmlWriter& writer, std::string_view element, std::string_view name) {
  writer.begin(element);
  writer.attribute("name", name);
  writer.end();
}

}  // namespace

FilterBinding parse_binding(std::string_view xml, bool validate) {
  try {
    return parse(xml, validate);
  } catch (const Error& error) {
    if (error.domain() != VIR_FROM_DOMAIN) throw;
    throw Error(error.code(), error.detail(), VIR_FROM_NWFILTER);
  }
}

std::string format_binding(const FilterBinding& binding) {
  XmlWriter writer(1024);
  writer.begin("filterbinding");
  writer.begin("owner");
  writer.element("name", binding.owner_name);
  writer.element("uuid", binding.owner_uuid.to_string());
  writer.end();
  write_named(writer, "portdev", binding.port_device);
  if (!binding.link_device.empty()) write_named(writer, "linkdev", binding.link_device);
  writer.begin("mac");
  writer.attribute("address", format_mac_address(binding.mac));
  writer.end();
  format_filter_reference(writer, binding.filter);
  writer.end();
  return writer.take();
}

}  // namespace warren::driver::config
