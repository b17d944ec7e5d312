// IPv4 and IPv6 addresses, and networks of them, as in XML. Plain values; never a name that would have to be
// resolved.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::driver::config {

struct IpAddress {
  bool is_ipv6 = false;
  std::array<std::uint8_t, 16> bytes{};  // of an IPv4 address the first four, network order; the rest zeros

  unsigned bits() const noexcept { return is_ipv6 ? 128 : 32; }
  auto operator<=>(const IpAddress&) const = default;
};

// "192.168.122.1", "fe80::1" (RFC 4291 §2.2; no zone, no brackets); nothing for any other text.
std::optional<IpAddress> parse_ip_address(std::string_view text);
// An IPv6 address as RFC 5952 has it.
std::string format_ip_address(const IpAddress& address);

bool is_unspecified(const IpAddress& address);
bool is_multicast(const IpAddress& address);

// "255.255.255.0" is 24; nothing for a mask with holes or of another family.
std::optional<unsigned> prefix_of_netmask(const IpAddress& netmask);
IpAddress netmask_of_prefix(bool is_ipv6, unsigned prefix);

// `prefix` is at most bits().
IpAddress first_address(IpAddress address, unsigned prefix);  // all host bits 0
IpAddress last_address(IpAddress address, unsigned prefix);   // all host bits 1
bool in_same_network(const IpAddress& one, const IpAddress& other, unsigned prefix);

}  // namespace warren::driver::config
