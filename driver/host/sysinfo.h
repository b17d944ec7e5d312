// The host's firmware tables as <sysinfo type='smbios'>.
//
// DMTF DSP0134 (SMBIOS 3.6): the strings of BIOS, system, baseboard and chassis (§7.1 to §7.4) as the kernel
// shows them below /sys/class/dmi/id; processors (§7.5), memory devices (§7.18) and OEM strings (§7.12) from
// the table itself, where it may be read. Any thread.
#pragma once

#include <filesystem>
#include <string>

namespace warren::driver::host {

// Throws driver::Error (CONFIG_UNSUPPORTED) for a host without SMBIOS.
std::string format_sysinfo(const std::filesystem::path& root);

}  // namespace warren::driver::host
