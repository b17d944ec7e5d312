#include "driver/host/sysinfo.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include <fmt/format.h>

#include "driver/config/kernel_text.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"
#include "driver/host/smbios_table.h"

namespace warren::driver::host {

namespace {

struct Entry {
  const char* name;
  const char* file;
};
constexpr Entry kBios[] = {{"vendor", "bios_vendor"},
                           {"version", "bios_version"},
                           {"date", "bios_date"},
                           {"release", "bios_release"}};
constexpr Entry kSystem[] = {{"manufacturer", "sys_vendor"}, {"product", "product_name"},
                             {"version", "product_version"}, {"serial", "product_serial"},
                             {"uuid", "product_uuid"},       {"sku", "product_sku"},
                             {"family", "product_family"}};
constexpr Entry kBoard[] = {{"manufacturer", "board_vendor"},
                            {"product", "board_name"},
                            {"version", "board_version"},
                            {"serial", "board_serial"},
                            {"asset", "board_asset_tag"}};
constexpr Entry kChassis[] = {{"manufacturer", "chassis_vendor"},
                              {"version", "chassis_version"},
                              {"serial", "chassis_serial"},
                              {"asset", "chassis_asset_tag"}};

struct Section {
  const char* name;
  std::span<const Entry> entries;
};
constexpr Section kSections[] = {
    {"bios", kBios}, {"system", kSystem}, {"baseBoard", kBoard}, {"chassis", kChassis}};

// Firmware writes what it likes: only what XML can hold (XML 1.0 §2.2) is shown.
std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 256;  // a string of SMBIOS is shorter
  std::string result(config::trim(text).substr(0, kLongest));
  std::replace_if(
      result.begin(), result.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f; },
      '.');
  return result;
}

void write_entry(config::XmlWriter& writer, std::string_view name, std::string_view value) {
  const std::string text = printable(value);
  if (text.empty()) return;
  writer.begin("entry");
  if (!name.empty()) writer.attribute("name", name);
  writer.text(text);
  writer.end();
}

// The word for a number of the specification; none for those it leaves open.
template <std::size_t Size>
std::string_view word_of(const std::array<std::string_view, Size>& words, std::uint8_t number) {
  return number < Size ? words[number] : std::string_view{};
}

// §7.5
void format_processor(config::XmlWriter& writer, const SmbiosStructure& processor) {
  constexpr std::array<std::string_view, 7> kTypes = {
      "", "Other", "Unknown", "Central Processor", "Math Processor", "DSP Processor", "Video Processor"};
  constexpr std::array<std::string_view, 8> kStatus = {
      "Unknown", "Enabled", "Disabled By User", "Disabled By BIOS", "Idle", "", "", "Other"};
  writer.begin("processor");
  write_entry(writer, "socket_destination", processor.string(0x04));
  write_entry(writer, "type", word_of(kTypes, processor.byte(0x05)));
  write_entry(writer, "manufacturer", processor.string(0x07));
  write_entry(writer, "version", processor.string(0x10));
  if (const auto mhz = processor.word(0x12); mhz != 0)
    write_entry(writer, "external_clock", fmt::format("{} MHz", mhz));
  if (const auto mhz = processor.word(0x14); mhz != 0)
    write_entry(writer, "max_speed", fmt::format("{} MHz", mhz));
  const std::uint8_t status = processor.byte(0x18);
  const bool is_populated = (status & 0x40) != 0;
  write_entry(writer, "status",
              is_populated ? fmt::format("Populated, {}", word_of(kStatus, status & 7)) : "Unpopulated");
  write_entry(writer, "serial_number", processor.string(0x20));
  write_entry(writer, "part_number", processor.string(0x22));
  writer.end();
}

// §7.18.1: in MiB, or KiB where the highest bit is set; what is too large stands in the extended field.
std::string memory_size(const SmbiosStructure& device) {
  constexpr std::uint16_t kExtended = 0x7fff, kUnknown = 0xffff, kInKib = 0x8000;
  const std::uint16_t size = device.word(0x0c);
  if (size == 0) return "No Module Installed";
  if (size == kUnknown) return "Unknown";
  if (size != kExtended && (size & kInKib) != 0) return fmt::format("{} kB", size & ~kInKib);
  const std::uint32_t mib = size == kExtended ? device.double_word(0x1c) & 0x7fffffff : size;
  return mib % 1024 == 0 ? fmt::format("{} GB", mib / 1024) : fmt::format("{} MB", mib);
}

