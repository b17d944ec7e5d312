// A worker as a process of the host: started so that it outlives the daemon, found again, waited for and
// killed through its pidfd alone (a pid may be somebody else's by the time a signal is sent).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <sys/types.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct WorkerProcess {
  pid_t pid = -1;
  std::uint64_t start_time = 0;  // clock ticks since boot (proc(5), stat field 22): tells a reused pid
  vmm::FileDescriptor pidfd;

  // SIGKILL; nothing if it has ended.
  void kill() const noexcept;
};

struct WorkerLaunch {
  std::filesystem::path program;
  const vmm::FileDescriptor* control = nullptr;  // the listening control socket
  const vmm::FileDescriptor* kvm = nullptr;      // or null: the worker has no /dev/kvm
  const vmm::FileDescriptor* log = nullptr;      // its standard output and error
  uid_t user = 0;
  gid_t group = 0;
  bool sandbox = true;
};

// In a session of its own, with nothing open but what is named. Blocks for a millisecond. Throws Error.
WorkerProcess launch_worker(const WorkerLaunch& launch);

// The process of a status file, if it is still that one.
std::optional<WorkerProcess> find_worker(pid_t pid, std::uint64_t start_time);

// WorkerProcess::start_time of any process; 0 when it is gone.
std::uint64_t process_start_time(pid_t pid);

// CPU time of all threads of a process in nanoseconds, 0 when it is gone.
std::uint64_t process_cpu_time(pid_t pid) noexcept;

struct ThreadTimes {
  std::uint64_t run_ns = 0;
  std::uint64_t wait_ns = 0;  // runnable, not running
  int cpu = -1;               // it last ran on
};
// Of one thread of a process, from procfs; zeros when it is gone.
ThreadTimes thread_times(pid_t pid, std::uint64_t thread);

struct ProcessTimes {
  std::uint64_t user_ns = 0;
  std::uint64_t system_ns = 0;
  std::uint64_t resident_kib = 0;
};
ProcessTimes process_times(pid_t pid);

}  // namespace warren::driver::domain
