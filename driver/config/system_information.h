// What the guest's firmware tables say about the machine, beside what is so (SMBIOS 3.3 §7.1 to §7.4, §7.12).
//
// Format: libvirt's formatdomain, "SMBIOS System Information".
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::config {

// The names of <entry>, in the order libvirt prints them; each block's values stand at the same places.
inline constexpr std::array<std::string_view, 4> kBiosEntries = {"vendor", "version", "date", "release"};
inline constexpr std::array<std::string_view, 7> kSystemEntries = {
    "manufacturer", "product", "version", "serial", "uuid", "sku", "family"};
inline constexpr std::array<std::string_view, 6> kBaseBoardEntries = {"manufacturer", "product", "version",
                                                                      "serial",       "asset",   "location"};
inline constexpr std::array<std::string_view, 5> kChassisEntries = {"manufacturer", "version", "serial",
                                                                    "asset", "sku"};

// <sysinfo type='smbios'>. An empty value was not given.
struct SystemInformation {
  std::array<std::string, kBiosEntries.size()> bios;
  std::array<std::string, kSystemEntries.size()> system;  // its uuid is the domain's
  std::array<std::string, kBaseBoardEntries.size()> base_board;
  std::array<std::string, kChassisEntries.size()> chassis;
  std::vector<std::string> oem_strings;
  bool operator==(const SystemInformation&) const = default;
};

// <os><smbios mode=…/>
enum class SmbiosMode {
  emulate,  // Warren's own
  sysinfo,  // <sysinfo>, and Warren's own for what it leaves out
};

}  // namespace warren::driver::config
