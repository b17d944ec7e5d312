#include "vmm-core/machine/smbios_tables.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr std::string_view kManufacturer = "Warren";
constexpr std::string_view kProduct = "Standard PC (Q35 + ICH9)";
constexpr std::size_t kEntryPointSize = 24;
constexpr std::uint64_t kKibibyte = 1024;

// One structure: the formatted area after its header, and the strings that fields name by number (§6.1).
class Structure {
 public:
  Structure(std::uint8_t type, std::uint16_t handle) {
    u8(type);
    u8(0);
    u16(handle);
  }

  void u8(std::uint8_t value) { formatted_.push_back(value); }
  void u16(std::uint16_t value) { little(value, 2); }
  void u32(std::uint32_t value) { little(value, 4); }
  void u64(std::uint64_t value) { little(value, 8); }
  void zeros(std::size_t count) { formatted_.resize(formatted_.size() + count); }
  void bytes(std::span<const std::uint8_t> data) {
    formatted_.insert(formatted_.end(), data.begin(), data.end());
  }
  // Number 0 says that there is no such string.
  void string(std::string_view text) {
    if (text.empty()) return u8(0);
    add(text);
    u8(string_count_);
  }
  void add(std::string_view text) {
    strings_.append(text).push_back('\0');
    ++string_count_;
  }

  void append_to(std::vector<std::uint8_t>& table) {
    formatted_[1] = static_cast<std::uint8_t>(formatted_.size());
    table.insert(table.end(), formatted_.begin(), formatted_.end());
    table.insert(table.end(), strings_.begin(), strings_.end());
    table.insert(table.end(), strings_.empty() ? 2 : 1, 0);
  }

 private:
  void little(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) u8(static_cast<std::uint8_t>(value >> 8 * i));
  }

  std::vector<std::uint8_t> formatted_;
  std::string strings_;
  std::uint8_t string_count_ = 0;
};

constexpr std::uint16_t kSystem = 0x0100, kBaseBoard = 0x0200, kChassis = 0x0300, kFirstProcessor = 0x0400;
constexpr std::uint16_t kOemStrings = 0x0e00;
constexpr std::uint16_t kMemoryArray = 0x1000, kMemoryDevice = 0x1100, kFirstMemoryRange = 0x1300;
constexpr std::uint16_t kNone = 0xffff, kNoErrorInformation = 0xfffe;

std::string_view or_else(const std::string& given, std::string_view own) {
  return given.empty() ? own : std::string_view(given);
}

// §7.1
Structure firmware(const SmbiosStrings::Bios& strings) {
  Structure s(0, 0);
  s.string(or_else(strings.vendor, kManufacturer));
  s.string(or_else(strings.version, "1.0"));
  s.u16(0xf000);
  s.string(or_else(strings.date, "01/01/2026"));
  s.u8(0);
  s.u64(1 << 3);  // "characteristics are not supported"
  s.u8(0);
  s.u8(1 << 4);  // a virtual machine
  std::uint8_t major = 1, minor = 0;
  const char* end = strings.release.data() + strings.release.size();
  const auto dot = std::from_chars(strings.release.data(), end, major);
  if (dot.ptr != end) std::from_chars(dot.ptr + 1, end, minor);
  s.u8(major);
  s.u8(minor);
  s.u16(kNone);  // no embedded controller
  s.u16(0);
  return s;
}

// §7.2. A UUID's first three fields are little-endian here (§7.2.1).
Structure system(const SmbiosStrings::System& strings, const std::array<std::uint8_t, 16>& uuid) {
  Structure s(1, kSystem);
  s.string(or_else(strings.manufacturer, kManufacturer));
  s.string(or_else(strings.product, kProduct));
  s.string(or_else(strings.version, "1.0"));
  s.string(strings.serial);
  auto wire = uuid;
  std::reverse(wire.begin(), wire.begin() + 4);
  std::reverse(wire.begin() + 4, wire.begin() + 6);
  std::reverse(wire.begin() + 6, wire.begin() + 8);
  s.bytes(wire);
  s.u8(6);  // woken by the power switch
  s.string(strings.sku);
  s.string(or_else(strings.family, "Virtual Machine"));
  return s;
}

// §7.3
Structure base_board(const SmbiosStrings::BaseBoard& strings) {
  Structure s(2, kBaseBoard);
  s.string(strings.manufacturer);
  s.string(strings.product);
  s.string(strings.version);
  s.string(strings.serial);
  s.string(strings.asset);
  s.u8(1);  // it hosts
  s.string(strings.location);
  s.u16(kChassis);
  s.u8(10);  // a motherboard
  s.u8(0);
  return s;
}

// §7.4
Structure chassis(const SmbiosStrings::Chassis& strings) {
  Structure s(3, kChassis);
  s.string(or_else(strings.manufacturer, kManufacturer));
  s.u8(1);  // other
  s.string(or_else(strings.version, "1.0"));
  s.string(strings.serial);
  s.string(strings.asset);
  for (int state = 0; state < 3; ++state) s.u8(3);  // boot-up, power supply, thermal: safe
  s.u8(2);                                          // security: unknown
  s.zeros(8);
  s.string(strings.sku);
  return s;
}

// §7.12
Structure oem_strings(const std::vector<std::string>& strings) {
  Structure s(11, kOemStrings);
  s.u8(static_cast<std::uint8_t>(strings.size()));
  for (const std::string& text : strings) s.add(text);
  return s;
}

