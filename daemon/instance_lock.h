// That one directory is served by one daemon: a locked file with the holder's process id.
#pragma once

#include <filesystem>

#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon {

// Held as long as the object lives, and by no other process; the kernel lets go of it when the daemon dies.
class InstanceLock {
 public:
  // Throws vmm::Error naming the holder when `file` is locked.
  explicit InstanceLock(std::filesystem::path file);
  InstanceLock(const InstanceLock&) = delete;
  InstanceLock& operator=(const InstanceLock&) = delete;
  ~InstanceLock();

 private:
  std::filesystem::path path_;
  vmm::FileDescriptor file_;
};

}  // namespace warren::daemon
