#include "driver/cage/cage.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/cage/descriptors.h"
#include "driver/contract/error.h"
#include "vmm-core/os/spawn_settings.h"

namespace warren::driver::cage {

namespace {

using vmm::FileDescriptor;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostWords = 4096;  // of what a program says, in bytes

struct Pair {
  FileDescriptor ours, its;
};

Pair make_lifeline() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw system_error(errno, "make the lifeline of a caged program");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

Pair make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error(errno, "make a pipe for a caged program");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// The process that makes the cage; it ends when the program in it is ready. Killed and waited for at the end
// of its scope; what is in the cage then ends by its lifeline.
class Maker {
 public:
  explicit Maker(pid_t pid) noexcept : pid_(pid) {}
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  ~Maker() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

  void watch() {
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_) throw system_error(errno, "open a pidfd for a caged program");
  }
  // Reads what is said on the way. False when it has not ended by then.
  bool ends_before(Clock::time_point deadline, const FileDescriptor& errors, std::string& said) const;
  int wait() noexcept {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
  FileDescriptor pidfd_;
};

bool Maker::ends_before(Clock::time_point deadline, const FileDescriptor& errors, std::string& said) const {
  pollfd waits[] = {{pidfd_.get(), POLLIN, 0}, {errors.get(), POLLIN, 0}};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    if (::poll(waits, std::size(waits), static_cast<int>(left.count())) < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "wait for a caged program");
    }
    if (waits[1].revents != 0) {
      std::array<char, 1024> buffer;
      const ssize_t got = ::read(errors.get(), buffer.data(), buffer.size());
      if (got > 0 && said.size() < kMostWords) said.append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EINTR)) waits[1].fd = -1;
      continue;  // all that it said comes before its end
    }
    if (waits[0].revents != 0) return true;
  }
}

// Warnings come first; what is wrong is the last that begins with the program's name, with the hints below
// it.
std::string last_words(std::string_view said, const std::string& program) {
  const std::string name = program.substr(program.rfind('/') + 1) + ":";
  while (said.ends_with('\n')) said.remove_suffix(1);
  std::size_t begin = said.rfind('\n') + 1;  // if nothing does
  for (std::size_t line = 0; line < said.size(); line = said.find('\n', line) + 1) {
    if (said.substr(line).starts_with(name)) begin = line;
    if (said.find('\n', line) == std::string_view::npos) break;
  }
  std::string words(said.substr(begin));
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words;
}

}  // namespace

FileDescriptor launch_in_cage(const CageLaunch& launch) {
  Pair lifeline = make_lifeline();
  Pair errors = make_pipe();
  std::vector<std::string> words{launch.cage_program.string(), "--user", std::to_string(launch.user),
                                 "--group", std::to_string(launch.group)};
  for (const CagedFile& file : launch.files)
    words.insert(words.end(), {file.writable ? "--write" : "--read", file.source.string(), file.place});
  vmm::SpawnSettings settings(vmm::SpawnSettings::Session::own);
  ::posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
  settings.pass(errors.its, 2);
  settings.pass(*launch.listener, kListener);
  settings.pass(lifeline.its, kLifeline);
  if (launch.secret != nullptr) {
    settings.pass(*launch.secret, kSecret);
    words.emplace_back("--secret");
  }
  if (launch.held != nullptr) {
    settings.pass(*launch.held, kHeld);
    words.emplace_back("--held");
  }
  words.emplace_back("--");
  words.insert(words.end(), launch.words.begin(), launch.words.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin", locale = "LC_ALL=C";
  char* environment[] = {path.data(), locale.data(), nullptr};
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, launch.cage_program.c_str(), &settings.actions, &settings.attributes,
                                   arguments.data(), environment);
  if (failed != 0) throw system_error(failed, fmt::format("start {}", launch.cage_program.string()));
  Maker maker(pid);
  maker.watch();
  lifeline.its.reset();
  errors.its.reset();
  launch.place(pid);
  if (::send(lifeline.ours.get(), "g", 1, MSG_NOSIGNAL) != 1)
    throw system_error(errno, fmt::format("let {} begin", launch.cage_program.string()));
  std::string said;
  const std::string& program = launch.words.front();
  if (!maker.ends_before(Clock::now() + launch.patience, errors.ours, said)) {
    throw Error(VIR_ERR_OPERATION_TIMEOUT,
                fmt::format("{} was not ready after {} seconds", program,
                            std::chrono::duration_cast<std::chrono::seconds>(launch.patience).count()));
  }
  if (const int status = maker.wait(); !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    said = last_words(said, program);
    throw operation_failed(said.empty() ? fmt::format("{} ended before it was ready", program) : said);
  }
  return std::move(lifeline.ours);
}

}  // namespace warren::driver::cage
