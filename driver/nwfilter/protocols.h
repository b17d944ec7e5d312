// What a rule of a filter can say of a packet: the protocols, the attributes of each, and their values.
//
// Tables of libvirt's formatnwfilter, "Supported protocols". Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"

namespace warren::driver::nwfilter {

enum class ValueKind {
  number,   // decimal or 0x…, or one of `names`
  boolean,  // true, false, 1, 0, yes, no
  mac,      // an address, or a mask of ones and then zeros
  mac_mask,
  ip,       // IPv4
  ip_mask,  // a prefix, or a netmask
  ipv6,
  ipv6_mask,
  tcp_flags,  // MASK/FLAGS
  state,      // of the connection: a list
  comment,
  kernel_set,  // of ipset(8), which nftables does not know: always refused
};

struct NamedNumber {
  std::string_view name;
  std::uint32_t number;
};

struct AttributeSpec {
  std::string_view name;
  ValueKind kind = ValueKind::number;
  std::uint32_t minimum = 0, maximum = 0;  // of a number
  std::span<const NamedNumber> names{};    // of a number
  // The attribute this one goes with: a mask's address, a range's beginning. It is negated as that one is.
  std::string_view needs{};

  bool takes_variables() const {
    return kind != ValueKind::comment && kind != ValueKind::state && kind != ValueKind::tcp_flags &&
           kind != ValueKind::boolean;
  }
};

// A value that is there.
struct AttributeValue {
  std::uint32_t number = 0;  // a number, a boolean, a prefix, bits of kState…, TCP flags
  std::uint32_t mask = 0;    // of TCP flags
  bool hexadecimal = false;  // as it was written
  config::MacAddress mac{};
  config::IpAddress ip;
  std::string text;  // a comment
  bool operator==(const AttributeValue&) const = default;
};

inline constexpr std::uint32_t kStateNew = 1, kStateEstablished = 2, kStateRelated = 4, kStateInvalid = 8,
                               kStateNone = 16;
inline constexpr std::size_t kLongestComment = 256;

// Which layer of the bridge looks at it: frames by their headers alone, or packets with their connections.
enum class Layer { link, network };

struct ProtocolSpec {
  std::string_view name;
  Layer layer;
  std::uint16_t ether_type;  // 0: any
  std::uint8_t number;       // of IP; 0: any
  std::span<const AttributeSpec> attributes;

  const AttributeSpec* attribute(std::string_view attribute_name) const;
};

std::span<const ProtocolSpec> protocols();
const ProtocolSpec* find_protocol(std::string_view name);

// Nothing for a text that is no value of it.
std::optional<AttributeValue> parse_value(const AttributeSpec& attribute, std::string_view text);
std::string format_value(const AttributeSpec& attribute, const AttributeValue& value);
// What it can be, in words: "a number from 0 to 63".
std::string describe(const AttributeSpec& attribute);

}  // namespace warren::driver::nwfilter
