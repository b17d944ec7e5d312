// Values of attributes: text to data and back.

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "driver/config/xml_values.h"
#include "driver/nwfilter/protocols.h"

namespace warren::driver::nwfilter {

namespace {

constexpr NamedNumber kStates[] = {{"NEW", kStateNew},
                                   {"ESTABLISHED", kStateEstablished},
                                   {"RELATED", kStateRelated},
                                   {"INVALID", kStateInvalid},
                                   {"NONE", kStateNone}};
constexpr std::uint32_t kAllTcpFlags = 0x3f;
// RFC 793 §3.1.
constexpr NamedNumber kTcpFlags[] = {{"FIN", 1}, {"SYN", 2},  {"RST", 4},
                                     {"PSH", 8}, {"ACK", 16}, {"URG", 32}};

bool same_word(std::string_view one, std::string_view other) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(one, other, {}, lower, lower);
}

std::optional<std::uint32_t> find_name(std::span<const NamedNumber> names, std::string_view text) {
  for (const NamedNumber& entry : names)
    if (same_word(entry.name, text)) return entry.number;
  return std::nullopt;
}

// The bits of a list that commas part.
std::optional<std::uint32_t> parse_list(std::span<const NamedNumber> names, std::string_view text) {
  std::uint32_t bits = 0;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    const auto bit = find_name(names, item);
    if (!bit) return std::nullopt;
    bits |= *bit;
    if (comma == std::string_view::npos) return bits;
    text.remove_prefix(comma + 1);
  }
}

std::string format_list(std::span<const NamedNumber> names, std::uint32_t bits) {
  std::string list;
  for (const NamedNumber& entry : names) {
    if ((bits & entry.number) == 0) continue;
    if (!list.empty()) list += ',';
    list += entry.name;
  }
  return list;
}

std::optional<std::uint32_t> parse_tcp_flags(std::string_view text) {
  if (same_word(text, "NONE")) return 0;
  if (same_word(text, "ALL")) return kAllTcpFlags;
  return parse_list(kTcpFlags, text);
}

std::string format_tcp_flags(std::uint32_t flags) {
  if (flags == 0) return "NONE";
  return flags == kAllTcpFlags ? "ALL" : format_list(kTcpFlags, flags);
}

std::optional<AttributeValue> parse_number(const AttributeSpec& attribute, std::string_view text) {
  if (const auto named = find_name(attribute.names, text)) return AttributeValue{.number = *named};
  const auto number = config::parse_unsigned(text);
  if (!number || *number < attribute.minimum || *number > attribute.maximum) return std::nullopt;
  const auto value = static_cast<std::uint32_t>(*number);
  const bool has_name =
      std::ranges::find(attribute.names, value, &NamedNumber::number) != attribute.names.end();
  return AttributeValue{.number = value,
                        .hexadecimal = !has_name && (text.starts_with("0x") || text.starts_with("0X"))};
}

// Ones, and then zeros alone.
bool is_mask(const config::MacAddress& mask) {
  std::uint64_t bits = 0;
  for (const std::uint8_t part : mask) bits = bits << 8 | part;
  return std::countl_one(bits << 16) + std::countr_zero(bits | std::uint64_t{1} << 48) >= 48;
}

std::optional<AttributeValue> parse_mac(std::string_view text, bool mask) {
  const auto address = config::parse_mac_address(text);
  if (!address || (mask && !is_mask(*address))) return std::nullopt;
  return AttributeValue{.mac = *address};
}

std::optional<AttributeValue> parse_ip(std::string_view text, bool is_ipv6) {
  const auto address = config::parse_ip_address(text);
  if (!address || address->is_ipv6 != is_ipv6) return std::nullopt;
  return AttributeValue{.ip = *address};
}

std::optional<AttributeValue> parse_prefix(std::string_view text, bool is_ipv6) {
  if (const auto number = config::parse_unsigned(text)) {
    if (*number > (is_ipv6 ? 128 : 32)) return std::nullopt;
    return AttributeValue{.number = static_cast<std::uint32_t>(*number)};
  }
  const auto netmask = config::parse_ip_address(text);
  if (!netmask || netmask->is_ipv6 != is_ipv6) return std::nullopt;
  const auto prefix = config::prefix_of_netmask(*netmask);
  if (!prefix) return std::nullopt;
  return AttributeValue{.number = *prefix};
}

