// Small files that others read while they change: each is replaced as a whole, and readable by all.
#pragma once

#include <filesystem>
#include <string>

namespace warren::driver::network {

// False: it is so already. Blocks. Throws Error.
bool replace_if_changed(const std::filesystem::path& path, const std::string& text);

}  // namespace warren::driver::network
