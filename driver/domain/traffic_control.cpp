#include "driver/domain/traffic_control.h"

#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

namespace {

using Words = std::vector<std::string>;

constexpr int kDeadlineMilliseconds = 10'000;

// Its exit status; -1 when it does not end in time.
int run(const Words& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));  // posix_spawn
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int stream = 0; stream < 3; ++stream)
    ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  pid_t child = -1;
  const int failed =
      ::posix_spawnp(&child, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw system_error(failed, fmt::format("run '{}'", words.front()));
  const vmm::FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{.fd = handle.get(), .events = POLLIN, .revents = 0};
  const bool in_time = ::poll(&ended, 1, kDeadlineMilliseconds) == 1;
  if (!in_time) ::syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return in_time && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void require(const Words& words) {
  if (const int status = run(words); status != 0)
    throw operation_failed(fmt::format("'{}' failed with status {}", fmt::join(words, " "), status));
}

void shape(const std::string& tap, const config::BandwidthRate& rate) {
  require({"tc", "qdisc", "add", "dev", tap, "root", "handle", "1:", "htb", "default", "1"});
  Words words{"tc",   "class",
              "add",  "dev",
              tap,    "parent",
              "1:",   "classid",
              "1:1",  "htb",
              "rate", fmt::format("{}kbps", rate.average),
              "ceil", fmt::format("{}kbps", rate.peak != 0 ? rate.peak : rate.average)};
  if (rate.burst != 0) words.insert(words.end(), {"burst", fmt::format("{}kb", rate.burst)});
  require(words);
}

void police(const std::string& tap, const config::BandwidthRate& rate) {
  require({"tc", "qdisc", "add", "dev", tap, "ingress"});
  require({"tc",
           "filter",
           "add",
           "dev",
           tap,
           "parent",
           "ffff:",
           "protocol",
           "all",
           "u32",
           "match",
           "u32",
           "0",
           "0",
           "police",
           "rate",
           fmt::format("{}kbps", rate.average),
           "burst",
           fmt::format("{}kb", rate.burst != 0 ? rate.burst : rate.average),
           "mtu",
           "64kb",
           "drop",
           "flowid",
           ":1"});
}

}  // namespace

void limit_traffic(const std::string& tap, const std::optional<config::Bandwidth>& bandwidth) {
  // They fail where there is nothing to delete.
  (void)run({"tc", "qdisc", "del", "dev", tap, "root"});
  (void)run({"tc", "qdisc", "del", "dev", tap, "ingress"});
  if (!bandwidth) return;
  if (bandwidth->inbound) shape(tap, *bandwidth->inbound);
  if (bandwidth->outbound) police(tap, *bandwidth->outbound);
}

}  // namespace warren::driver::domain
