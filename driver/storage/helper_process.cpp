#include "driver/storage/helper_process.h"

#include <cerrno>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/spawn_settings.h"

namespace warren::driver::storage {

namespace {

using vmm::FileDescriptor;

}  // namespace

void HelperProcess::kill() const noexcept {
  if (pid <= 0) return;
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  // Until it has been waited for nobody else can have this number.
  ::kill(-pid, SIGKILL);
}

void HelperProcess::reap() noexcept {
  if (pid > 0) ::waitpid(std::exchange(pid, -1), nullptr, WNOHANG);
}

HelperLauncher launch_program(std::filesystem::path program) {
  return [program = std::move(program)](const FileDescriptor& control, const FileDescriptor& data) {
    vmm::SpawnSettings settings(vmm::SpawnSettings::Session::own);
    ::posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
    settings.pass(control, 3);
    if (data) settings.pass(data, 4);
    std::string name = program.string(), path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale = "LC_ALL=C";
    char* arguments[] = {name.data(), nullptr};
    char* environment[] = {path.data(), locale.data(), nullptr};
    HelperProcess process;
    const int failed = ::posix_spawn(&process.pid, program.c_str(), &settings.actions, &settings.attributes,
                                     arguments, environment);
    if (failed != 0) throw system_error(failed, fmt::format("start the storage helper {}", program.string()));
    process.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    if (!process.pidfd) {
      const int error = errno;
      ::kill(process.pid, SIGKILL);
      ::waitpid(process.pid, nullptr, 0);
      throw system_error(error, "open a pidfd for the storage helper");
    }
    return process;
  };
}

}  // namespace warren::driver::storage
