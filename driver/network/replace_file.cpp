#include "driver/network/replace_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::network {

namespace {

// dnsmasq changes its user and reads them again then; programs of any user look names up.
constexpr mode_t kFileMode = 0644;

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void replace_file(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path fresh = path.native() + ".new";
  ::unlink(fresh.c_str());
  const vmm::FileDescriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file) throw system_error(errno, fmt::format("cannot write {}", fresh.native()));
  // Whatever the umask says.
  bool done = ::fchmod(file.get(), kFileMode) == 0;
  while (done && !text.empty()) {
    const ssize_t put = ::write(file.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    done = put > 0;
    if (done) text.remove_prefix(static_cast<std::size_t>(put));
  }
  if (done && ::rename(fresh.c_str(), path.c_str()) == 0) return;
  const int error = errno;
  ::unlink(fresh.c_str());
  throw system_error(error, fmt::format("cannot write {}", path.native()));
}

}  // namespace

bool replace_if_changed(const std::filesystem::path& path, const std::string& text) {
  std::error_code unknown;
  if (std::filesystem::exists(path, unknown) && read_all(path) == text) return false;
  replace_file(path, text);
  return true;
}

}  // namespace warren::driver::network
