// The structures of the host's SMBIOS table, as its firmware wrote them.
//
// DMTF DSP0134 (SMBIOS 3.6) §6.1.2 (header), §6.1.3 (strings), §6.2 (end of the table). Firmware is not to be
// trusted: every length is checked, and what does not fit ends the table. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::host {

class SmbiosStructure {
 public:
  SmbiosStructure(std::uint8_t type, std::span<const std::uint8_t> formatted,
                  std::vector<std::string_view> strings)
      : type_(type), formatted_(formatted), strings_(std::move(strings)) {}

  std::uint8_t type() const { return type_; }
  // Little-endian values at an offset of the formatted area; 0 where the structure is too short for them.
  std::uint8_t byte(std::size_t offset) const { return static_cast<std::uint8_t>(number(offset, 1)); }
  std::uint16_t word(std::size_t offset) const { return static_cast<std::uint16_t>(number(offset, 2)); }
  std::uint32_t double_word(std::size_t offset) const {
    return static_cast<std::uint32_t>(number(offset, 4));
  }
  // The string whose number is in the byte at `offset`; empty if there is none.
  std::string_view string(std::size_t offset) const;
  const std::vector<std::string_view>& strings() const { return strings_; }

 private:
  std::uint64_t number(std::size_t offset, std::size_t size) const;

  std::uint8_t type_;
  std::span<const std::uint8_t> formatted_;
  std::vector<std::string_view> strings_;  // the first has the number 1
};

// Views into `table`.
std::vector<SmbiosStructure> parse_smbios_table(std::span<const std::uint8_t> table);

}  // namespace warren::driver::host
