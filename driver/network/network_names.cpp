// Names and addresses out of attributes.
#include <algorithm>

#include "driver/network/network_parts.h"

namespace warren::driver::network {

namespace {

constexpr std::size_t kMostLinkNameBytes = 15;     // IFNAMSIZ without its NUL
constexpr std::size_t kMostDomainNameBytes = 253;  // RFC 1035 §2.3.4, as text

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// What the kernel takes (dev_valid_name); it may hold a "%d", for which a number is chosen.
bool is_link_name(std::string_view name) {
  const std::size_t percent = name.find('%');
  if (percent != std::string_view::npos &&
      (name.substr(percent, 2) != "%d" || name.find('%', percent + 1) != std::string_view::npos))
    return false;
  return !name.empty() && name.size() <= kMostLinkNameBytes && name != "." && name != ".." &&
         std::ranges::none_of(name, [](char c) { return is_control(c) || c == ' ' || c == '/' || c == ':'; });
}

// Letters, digits, hyphens, underscores, dots, and what is beyond ASCII.
bool is_domain_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostDomainNameBytes && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || static_cast<unsigned char>(c) >= 0x80;
  });
}

}  // namespace

std::optional<IpAddress> read_ip_address(XmlElement& element, std::string_view attribute) {
  const auto text = element.attribute(attribute);
  if (!text) return std::nullopt;
  const auto address = config::parse_ip_address(*text);
  if (!address)
    throw element.malformed_attribute(attribute,
                                      fmt::format("'{}' is not an IP address", text->substr(0, 64)));
  return address;
}

IpAddress require_ip_address(XmlElement& element, std::string_view attribute) {
  const auto address = read_ip_address(element, attribute);
  if (!address) throw element.malformed_attribute(attribute, "it is missing");
  return *address;
}

std::string require_link_name(XmlElement& element, std::string_view attribute) {
  std::string name = config::require_text(element, attribute);
  if (!is_link_name(name))
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is not the name of a network interface", name.substr(0, 64)));
  return name;
}

void check_domain_name(const XmlElement& element, std::string_view name) {
  if (!is_domain_name(name))
    throw element.malformed(fmt::format("'{}' is not a name that DNS can have", name.substr(0, 64)));
}

std::string read_domain_name(XmlElement& element, std::string_view attribute) {
  const auto name = element.attribute(attribute);
  if (!name || name->empty()) return {};
  if (!is_domain_name(*name))
    throw element.malformed_attribute(
        attribute, fmt::format("'{}' is not a name that DNS can have", name->substr(0, 64)));
  return std::string(*name);
}

std::string read_line(XmlElement& element, std::string_view attribute) {
  const auto text = element.attribute(attribute);
  if (!text) return {};
  if (std::ranges::any_of(*text, is_control))
    throw element.malformed_attribute(attribute, "it has a control character in it");
  return std::string(*text);
}

}  // namespace warren::driver::network
