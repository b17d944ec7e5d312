#include "vmm-core/os/memory_error.h"

#include <cerrno>
#include <ctime>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// Of the thread's trap; written by its signal handler.
struct TrapState {
  volatile std::sig_atomic_t is_set = 0;
  volatile std::sig_atomic_t has_caught = 0;
  volatile std::uintptr_t address = 0;
};
thread_local TrapState trap;

int report_descriptor = -1;  // the pipe's other end; set before there is a handler

// What a shell shows of a process that the signal killed.
constexpr int kExitStatus = 128 + SIGBUS;

void report(const MemoryError& error) noexcept {
  // Less than PIPE_BUF: whole or not at all. When nobody has read for thousands of errors, one more is no
  // news.
  (void)!::write(report_descriptor, &error, sizeof error);
}

void on_signal(int, siginfo_t* information, void*) {
  const int saved = errno;
  handle_memory_error(*information);
  errno = saved;
}

}  // namespace

MemoryErrorTrap::MemoryErrorTrap() noexcept {
  trap.has_caught = 0;
  trap.is_set = 1;
}

MemoryErrorTrap::~MemoryErrorTrap() {
  trap.is_set = 0;
}

std::optional<std::uintptr_t> MemoryErrorTrap::take() noexcept {
  if (trap.has_caught == 0) return std::nullopt;
  const std::uintptr_t address = trap.address;
  trap.has_caught = 0;
  return address;
}

void handle_memory_error(const siginfo_t& information) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(information.si_addr);  // a number from here on
  if (information.si_code == BUS_MCEERR_AO) return report({address, false});
  // Anything else is a mistake of ours, or a mapped file that was cut short: to go on would be to come back.
  if (information.si_code != BUS_MCEERR_AR) ::_exit(kExitStatus);
  // A second one before the first was looked at means that this thread cannot even come to that.
  if (trap.is_set != 0 && trap.has_caught == 0) {
    trap.address = address;
    trap.has_caught = 1;
    return;
  }
  report({address, true});
  for (;;) {
    const timespec long_time{.tv_sec = 3600, .tv_nsec = 0};
    ::nanosleep(&long_time, nullptr);
  }
}

FileDescriptor follow_memory_errors() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw_errno("memory errors: pipe");
  FileDescriptor reader(ends[0]);
  report_descriptor = ends[1];  // for as long as the process lives
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGBUS, &action, nullptr) != 0) throw_errno("memory errors: handler");
  // A kernel that knows nothing of failing memory tells nothing of it either.
  (void)::prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
  return reader;
}

std::optional<MemoryError> read_memory_error(const FileDescriptor& pipe) {
  MemoryError error;
  const ssize_t got = ::read(pipe.get(), &error, sizeof error);
  if (got == sizeof error) return error;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  throw_errno("memory errors: read");
}

}  // namespace warren::vmm