// §7.18
void format_memory_device(config::XmlWriter& writer, const SmbiosStructure& device) {
  constexpr std::array<std::string_view, 17> kFormFactors = {
      "",     "Other", "Unknown",      "SIMM", "SIP",    "Chip",  "DIP",     "ZIP", "Proprietary Card",
      "DIMM", "TSOP",  "Row Of Chips", "RIMM", "SODIMM", "SRIMM", "FB-DIMM", "Die"};
  constexpr std::array<std::string_view, 36> kTypes = {"",
                                                       "Other",
                                                       "Unknown",
                                                       "DRAM",
                                                       "EDRAM",
                                                       "VRAM",
                                                       "SRAM",
                                                       "RAM",
                                                       "ROM",
                                                       "Flash",
                                                       "EEPROM",
                                                       "FEPROM",
                                                       "EPROM",
                                                       "CDRAM",
                                                       "3DRAM",
                                                       "SDRAM",
                                                       "SGRAM",
                                                       "RDRAM",
                                                       "DDR",
                                                       "DDR2",
                                                       "DDR2 FB-DIMM",
                                                       "",
                                                       "",
                                                       "",
                                                       "DDR3",
                                                       "FBD2",
                                                       "DDR4",
                                                       "LPDDR",
                                                       "LPDDR2",
                                                       "LPDDR3",
                                                       "LPDDR4",
                                                       "Logical non-volatile device",
                                                       "HBM",
                                                       "HBM2",
                                                       "DDR5",
                                                       "LPDDR5"};
  writer.begin("memory_device");
  write_entry(writer, "size", memory_size(device));
  write_entry(writer, "form_factor", word_of(kFormFactors, device.byte(0x0e)));
  write_entry(writer, "locator", device.string(0x10));
  write_entry(writer, "bank_locator", device.string(0x11));
  write_entry(writer, "type", word_of(kTypes, device.byte(0x12)));
  if (const auto speed = device.word(0x15); speed != 0 && speed != 0xffff)
    write_entry(writer, "speed", fmt::format("{} MT/s", speed));
  write_entry(writer, "manufacturer", device.string(0x17));
  write_entry(writer, "serial_number", device.string(0x18));
  write_entry(writer, "part_number", device.string(0x1a));
  writer.end();
}

// What only the table itself tells, which root alone may read.
void format_table(config::XmlWriter& writer, const std::filesystem::path& root) {
  enum Type : std::uint8_t { kProcessor = 4, kOemStrings = 11, kMemoryDevice = 17 };
  const std::string bytes = config::read_text(root / "sys/firmware/dmi/tables/DMI");
  const auto structures = parse_smbios_table(
      std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));  // text as bytes
  const auto each = [&](Type type, auto format) {
    for (const SmbiosStructure& structure : structures)
      if (structure.type() == type) format(structure);
  };
  each(kProcessor, [&](const SmbiosStructure& processor) { format_processor(writer, processor); });
  each(kMemoryDevice, [&](const SmbiosStructure& device) { format_memory_device(writer, device); });
  each(kOemStrings, [&](const SmbiosStructure& oem) {
    writer.begin("oemStrings");
    for (const std::string_view text : oem.strings()) write_entry(writer, "", text);
    writer.end();
  });
}

}  // namespace

std::string format_sysinfo(const std::filesystem::path& root) {
  const std::filesystem::path directory = root / "sys/class/dmi/id";
  config::XmlWriter writer;
  writer.begin("sysinfo");
  writer.attribute("type", "smbios");
  bool found = false;
  for (const Section& section : kSections) {
    bool begun = false;
    for (const Entry& entry : section.entries) {
      const std::string value = printable(config::read_text(directory / entry.file));
      if (value.empty()) continue;
      if (!begun) writer.begin(section.name);
      begun = found = true;
      write_entry(writer, entry.name, value);
    }
    if (begun) writer.end();
  }
  if (found) format_table(writer, root);
  writer.end();
  if (!found)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "Host SMBIOS information is not available", VIR_FROM_QEMU);
  return writer.take();
}

}  // namespace warren::driver::host
