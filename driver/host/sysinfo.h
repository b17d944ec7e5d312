// The host's firmware tables as <sysinfo type='smbios'>.
//
// DMTF DSP0134 (SMBIOS 3.6) §7.1 to §7.4: the strings of the BIOS, system, baseboard and chassis structures,
// as the kernel shows them below /sys/class/dmi/id. Any thread.
#pragma once

#include <filesystem>
#include <string>

namespace warren::driver::host {

// Throws driver::Error (CONFIG_UNSUPPORTED) for a host without SMBIOS.
std::string format_sysinfo(const std::filesystem::path& root);

}  // namespace warren::driver::host
