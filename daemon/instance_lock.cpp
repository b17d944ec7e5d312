#include "daemon/instance_lock.h"

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::daemon {

InstanceLock::InstanceLock(std::filesystem::path file) : path_(std::move(file)) {
  file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file_) vmm::throw_errno(fmt::format("lock file {}", path_.native()));
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) vmm::throw_errno(fmt::format("lock file {}", path_.native()));
    std::array<char, 32> holder{};
    ssize_t size = ::pread(file_.get(), holder.data(), holder.size() - 1, 0);
    std::string text(holder.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    throw vmm::Error(std::errc::resource_unavailable_try_again,
                     fmt::format("another virtwarrend (process {}) holds {}", text, path_.native()));
  }
  std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    vmm::throw_errno(fmt::format("lock file {}", path_.native()));
  }
}

InstanceLock::~InstanceLock() {
  // Emptied, not removed: a file that is removed can be locked twice.
  if (::ftruncate(file_.get(), 0) != 0) return;  // it only says who held it
}

}  // namespace warren::daemon
