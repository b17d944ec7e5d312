#include "driver/host/smbios_table.h"

#include <algorithm>

namespace warren::driver::host {

namespace {

constexpr std::size_t kHeader = 4;  // type, length, handle
constexpr std::uint8_t kEndOfTable = 127;
constexpr std::size_t kMostStructures = 4096;

}  // namespace

std::uint64_t SmbiosStructure::number(std::size_t offset, std::size_t size) const {
  if (offset > formatted_.size() || size > formatted_.size() - offset) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t{formatted_[offset + i]} << 8 * i;
  return value;
}

std::string_view SmbiosStructure::string(std::size_t offset) const {
  const std::uint8_t which = byte(offset);
  return which == 0 || which > strings_.size() ? std::string_view{} : strings_[which - 1u];
}

std::vector<SmbiosStructure> parse_smbios_table(std::span<const std::uint8_t> table) {
  std::vector<SmbiosStructure> structures;
  while (table.size() >= kHeader && structures.size() < kMostStructures) {
    const std::uint8_t type = table[0];
    const std::size_t length = table[1];
    if (length < kHeader || length > table.size()) break;
    const std::span<const std::uint8_t> formatted = table.first(length);
    std::span<const std::uint8_t> rest = table.subspan(length);
    // Strings that end in a NUL each, and another NUL; without any, two NULs.
    std::vector<std::string_view> strings;
    bool ended = false;
    while (!rest.empty()) {
      const auto end = std::find(rest.begin(), rest.end(), std::uint8_t{0});
      if (end == rest.end()) break;
      const auto size = static_cast<std::size_t>(end - rest.begin());
      if (size > 0) strings.emplace_back(reinterpret_cast<const char*>(rest.data()), size);  // bytes as text
      rest = rest.subspan(size + 1);
      if (size > 0) continue;
      if (strings.empty() && !rest.empty() && rest.front() == 0) rest = rest.subspan(1);
      ended = true;
      break;
    }
    if (!ended) break;
    structures.emplace_back(type, formatted, std::move(strings));
    if (type == kEndOfTable) break;
    table = rest;
  }
  return structures;
}

}  // namespace warren::driver::host
