// What the loader told us, copied out of its structures at the start: nothing of them is used later, so the
// memory they lie in may be overwritten.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace guest {

struct MemoryRange {
  std::uint64_t start;
  std::uint64_t size;
  std::uint32_t type;  // as in E820: 1 is RAM
};

struct BootInformation {
  std::uint32_t protocol = 0;
  std::uint64_t rsdp = 0;  // 0: not told
  std::uint64_t initrd = 0;
  std::uint64_t initrd_size = 0;
  std::uint32_t range_count = 0;
  MemoryRange ranges[64] = {};
  char command_line[2048] = {};

  std::span<const MemoryRange> memory() const { return {ranges, range_count}; }
};

extern BootInformation boot_information;

// Fills boot_information. `protocol` is one of BOOT_PROTOCOL_*.
void read_boot_information(std::uint32_t protocol, std::uint64_t information);

// The value of `key=value` on the command line; empty when absent.
std::string_view command_line_value(std::string_view key);
std::uint64_t command_line_number(std::string_view key, std::uint64_t otherwise);

}  // namespace guest
