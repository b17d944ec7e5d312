// <sysinfo>.
#include "driver/config/system_information.h"

#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_values.h"

namespace warren::driver::config {

namespace {

constexpr std::size_t kMaximumEntryBytes = 1024;  // so that all tables fit where they are to be
constexpr std::size_t kMaximumOemStrings = 32;

std::string read_entry(XmlElement& entry) {
  std::string_view text = entry.text();
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  if (text.size() > kMaximumEntryBytes)
    throw entry.unsupported(
        fmt::format("it has {} bytes; there is room for {}", text.size(), kMaximumEntryBytes));
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    throw entry.malformed("it holds a control character");
  return std::string(text);
}

void parse_block(XmlElement& sysinfo, std::string_view name, std::span<const std::string_view> entries,
                 std::span<std::string> values) {
  XmlElement* block = sysinfo.child(name);
  if (!block) return;
  for (XmlElement* entry : block->children("entry")) {
    const std::string entry_name = require_text(*entry, "name");
    const auto found = std::find(entries.begin(), entries.end(), entry_name);
    if (found == entries.end()) {
      throw entry->unsupported_attribute(
          "name", fmt::format("<{}> has no '{}'; it has: {}", name, entry_name.substr(0, 64),
                              fmt::join(entries, ", ")));
    }
    std::string& value = values[static_cast<std::size_t>(found - entries.begin())];
    if (!value.empty()) throw entry->malformed(fmt::format("there is another entry '{}'", entry_name));
    value = read_entry(*entry);
  }
}

// mm/dd/yy or mm/dd/yyyy (SMBIOS §7.1, BIOS Release Date).
bool is_date(std::string_view text) {
  if (text.size() != 8 && text.size() != 10) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool slash = i == 2 || i == 5;
    if (slash ? text[i] != '/' : text[i] < '0' || text[i] > '9') return false;
  }
  const int month = (text[0] - '0') * 10 + (text[1] - '0');
  const int day = (text[3] - '0') * 10 + (text[4] - '0');
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

// major.minor, a byte each (SMBIOS §7.1, System BIOS Major and Minor Release).
bool is_release(std::string_view text) {
  std::uint8_t part = 0;
  const char* end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, part);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return false;
  const auto minor = std::from_chars(major.ptr + 1, end, part);
  return minor.ec == std::errc() && minor.ptr == end;
}

void check(XmlElement& sysinfo, const SystemInformation& information, const std::optional<Uuid>& uuid) {
  const auto& [vendor, version, date, release] = information.bios;
  if (!date.empty() && !is_date(date))
    throw sysinfo.child("bios")->malformed(fmt::format("the date '{}' is not of the form mm/dd/yyyy", date));
  if (!release.empty() && !is_release(release))
    throw sysinfo.child("bios")->malformed(fmt::format("the release '{}' is not of the form 1.2", release));
  const std::string& text = information.system[4];
  if (text.empty()) return;
  const auto given = Uuid::parse(text);
  if (!given) throw sysinfo.child("system")->malformed(fmt::format("the uuid '{}' is not one", text));
  if (uuid && *given != *uuid)
    throw sysinfo.child("system")->malformed("its uuid is not the domain's: a machine has one");
}

void format_block(XmlWriter& writer, std::string_view name, std::span<const std::string_view> entries,
                  std::span<const std::string> values) {
  if (std::all_of(values.begin(), values.end(), [](const std::string& value) { return value.empty(); }))
    return;
  writer.begin(name);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (values[i].empty()) continue;
    writer.begin("entry");
    writer.attribute("name", entries[i]);
    writer.text(values[i]);
    writer.end();
  }
  writer.end();
}

}  // namespace

std::optional<SystemInformation> parse_system_information(XmlElement& root, const std::optional<Uuid>& uuid) {
  XmlElement* sysinfo = root.child("sysinfo");
  if (!sysinfo) return std::nullopt;
  require_text(*sysinfo, "type");
  accept_only(*sysinfo, "type", "smbios");
  SystemInformation information;
  parse_block(*sysinfo, "bios", kBiosEntries, information.bios);
  parse_block(*sysinfo, "system", kSystemEntries, information.system);
  parse_block(*sysinfo, "baseBoard", kBaseBoardEntries, information.base_board);
  parse_block(*sysinfo, "chassis", kChassisEntries, information.chassis);
  if (XmlElement* strings = sysinfo->child("oemStrings")) {
    for (XmlElement* entry : strings->children("entry")) {
      std::string text = read_entry(*entry);
      if (text.empty()) throw entry->malformed("it is empty");
      information.oem_strings.push_back(std::move(text));
    }
    if (information.oem_strings.size() > kMaximumOemStrings)
      throw strings->unsupported(fmt::format("there is room for {} entries", kMaximumOemStrings));
  }
  check(*sysinfo, information, uuid);
  return information;
}

void format_system_information(XmlWriter& writer, const SystemInformation& information) {
  writer.begin("sysinfo");
  writer.attribute("type", "smbios");
  format_block(writer, "bios", kBiosEntries, information.bios);
  format_block(writer, "system", kSystemEntries, information.system);
  format_block(writer, "baseBoard", kBaseBoardEntries, information.base_board);
  format_block(writer, "chassis", kChassisEntries, information.chassis);
  if (!information.oem_strings.empty()) {
    writer.begin("oemStrings");
    for (const std::string& text : information.oem_strings) writer.element("entry", text);
    writer.end();
  }
  writer.end();
}

}  // namespace warren::driver::config
