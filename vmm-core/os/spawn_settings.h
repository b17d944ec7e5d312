// What posix_spawn(3) is told of a child: no signal blocked or ignored, and what else its maker adds.
//
// Only what is added to `actions` is open in the child beyond close-on-exec. Any thread; one at a time.
#pragma once

#include <csignal>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spawn.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

class SpawnSettings {
 public:
  // Own: what is sent to the maker's process group or terminal does not reach the child.
  enum class Session : bool { of_maker, own };

  explicit SpawnSettings(Session session) {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    const int session_flag = session == Session::own ? POSIX_SPAWN_SETSID : 0;
    ::posix_spawnattr_setflags(
        &attributes, static_cast<short>(session_flag | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // What becomes descriptor `target`, below 16, of the child. Throws Error.
  void pass(const FileDescriptor& source, int target) {
    // Above the numbers the child uses, so that no copy lands on a source that is still needed.
    FileDescriptor copy(::fcntl(source.get(), F_DUPFD_CLOEXEC, 16));
    if (!copy) throw_errno("duplicate a descriptor for a child process");
    ::posix_spawn_file_actions_adddup2(&actions, copy.get(), target);
    copies_.push_back(std::move(copy));
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

 private:
  std::vector<FileDescriptor> copies_;
};

}  // namespace warren::vmm
