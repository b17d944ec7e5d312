#include "driver/config/identity.h"

#include <charconv>

#include <fmt/format.h>

#include "driver/config/device_address.h"
#include "driver/config/xml_tree.h"

namespace warren::driver::config {

std::optional<MacAddress> parse_mac_address(std::string_view text) {
  MacAddress address{};
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const int high = digit(text[3 * i]);
    const int low = digit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    address[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return address;
}

std::string format_mac_address(const MacAddress& a) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool is_multicast(const MacAddress& address) {
  return (address[0] & 1) != 0;
}

std::string format_pci_address(const PciAddress& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", address.segment, address.bus, address.slot, address.function);
}

std::optional<PciAddress> parse_pci_address(std::string_view text) {
  constexpr std::string_view kForm = "xxxx:xx:xx.x";
  if (text.size() != kForm.size()) return std::nullopt;
  const auto number = [&](std::size_t first, std::size_t length) {
    std::uint32_t value = 0;
    const char* end = text.data() + first + length;
    const auto [stopped, failed] = std::from_chars(text.data() + first, end, value, 16);
    return failed == std::errc() && stopped == end ? std::optional(value) : std::nullopt;
  };
  const auto segment = number(0, 4), bus = number(5, 2), slot = number(8, 2), function = number(11, 1);
  if (text[4] != ':' || text[7] != ':' || text[10] != '.' || !segment || !bus || !slot || !function ||
      *slot > 31 || *function > 7)
    return std::nullopt;
  return PciAddress{.segment = static_cast<std::uint16_t>(*segment),
                    .bus = static_cast<std::uint8_t>(*bus),
                    .slot = static_cast<std::uint8_t>(*slot),
                    .function = static_cast<std::uint8_t>(*function)};
}

}  // namespace warren::driver::config
