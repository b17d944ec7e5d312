// Where the worker's program is, and who it runs as.
#pragma once

#include <filesystem>

#include <sys/types.h>

#include "daemon/config/configuration.h"

namespace warren::daemon {

struct WorkerIdentity {
  uid_t user = 0;
  gid_t group = 0;
};

// The configured program; or warren-vmm beside the daemon, in its libexec directory, or in the tree it was
// built in. When there is none, the first of these, which the start of a domain then names.
std::filesystem::path find_worker_program(const Configuration& configuration);
// warren-storage-helper and warren-cage, in the same places.
std::filesystem::path find_storage_helper();
std::filesystem::path find_cage();
// Throws ConfigurationError for a user or group that does not exist.
WorkerIdentity find_worker_identity(const Configuration& configuration);

}  // namespace warren::daemon
