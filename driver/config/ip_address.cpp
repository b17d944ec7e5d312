#include "driver/config/ip_address.h"

#include <algorithm>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace warren::driver::config {

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  // inet_pton() takes a zone or anything longer for no address; a NUL would end its argument early.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  IpAddress address;
  address.is_ipv6 = text.find(':') != std::string_view::npos;
  if (inet_pton(address.is_ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) != 1)
    return std::nullopt;
  return address;
}

std::string format_ip_address(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN];
  // It has room for either family, so it cannot fail.
  return inet_ntop(address.is_ipv6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
}

bool is_unspecified(const IpAddress& address) {
  return std::ranges::all_of(address.bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool is_multicast(const IpAddress& address) {
  return address.is_ipv6 ? address.bytes[0] == 0xff : address.bytes[0] >> 4 == 0xe;
}

std::optional<unsigned> prefix_of_netmask(const IpAddress& netmask) {
  unsigned prefix = 0;
  while (prefix < netmask.bits() && (netmask.bytes[prefix / 8] & (0x80 >> prefix % 8)) != 0) ++prefix;
  if (netmask_of_prefix(netmask.is_ipv6, prefix) != netmask) return std::nullopt;
  return prefix;
}

IpAddress netmask_of_prefix(bool is_ipv6, unsigned prefix) {
  IpAddress netmask{.is_ipv6 = is_ipv6};
  for (unsigned bit = 0; bit < std::min(prefix, netmask.bits()); ++bit)
    netmask.bytes[bit / 8] = static_cast<std::uint8_t>(netmask.bytes[bit / 8] | 0x80 >> bit % 8);
  return netmask;
}

IpAddress first_address(IpAddress address, unsigned prefix) {
  const IpAddress netmask = netmask_of_prefix(address.is_ipv6, prefix);
  for (std::size_t i = 0; i < address.bits() / 8; ++i)
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & netmask.bytes[i]);
  return address;
}

IpAddress last_address(IpAddress address, unsigned prefix) {
  const IpAddress netmask = netmask_of_prefix(address.is_ipv6, prefix);
  for (std::size_t i = 0; i < address.bits() / 8; ++i)
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] | ~netmask.bytes[i]);
  return address;
}

bool in_same_network(const IpAddress& one, const IpAddress& other, unsigned prefix) {
  return one.is_ipv6 == other.is_ipv6 && first_address(one, prefix) == first_address(other, prefix);
}

}  // namespace warren::driver::config
