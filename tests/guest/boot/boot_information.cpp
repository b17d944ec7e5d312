#include "tests/guest/boot/boot_information.h"

#include "tests/guest/boot/selectors.h"
#include "tests/guest/machine/cpu.h"

namespace guest {

BootInformation boot_information;

namespace {

void copy_command_line(std::uint64_t address) {
  if (address == 0) return;
  auto& line = boot_information.command_line;
  for (std::uint32_t i = 0; i + 1 < sizeof line; ++i) {
    line[i] = static_cast<char>(read8(address + i));
    if (line[i] == 0) break;
  }
}

void add_range(std::uint64_t start, std::uint64_t size, std::uint32_t type) {
  if (boot_information.range_count < 64)
    boot_information.ranges[boot_information.range_count++] = {start, size, type};
}

// struct hvm_start_info of Xen's public header arch-x86/hvm/start_info.h.
void read_pvh(std::uint64_t info) {
  if (read32(info) != 0x336ec578) return;
  std::uint32_t version = read32(info + 4);
  if (read32(info + 12) > 0) {
    std::uint64_t module = read64(info + 16);
    boot_information.initrd = read64(module);
    boot_information.initrd_size = read64(module + 8);
  }
  copy_command_line(read64(info + 24));
  boot_information.rsdp = read64(info + 32);
  if (version < 1) return;
  std::uint64_t map = read64(info + 40);
  std::uint32_t entries = read32(info + 48);
  for (std::uint32_t i = 0; i < entries; ++i, map += 24)
    add_range(read64(map), read64(map + 8), read32(map + 16));
}

// struct boot_params of the Linux boot protocol ("zero page").
void read_linux(std::uint64_t zero_page) {
  boot_information.rsdp = read64(zero_page + 0x070);
  boot_information.initrd = read32(zero_page + 0x218) | std::uint64_t{read32(zero_page + 0x0c0)} << 32;
  boot_information.initrd_size = read32(zero_page + 0x21c) | std::uint64_t{read32(zero_page + 0x0c4)} << 32;
  copy_command_line(read32(zero_page + 0x228) | std::uint64_t{read32(zero_page + 0x0c8)} << 32);
  std::uint32_t entries = read8(zero_page + 0x1e8);
  for (std::uint32_t i = 0; i < entries; ++i) {
    std::uint64_t entry = zero_page + 0x2d0 + i * 20;
    add_range(read64(entry), read64(entry + 8), read32(entry + 16));
  }
}

}  // namespace

void read_boot_information(std::uint32_t protocol, std::uint64_t information) {
  boot_information.protocol = protocol;
  if (protocol == BOOT_PROTOCOL_PVH)
    read_pvh(information);
  else
    read_linux(information);
}

std::string_view command_line_value(std::string_view key) {
  std::string_view line(boot_information.command_line);
  while (!line.empty()) {
    auto end = line.find(' ');
    auto word = line.substr(0, end);
    if (word.starts_with(key) && word.size() > key.size() && word[key.size()] == '=') {
      word.remove_prefix(key.size() + 1);
      return word;
    }
    if (end == line.npos) break;
    line.remove_prefix(end + 1);
  }
  return {};
}

std::uint64_t command_line_number(std::string_view key, std::uint64_t otherwise) {
  auto text = command_line_value(key);
  if (text.empty()) return otherwise;
  std::uint64_t number = 0;
  for (char digit : text) {
    if (digit < '0' || digit > '9') return otherwise;
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return number;
}

}  // namespace guest
