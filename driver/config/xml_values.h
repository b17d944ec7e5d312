// Typed values out of attributes and texts, with the error each can end in.
//
// A value that libvirt knows and Warren cannot do is VIR_ERR_CONFIG_UNSUPPORTED; one that nobody knows is
// VIR_ERR_XML_ERROR. Pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/config/xml_tree.h"

namespace warren::driver::config {

// Digits, or 0x and hexadecimal digits; nothing around them.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);

// 1 for bytes, 1024 for "KiB" and "k", 1000 for "KB", …; nullopt for what is no unit.
std::optional<std::uint64_t> unit_bytes(std::string_view unit);

// `value` units as KiB, rounded up; nullopt if it does not fit.
std::optional<std::uint64_t> scale_to_kib(std::uint64_t value, std::uint64_t unit);

template <typename Enum>
struct EnumName {
  std::string_view name;
  Enum value;
};

// What an attribute may say: the values accepted, and those of libvirt that are not.
template <typename Enum>
struct EnumTable {
  std::span<const EnumName<Enum>> accepted;
  std::span<const std::string_view> refused;

  std::optional<Enum> find(std::string_view name) const {
    for (const auto& entry : accepted)
      if (entry.name == name) return entry.value;
    return std::nullopt;
  }
  std::string_view name(Enum value) const {
    for (const auto& entry : accepted)
      if (entry.value == value) return entry.name;
    return {};
  }
  std::string names() const {
    std::string list;
    for (const auto& entry : accepted) {
      if (!list.empty()) list += ", ";
      list += entry.name;
    }
    return list;
  }
  bool refuses(std::string_view name) const {
    for (std::string_view entry : refused)
      if (entry == name) return true;
    return false;
  }
};

template <typename Enum>
std::optional<Enum> read_enum(XmlElement& element, std::string_view attribute, const EnumTable<Enum>& table) {
  const auto text = element.attribute(attribute);
  if (!text) return std::nullopt;
  if (const auto value = table.find(*text)) return value;
  const std::string detail =
      fmt::format("'{}' is not {}; it is one of: {}", *text,
                  table.refuses(*text) ? "supported by Warren" : "a value it can have", table.names());
  throw table.refuses(*text) ? element.unsupported_attribute(attribute, detail)
                             : element.malformed_attribute(attribute, detail);
}

template <typename Enum>
Enum require_enum(XmlElement& element, std::string_view attribute, const EnumTable<Enum>& table) {
  if (const auto value = read_enum(element, attribute, table)) return *value;
  throw element.malformed_attribute(attribute, fmt::format("it is missing; it is one of: {}", table.names()));
}

std::optional<std::uint32_t> read_number(XmlElement& element, std::string_view attribute,
                                         std::uint32_t minimum = 0,
                                         std::uint32_t maximum = std::numeric_limits<std::uint32_t>::max());
std::optional<std::uint32_t> read_power_of_two(XmlElement& element, std::string_view attribute,
                                               std::uint32_t minimum, std::uint32_t maximum);
std::uint32_t require_number(XmlElement& element, std::string_view attribute, std::uint32_t minimum,
                             std::uint32_t maximum);

// yes/no and on/off.
std::optional<bool> read_yes_no(XmlElement& element, std::string_view attribute);
std::optional<bool> read_on_off(XmlElement& element, std::string_view attribute);

std::string require_text(XmlElement& element, std::string_view attribute);

// A path from the root, with no control characters.
std::string require_absolute_path(XmlElement& element, std::string_view attribute);
void check_absolute_path(const XmlElement& element, std::string_view path);

// If `attribute` is there, it has to be `only`; true if it is there. Anything else is refused as unsupported.
bool accept_only(XmlElement& element, std::string_view attribute, std::string_view only);

// <memory unit=…>: in KiB.
std::uint64_t read_memory_kib(XmlElement& element);

}  // namespace warren::driver::config
