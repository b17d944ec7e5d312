#include "daemon/worker_settings.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include "daemon/config/configuration_file.h"

namespace warren::daemon {

namespace {

// Beside the daemon, in its libexec directory, or in the `folder` of the tree it was built in.
std::filesystem::path find_program(const std::string& name, const std::string& folder) {
  std::error_code error;
  std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::string& place : {name, "../libexec/" + name, folder + name}) {
    std::filesystem::path candidate = (here / place).lexically_normal();
    if (std::filesystem::exists(candidate, error)) return candidate;
  }
  return here / name;
}

}  // namespace

std::filesystem::path find_worker_program(const Configuration& configuration) {
  if (!configuration.worker_program.empty()) return configuration.worker_program;
  return find_program("warren-vmm", "../vmm-core/worker/");
}

std::filesystem::path find_storage_helper() {
  return find_program("warren-storage-helper", "../driver/storage/backend/");
}

std::filesystem::path find_cage() {
  return find_program("warren-cage", "../driver/cage/");
}

WorkerIdentity find_worker_identity(const Configuration& configuration) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
  const passwd* user = ::getpwnam(configuration.worker_user.c_str());
  if (user == nullptr) {
    throw ConfigurationError("worker_user", 0,
                             fmt::format("there is no user '{}'", configuration.worker_user));
  }
  WorkerIdentity identity{.user = user->pw_uid, .group = user->pw_gid};
  if (!configuration.worker_group.empty()) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
    const group* found = ::getgrnam(configuration.worker_group.c_str());
    if (found == nullptr) {
      throw ConfigurationError("worker_group", 0,
                               fmt::format("there is no group '{}'", configuration.worker_group));
    }
    identity.group = found->gr_gid;
  }
  return identity;
}

}  // namespace warren::daemon
