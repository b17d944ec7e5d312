#include "driver/cage/filter.h"

#include <cerrno>
#include <memory>
#include <string>

#include <sched.h>
#include <seccomp.h>

#include "vmm-core/os/error.h"

namespace warren::driver::cage {

namespace {

// Files, memory, threads, its own sockets and time: what qemu-storage-daemon 7 to 10 and the C library use to
// serve an image. No mounts, name spaces, modules, keys, tracing, BPF, other processes' memory, io_uring.
constexpr const char* kAllowed[] = {
    // the program and its threads
    "execve", "exit", "exit_group", "fork", "vfork", "wait4", "waitid", "set_tid_address", "set_robust_list",
    "get_robust_list", "rseq", "arch_prctl", "prctl", "futex", "futex_waitv", "sched_yield",
    "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_setscheduler",
    "membarrier", "getcpu", "setsid", "umask", "chdir", "getcwd", "restart_syscall", "kill", "tgkill",
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrlimit", "prlimit64",
    "getrusage", "sysinfo", "uname", "getrandom",
    // signals and time
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "rt_sigsuspend",
    "sigaltstack", "signalfd4", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
    "gettimeofday", "time", "timerfd_create", "timerfd_settime", "timerfd_gettime", "alarm",
    // memory
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mlock", "mlock2", "munlock", "msync",
    // files
    "open", "openat", "close", "close_range", "read", "write", "pread64", "pwrite64", "readv", "writev",
    "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "stat", "fstat", "lstat", "newfstatat", "statx",
    "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "fcntl",
    "flock", "ioctl", "fsync", "fdatasync", "sync_file_range", "fallocate", "ftruncate", "fadvise64",
    "copy_file_range", "io_setup", "io_submit", "io_getevents", "io_destroy", "fgetxattr", "flistxattr",
    "dup", "dup2", "dup3", "pipe", "pipe2",
    // the socket it serves, and its events
    "eventfd2", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll",
    "select", "pselect6", "listen", "accept", "accept4", "recvmsg", "sendmsg", "recvfrom", "sendto",
    "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown", "socketpair"};

// Of clone(2): no name spaces of its own. clone3(2), whose flags cannot be seen, is not there: the C library
// does without.
constexpr scmp_datum_t kNameSpaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;

void check(int result, const std::string& step) {
  if (result >= 0) return;
  errno = -result;
  vmm::throw_errno("cage: " + step);
}

}  // namespace

void install_filter() {
  const std::unique_ptr<void, decltype(&::seccomp_release)> filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)),
                                                                   &::seccomp_release);
  check(filter ? 0 : -ENOMEM, "make a filter");
  for (const char* name : kAllowed) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // newer than the library
    check(::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0), std::string("allow ") + name);
  }
  check(::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, kNameSpaces, 0)),
        "allow clone");
  check(::seccomp_load(filter.get()), "install the filter");
}

}  // namespace warren::driver::cage
