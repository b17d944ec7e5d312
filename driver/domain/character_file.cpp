#include "driver/domain/character_file.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/domain/disk_image.h"
#include "vmm-core/control/client.h"

namespace warren::driver::domain {

std::string own_socket(const config::CharacterBackend& backend) {
  const bool is_own = backend.type == config::CharacterBackendType::unix_socket &&
                      backend.socket_mode != config::SocketMode::connect;
  return is_own ? backend.path : std::string();
}

PseudoTerminal open_pseudo_terminal() {
  PseudoTerminal terminal;
  terminal.master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!terminal.master) throw system_error(errno, "make a pseudo terminal");
  char name[64];
  if (::grantpt(terminal.master.get()) != 0 || ::unlockpt(terminal.master.get()) != 0 ||
      ::ptsname_r(terminal.master.get(), name, sizeof(name)) != 0) {
    throw system_error(errno, "set up a pseudo terminal");
  }
  terminal.path = name;
  // Both sides share one termios; the guest has its own line discipline.
  termios settings{};
  if (::tcgetattr(terminal.master.get(), &settings) != 0)
    throw system_error(errno, "read a terminal's settings");
  ::cfmakeraw(&settings);
  if (::tcsetattr(terminal.master.get(), TCSANOW, &settings) != 0) {
    throw system_error(errno, "put a pseudo terminal into raw mode");
  }
  // Opened and closed once: only then does the master show a hang-up, by which the worker knows that nobody
  // is there to read and drops output, instead of leaving a backlog to whoever comes first.
  vmm::FileDescriptor slave = open_slave(terminal.path);
  if (::fchmod(slave.get(), 0600) != 0) throw system_error(errno, fmt::format("set the mode of {}", name));
  return terminal;
}

vmm::FileDescriptor open_slave(const std::string& path) {
  if (!path.starts_with("/dev/pts/"))
    throw internal_error(fmt::format("'{}' is not a pseudo terminal", path));
  vmm::FileDescriptor slave(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!slave) throw system_error(errno, fmt::format("open the console {}", path));
  return slave;
}

vmm::FileDescriptor open_output_file(const std::string& path, bool append) {
  int flags =
      O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | (append ? O_APPEND : O_TRUNC);
  vmm::FileDescriptor file(::open(path.c_str(), flags, 0600));
  if (!file) {
    int error = errno;
    throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("cannot open output file '{}': {}", path,
                                                  error == ELOOP ? "it is a symbolic link (remove it)"
                                                                 : explain_path_failure(path, error)))
        .with_numbers(error, -1);
  }
  return file;
}

vmm::FileDescriptor listen_character_socket(const std::string& path, int type) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
    throw Error(VIR_ERR_SYSTEM_ERROR,
                fmt::format("cannot make the socket '{}': something else is there (remove it)", path))
        .with_numbers(EEXIST, -1);
  }
  try {
    return vmm::control::listen_at(path, type);
  } catch (const vmm::Error& error) {
    throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("cannot make the socket '{}': {}", path, error.what()));
  }
}

void remove_character_socket(const std::string& path) noexcept {
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) ::unlink(path.c_str());
}

vmm::FileDescriptor connect_character_socket(const std::string& path) {
  try {
    return vmm::control::connect_to(path);
  } catch (const vmm::Error& error) {
    throw Error(VIR_ERR_SYSTEM_ERROR,
                fmt::format("cannot connect to the socket '{}': {}", path, error.what()));
  }
}

}  // namespace warren::driver::domain
