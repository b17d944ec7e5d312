#include "driver/store/declared_format.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace warren::driver::store {

namespace {

constexpr const char* kTrusted = "trusted.warren.format";
constexpr const char* kUser = "user.warren.format";

bool is_regular(int file) noexcept {
  struct stat status{};
  // An attribute of a device node in devtmpfs would outlive what is on the device.
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

bool mark_declared_format(int file, std::string_view format) noexcept {
  if (!is_regular(file)) return false;
  const char* name = ::geteuid() == 0 ? kTrusted : kUser;
  if (::fsetxattr(file, name, format.data(), format.size(), 0) == 0) return true;
  // Root in a user namespace has no trusted attributes.
  return ::geteuid() == 0 && ::fsetxattr(file, kUser, format.data(), format.size(), 0) == 0;
}

std::optional<std::string> declared_format(int file) {
  if (!is_regular(file)) return std::nullopt;
  char text[32];
  for (const char* name : {kTrusted, kUser}) {
    const ssize_t length = ::fgetxattr(file, name, text, sizeof text);
    if (length > 0) return std::string(text, static_cast<std::size_t>(length));
  }
  return std::nullopt;
}

}  // namespace warren::driver::store