// §7.5, one for each socket
Structure processor(std::uint32_t socket, const CpuConfiguration& cpu) {
  const std::uint32_t cores = cpu.cores * cpu.dies;
  const std::uint32_t threads = cores * cpu.threads;
  const auto byte_count = [](std::uint32_t n) { return static_cast<std::uint8_t>(std::min(n, 0xffu)); };
  Structure s(4, static_cast<std::uint16_t>(kFirstProcessor + socket));
  s.string("CPU " + std::to_string(socket));
  s.u8(3);  // a central processor
  s.u8(1);  // family: other
  s.string(kManufacturer);
  s.u64(0);  // its identity is for CPUID to tell
  s.string("1.0");
  s.u8(0);
  s.zeros(6);    // clocks: unknown
  s.u8(0x41);    // populated and enabled
  s.u8(1);       // upgrade: other
  s.u16(kNone);  // caches are for CPUID to tell
  s.u16(kNone);
  s.u16(kNone);
  s.zeros(3);
  s.u8(byte_count(cores));
  s.u8(byte_count(cores));
  s.u8(byte_count(threads));
  s.u16(1 << 1);  // characteristics: unknown
  s.u16(1);
  s.u16(static_cast<std::uint16_t>(std::min(cores, 0xffffu)));
  s.u16(static_cast<std::uint16_t>(std::min(cores, 0xffffu)));
  s.u16(static_cast<std::uint16_t>(std::min(threads, 0xffffu)));
  return s;
}

// §7.17
Structure memory_array(std::uint64_t bytes) {
  Structure s(16, kMemoryArray);
  s.u8(1);             // location: other
  s.u8(3);             // system memory
  s.u8(3);             // no error correction
  s.u32(0x8000'0000);  // see the extended capacity
  s.u16(kNoErrorInformation);
  s.u16(1);
  s.u64(bytes);
  return s;
}

// §7.18
Structure memory_device(std::uint64_t bytes) {
  Structure s(17, kMemoryDevice);
  s.u16(kMemoryArray);
  s.u16(kNoErrorInformation);
  s.u16(kNone);
  s.u16(kNone);
  s.u16(0x7fff);  // see the extended size
  s.u8(9);        // a DIMM
  s.u8(0);
  s.string("DIMM 0");
  s.u8(0);
  s.u8(7);        // RAM
  s.u16(1 << 1);  // other
  s.u16(0);       // speed: unknown
  s.string(kManufacturer);
  s.zeros(3);
  s.u8(0);
  s.u32(static_cast<std::uint32_t>(bytes / kMebibyte));
  s.zeros(8);  // speed and voltages: unknown
  return s;
}

// §7.20
Structure memory_range(std::uint16_t number, std::uint64_t start, std::uint64_t size) {
  Structure s(19, static_cast<std::uint16_t>(kFirstMemoryRange + number));
  const std::uint64_t last_kib = (start + size) / kKibibyte - 1;
  const bool extended = last_kib >= 0xffff'ffff;
  s.u32(extended ? 0xffff'ffff : static_cast<std::uint32_t>(start / kKibibyte));
  s.u32(extended ? 0xffff'ffff : static_cast<std::uint32_t>(last_kib));
  s.u16(kMemoryArray);
  s.u8(1);
  s.u64(extended ? start : 0);
  s.u64(extended ? start + size - 1 : 0);
  return s;
}

std::vector<std::uint8_t> make_structures(const SmbiosConfiguration& configuration) {
  std::vector<std::uint8_t> table;
  const SmbiosStrings& strings = configuration.strings;
  firmware(strings.bios).append_to(table);
  system(strings.system, configuration.uuid).append_to(table);
  const auto& board = strings.base_board;
  if (!(board.manufacturer + board.product + board.version + board.serial + board.asset + board.location)
           .empty())
    base_board(board).append_to(table);
  chassis(strings.chassis).append_to(table);
  for (std::uint32_t i = 0; i < configuration.cpu.sockets; ++i) {
    processor(i, configuration.cpu).append_to(table);
  }
  if (!strings.oem_strings.empty()) oem_strings(strings.oem_strings).append_to(table);
  const MemoryMap& map = configuration.memory_map;
  memory_array(map.low_ram_size + map.high_ram_size).append_to(table);
  memory_device(map.low_ram_size + map.high_ram_size).append_to(table);
  memory_range(0, 0, map.low_ram_size).append_to(table);
  if (map.high_ram_size != 0) memory_range(1, kHighRamStart, map.high_ram_size).append_to(table);
  Structure boot(32, 0x2000);  // §7.33: no errors detected
  boot.zeros(7);
  boot.append_to(table);
  Structure(127, 0x7f00).append_to(table);  // §7.45: the end
  return table;
}

// §5.2.2
std::vector<std::uint8_t> make_entry_point(std::size_t table_size) {
  std::vector<std::uint8_t> entry = {'_', 'S', 'M', '3', '_', 0, kEntryPointSize, 3, 3, 0, 1, 0};
  const auto little = [&entry](std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) entry.push_back(static_cast<std::uint8_t>(value >> 8 * i));
  };
  little(table_size, 4);
  little(kSmbiosTables.value + kEntryPointSize, 8);
  unsigned sum = 0;
  for (const std::uint8_t byte : entry) sum += byte;
  entry[5] = static_cast<std::uint8_t>(0u - sum);
  return entry;
}

}  // namespace

void write_smbios_tables(const SmbiosConfiguration& configuration, GuestMemory& memory) {
  const std::vector<std::uint8_t> table = make_structures(configuration);
  const std::vector<std::uint8_t> entry = make_entry_point(table.size());
  if (table.size() > kSmbiosTablesSize - kEntryPointSize ||
      !memory.write(kSmbiosTables, std::as_bytes(std::span(entry))) ||
      !memory.write(GuestAddress{kSmbiosTables.value + kEntryPointSize}, std::as_bytes(std::span(table)))) {
    throw Error(std::errc::not_enough_memory, "SMBIOS tables");
  }
}

}  // namespace warren::vmm::machine
