#include "driver/config/xml_values.h"

#include <charconv>

namespace warren::driver::config {

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> unit_bytes(std::string_view unit) {
  if (unit.empty() || unit == "b" || unit == "byte" || unit == "bytes") return 1;
  static constexpr std::string_view kPrefixes = "kmgtpe";
  const char first = static_cast<char>(unit.front() | 0x20);
  const std::size_t power = kPrefixes.find(first);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  const bool binary = rest.empty() || rest == "iB" || rest == "ib";
  if (!binary && rest != "B" && rest != "b") return std::nullopt;
  std::uint64_t bytes = 1;
  for (std::size_t i = 0; i <= power; ++i) bytes *= binary ? 1024 : 1000;
  return bytes;
}

std::optional<std::uint64_t> scale_to_kib(std::uint64_t value, std::uint64_t unit) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(value, unit, &bytes)) return std::nullopt;
  return bytes / 1024 + (bytes % 1024 != 0 ? 1 : 0);
}

std::optional<std::uint32_t> read_number(XmlElement& element, std::string_view attribute,
                                         std::uint32_t minimum, std::uint32_t maximum) {
  const auto text = element.attribute(attribute);
  if (!text) return std::nullopt;
  const auto value = parse_unsigned(*text);
  if (!value) throw element.malformed_attribute(attribute, fmt::format("'{}' is not a number", *text));
  if (*value < minimum || *value > maximum) {
    throw element.malformed_attribute(
        attribute, fmt::format("{} is out of range: it is from {} to {}", *text, minimum, maximum));
  }
  return static_cast<std::uint32_t>(*value);
}

std::uint32_t require_number(XmlElement& element, std::string_view attribute, std::uint32_t minimum,
                             std::uint32_t maximum) {
  if (const auto value = read_number(element, attribute, minimum, maximum)) return *value;
  throw element.malformed_attribute(attribute, "it is missing");
}

namespace {

constexpr EnumName<bool> kYesNo[] = {{"yes", true}, {"no", false}};
constexpr EnumName<bool> kOnOff[] = {{"on", true}, {"off", false}};

}  // namespace

std::optional<bool> read_yes_no(XmlElement& element, std::string_view attribute) {
  return read_enum(element, attribute, EnumTable<bool>{kYesNo, {}});
}

std::optional<bool> read_on_off(XmlElement& element, std::string_view attribute) {
  return read_enum(element, attribute, EnumTable<bool>{kOnOff, {}});
}

std::string require_text(XmlElement& element, std::string_view attribute) {
  const auto text = element.attribute(attribute);
  if (!text || text->empty()) throw element.malformed_attribute(attribute, "it is missing or empty");
  return std::string(*text);
}

namespace {

std::optional<std::string_view> path_fault(std::string_view path) {
  if (path.empty() || path.front() != '/') return "is not an absolute path";
  if (path.size() > 4095) return "is longer than a path can be (4095 bytes)";
  for (const char c : path)
    if (static_cast<unsigned char>(c) < 0x20) return "has a control character in it";
  return std::nullopt;
}

}  // namespace

std::string require_absolute_path(XmlElement& element, std::string_view attribute) {
  std::string path = require_text(element, attribute);
  if (const auto fault = path_fault(path))
    throw element.malformed_attribute(attribute, fmt::format("'{}' {}", path.substr(0, 64), *fault));
  return path;
}

void check_absolute_path(const XmlElement& element, std::string_view path) {
  if (const auto fault = path_fault(path))
    throw element.malformed(fmt::format("'{}' {}", path.substr(0, 64), *fault));
}

bool accept_only(XmlElement& element, std::string_view attribute, std::string_view only) {
  const auto text = element.attribute(attribute);
  if (!text) return false;
  if (*text != only) {
    throw element.unsupported_attribute(
        attribute, fmt::format("'{}' is not supported by Warren; it can only be '{}'", *text, only));
  }
  return true;
}

std::uint64_t read_memory_kib(XmlElement& element) {
  const std::string_view unit_name = element.attribute("unit").value_or("KiB");
  const auto unit = unit_bytes(unit_name);
  if (!unit) throw element.malformed_attribute("unit", fmt::format("'{}' is not a unit", unit_name));
  std::string_view text = element.text();
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  text = first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  const auto value = parse_unsigned(text);
  if (!value) throw element.malformed(fmt::format("'{}' is not a number", text.substr(0, 64)));
  const auto kib = scale_to_kib(*value, *unit);
  if (!kib) throw element.malformed(fmt::format("{} {} is more than can be counted", text, unit_name));
  return *kib;
}

std::optional<std::uint32_t> read_power_of_two(XmlElement& element, std::string_view attribute,
                                               std::uint32_t minimum, std::uint32_t maximum) {
  const auto value = read_number(element, attribute, minimum, maximum);
  if (value && (*value & (*value - 1)) != 0)
    throw element.malformed_attribute(attribute, fmt::format("{} is not a power of two", *value));
  return value;
}

}  // namespace warren::driver::config
