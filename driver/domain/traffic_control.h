// The <bandwidth> of an interface, on its tap: what the guest receives is shaped, what it sends is policed.
//
// By tc(8), whose language the kernel's own documentation of HTB and police is written in. Blocks: pool
// threads only. Throws Error.
#pragma once

#include <optional>
#include <string>

#include "driver/config/tuning.h"

namespace warren::driver::domain {

// Replaces whatever limits the tap had; none takes them away.
void limit_traffic(const std::string& tap, const std::optional<config::Bandwidth>& bandwidth);

}  // namespace warren::driver::domain
