// warren-cage: makes a cage, starts a program in it, and stays in it as its first process (cage.h).
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/cage/cage.h"
#include "driver/cage/descriptors.h"
#include "driver/cage/filter.h"
#include "driver/cage/walls.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::cage {

namespace {

using vmm::FileDescriptor;

// Its children are many if it wants them to be: something else is looked at in between.
constexpr int kReapedAtATime = 64;

struct Options {
  uid_t user = 65534;
  gid_t group = 65534;
  std::vector<Binding> bindings;
  bool has_secret = false, has_held = false;
  std::vector<char*> words;  // ends with a null
};

[[noreturn]] void end_with_usage() {
  std::fputs(
      "Usage: warren-cage --user UID --group GID {--read | --write} FILE PLACE … [--secret] [--held] -- "
      "PROGRAM WORD "
      "…\n"
      "Started by virtwarrend; descriptor 4 is the lifeline, 5 the secret, 6 the first FILE, 3 the program's "
      "own.\n",
      stderr);
  std::exit(2);
}

unsigned number(std::string_view text) {
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) end_with_usage();
  return value;
}

Options parse(int count, char** words) {
  Options options;
  int next = 1;
  const auto take = [&]() -> char* {
    if (next >= count) end_with_usage();
    return words[next++];
  };
  for (;;) {
    const std::string_view word = take();
    if (word == "--") break;
    if (word == "--user") {
      options.user = number(take());
    } else if (word == "--group") {
      options.group = number(take());
    } else if (word == "--secret") {
      options.has_secret = true;
    } else if (word == "--held") {
      options.has_held = true;
    } else if (word == "--read" || word == "--write") {
      Binding& binding = options.bindings.emplace_back();
      binding = {.source = take(), .place = {}, .writable = word == "--write"};
      binding.place = take();
    } else {
      end_with_usage();
    }
  }
  while (next < count) options.words.push_back(words[next++]);
  if (options.words.empty() || (options.has_held && options.bindings.empty())) end_with_usage();
  options.words.push_back(nullptr);
  return options;
}

[[noreturn]] void end_with_reason(const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  ::_exit(1);
}

// Whether the lifeline has ended by then; the other side never writes but to begin.
bool lifeline_has_ended(short events) {
  return (events & (POLLIN | POLLHUP | POLLERR)) != 0;
}

[[noreturn]] void run(const Options& options) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Nobody reads its standard error any more when it is ready.
  (void)::signal(SIGPIPE, SIG_IGN);
  install_filter();
  char path[] = "PATH=/usr/sbin:/usr/bin", locale[] = "LC_ALL=C";
  char* environment[] = {path, locale, nullptr};
  ::execve(options.words[0], options.words.data(), environment);
  vmm::throw_errno(std::string("cage: execute ") + options.words[0]);
}

// The first process of the cage: what is left behind by others becomes its child, and all end with it.
class Keeper {
 public:
  explicit Keeper(FileDescriptor ready) : ready_(std::move(ready)) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    signals_.reset(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) vmm::throw_errno("cage: make a signalfd");
  }

  // Returns its status for the process; nobody else is in the cage any more then.
  int keep(pid_t starter) {
    starter_ = starter;
    for (;;) {
      pollfd waits[] = {{kLifeline, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (::poll(waits, std::size(waits), -1) < 0 && errno != EINTR) return kill_all();
      if (lifeline_has_ended(waits[0].revents)) return end_all();
      if (waits[1].revents == 0) continue;
      reap();
      if (!someone_is_left_) return 1;
      if (has_failed_) return kill_all();
    }
  }

 private:
  void reap() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof(signal)) > 0) {
    }
    int status = 0;
    for (int count = 0; count < kReapedAtATime; ++count) {
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      someone_is_left_ = pid >= 0 || errno != ECHILD;
      if (pid <= 0) return;
      if (pid != starter_) continue;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        tell_ready();
      } else {
        has_failed_ = true;
      }
    }
  }

  // The daemon reads no further: nobody is to wait for standard error.
  void tell_ready() {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    (void)!::write(ready_.get(), "r", 1);
    ready_.reset();
  }

  int end_all() {
    ::kill(-1, SIGTERM);
    const auto deadline = std::chrono::steady_clock::now() + kTimeToEnd;
    while (std::chrono::steady_clock::now() < deadline) {
      reap();
      if (!someone_is_left_) return 0;
      pollfd wait{signals_.get(), POLLIN, 0};
      ::poll(&wait, 1, 50);
    }
    return kill_all();
  }

  // What is held is let go only when nobody works on it any more.
  int kill_all() {
    ::kill(-1, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    return 1;
  }

  FileDescriptor ready_, signals_;
  pid_t starter_ = -1;
  bool someone_is_left_ = true, has_failed_ = false;
};

// `ready` is not closed before it has been said why it never will be: who waits for it reads no further then.
[[noreturn]] void live_in_cage(const Options& options, FileDescriptor& ready) {
  make_root(options.bindings, options.has_held ? kHeld : -1, options.has_secret ? kSecret : -1, options.user,
            options.group);
  drop_privileges(options.user, options.group);
  // Not one that another process of the same user may trace.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  Keeper keeper(std::move(ready));
  const pid_t starter = ::fork();
  if (starter < 0) vmm::throw_errno("cage: fork");
  if (starter == 0) run(options);
  ::close(kListener);
  if (options.has_secret) ::close(kSecret);
  ::_exit(keeper.keep(starter));
}

// The process that the daemon waits for: ends when the program is ready, or when it never will be.
int make_cage(const Options& options) {
  ::fcntl(kLifeline, F_SETFD, FD_CLOEXEC);
  if (options.has_secret) ::fcntl(kSecret, F_SETFD, FD_CLOEXEC);
  if (options.has_held) ::fcntl(kHeld, F_SETFD, FD_CLOEXEC);
  char begin = 0;
  if (::read(kLifeline, &begin, 1) != 1) return 1;
  enter_name_spaces();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) vmm::throw_errno("cage: make a pipe");
  const FileDescriptor ready(ends[0]);
  FileDescriptor tells(ends[1]);
  const pid_t first = ::fork();
  if (first < 0) vmm::throw_errno("cage: fork");
  if (first == 0) {
    try {
      live_in_cage(options, tells);
    } catch (const std::exception& error) {
      end_with_reason(error);
    }
  }
  tells.reset();
  char byte = 0;
  return ::read(ready.get(), &byte, 1) == 1 ? 0 : 1;
}

}  // namespace

}  // namespace warren::driver::cage

int main(int count, char** words) {
  using namespace warren::driver::cage;
  const Options options = parse(count, words);
  try {
    if (!options.has_secret) ::close(kSecret);
    if (!options.has_held) ::close(kHeld);
    ::close_range(kHeld + 1, ~0u, 0);
    // Nothing of a process at its end works in half a cage, LeakSanitizer's look around for one.
    ::_exit(make_cage(options));
  } catch (const std::exception& error) {
    end_with_reason(error);
  }
}
