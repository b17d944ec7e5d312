// A storage helper as a process: a group of its own with its tools, killed and waited for by its pidfd.
#pragma once

#include <filesystem>
#include <functional>

#include <sys/types.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::storage {

struct HelperProcess {
  pid_t pid = -1;  // also of its process group
  vmm::FileDescriptor pidfd;

  // SIGKILL to it and its tools; nothing if it has been waited for.
  void kill() const noexcept;
  // Takes its exit status when its pidfd is readable.
  void reap() noexcept;
};

// `control` becomes its descriptor 3 and `data`, if it is valid, 4. Blocks for a millisecond. Throws
// driver::Error. Tests put something of their own in its place.
using HelperLauncher =
    std::function<HelperProcess(const vmm::FileDescriptor& control, const vmm::FileDescriptor& data)>;

HelperLauncher launch_program(std::filesystem::path program);

}  // namespace warren::driver::storage
