#include "driver/host/sysinfo.h"

#include <algorithm>
#include <span>

#include "driver/config/kernel_text.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

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
      writer.begin("entry");
      writer.attribute("name", entry.name);
      writer.text(value);
      writer.end();
    }
    if (begun) writer.end();
  }
  writer.end();
  if (!found)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "Host SMBIOS information is not available", VIR_FROM_QEMU);
  return writer.take();
}

}  // namespace warren::driver::host
