// systemd's side of a service: the sockets it opened, and the word that the daemon serves.
//
// sd_listen_fds(3) and sd_notify(3), without their library: both are an environment variable and a few calls.
// Called once at start-up, before any thread is there.
#pragma once

#include <filesystem>
#include <map>

#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon {

// Listening Unix stream sockets by their paths; close-on-exec. What else was handed over is closed, and
// `ignored` counts it. The variables are removed from the environment, so that no child takes them for its
// own.
struct InheritedSockets {
  std::map<std::filesystem::path, vmm::FileDescriptor> sockets;
  unsigned int ignored = 0;
};
InheritedSockets take_inherited_sockets();

// "READY=1"; nothing without a service manager.
void notify_ready() noexcept;

}  // namespace warren::daemon