std::optional<AttributeValue> parse_flags(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto mask = parse_tcp_flags(text.substr(0, slash)), flags = parse_tcp_flags(text.substr(slash + 1));
  if (!mask || !flags) return std::nullopt;
  return AttributeValue{.number = *flags, .mask = *mask};
}

std::optional<AttributeValue> parse_state(std::string_view text) {
  const auto bits = parse_list(kStates, text);
  if (!bits) return std::nullopt;
  return AttributeValue{.number = (*bits & kStateNone) != 0 ? kStateNone : *bits};
}

std::optional<AttributeValue> parse_boolean(std::string_view text) {
  for (const std::string_view yes : {"true", "yes", "1"})
    if (same_word(text, yes)) return AttributeValue{.number = 1};
  for (const std::string_view no : {"false", "no", "0"})
    if (same_word(text, no)) return AttributeValue{.number = 0};
  return std::nullopt;
}

}  // namespace

std::optional<AttributeValue> parse_value(const AttributeSpec& attribute, std::string_view text) {
  switch (attribute.kind) {
    case ValueKind::number:
      return parse_number(attribute, text);
    case ValueKind::boolean:
      return parse_boolean(text);
    case ValueKind::mac:
    case ValueKind::mac_mask:
      return parse_mac(text, attribute.kind == ValueKind::mac_mask);
    case ValueKind::ip:
    case ValueKind::ipv6:
      return parse_ip(text, attribute.kind == ValueKind::ipv6);
    case ValueKind::ip_mask:
    case ValueKind::ipv6_mask:
      return parse_prefix(text, attribute.kind == ValueKind::ipv6_mask);
    case ValueKind::tcp_flags:
      return parse_flags(text);
    case ValueKind::state:
      return parse_state(text);
    case ValueKind::comment:
      if (text.empty() || text.size() > kLongestComment) return std::nullopt;
      return AttributeValue{.text = std::string(text)};
    case ValueKind::kernel_set:
      break;
  }
  return std::nullopt;
}

std::string format_value(const AttributeSpec& attribute, const AttributeValue& value) {
  switch (attribute.kind) {
    case ValueKind::number:
      for (const NamedNumber& entry : attribute.names)
        if (entry.number == value.number) return std::string(entry.name);
      return value.hexadecimal ? fmt::format("{:#x}", value.number) : fmt::format("{}", value.number);
    case ValueKind::boolean:
      return value.number != 0 ? "true" : "false";
    case ValueKind::mac:
    case ValueKind::mac_mask:
      return config::format_mac_address(value.mac);
    case ValueKind::ip:
    case ValueKind::ipv6:
      return config::format_ip_address(value.ip);
    case ValueKind::ip_mask:
    case ValueKind::ipv6_mask:
      return fmt::format("{}", value.number);
    case ValueKind::tcp_flags:
      return format_tcp_flags(value.mask) + "/" + format_tcp_flags(value.number);
    case ValueKind::state:
      return format_list(kStates, value.number);
    case ValueKind::comment:
      return value.text;
    case ValueKind::kernel_set:
      break;
  }
  return {};
}

std::string describe(const AttributeSpec& attribute) {
  switch (attribute.kind) {
    case ValueKind::number: {
      std::string words = fmt::format("a number from {} to {}", attribute.minimum, attribute.maximum);
      for (const NamedNumber& entry : attribute.names) words += fmt::format(", {}", entry.name);
      return words;
    }
    case ValueKind::boolean:
      return "true or false";
    case ValueKind::mac:
      return "a MAC address";
    case ValueKind::mac_mask:
      return "a mask of a MAC address: ones, then zeros";
    case ValueKind::ip:
      return "an IPv4 address";
    case ValueKind::ipv6:
      return "an IPv6 address";
    case ValueKind::ip_mask:
      return "a prefix from 0 to 32, or an IPv4 netmask";
    case ValueKind::ipv6_mask:
      return "a prefix from 0 to 128, or an IPv6 netmask";
    case ValueKind::tcp_flags:
      return "MASK/FLAGS, each ALL, NONE, or a list of FIN, SYN, RST, PSH, ACK, URG";
    case ValueKind::state:
      return "a list of NEW, ESTABLISHED, RELATED, INVALID, or NONE";
    case ValueKind::comment:
      return fmt::format("a text of at most {} bytes", kLongestComment);
    case ValueKind::kernel_set:
      return "a set of ipset(8), which nftables does not know";
  }
  return {};
}

}  // namespace warren::driver::nwfilter
