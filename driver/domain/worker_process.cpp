#include "driver/domain/worker_process.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/spawn_settings.h"

namespace warren::driver::domain {

namespace {

using vmm::FileDescriptor;

// Where the worker finds what it is given (see warren-vmm --help).
constexpr int kControlNumber = 3;
constexpr int kKvmNumber = 4;

std::string read_small(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  char text[1024];
  ssize_t length = ::read(file.get(), text, sizeof(text));
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

// The numbers of a stat line after the command's name, which may hold anything (proc(5)): [0] is field 3.
std::vector<std::string_view> stat_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  std::size_t place = line.rfind(')');
  if (place == std::string_view::npos) return fields;
  ++place;
  while (place < line.size()) {
    std::size_t begin = line.find_first_not_of(" \n", place);
    if (begin == std::string_view::npos) break;
    std::size_t end = std::min(line.find_first_of(" \n", begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    place = end;
  }
  return fields;
}

std::uint64_t number(const std::vector<std::string_view>& fields, std::size_t index) {
  std::uint64_t value = 0;
  if (index < fields.size()) {
    std::from_chars(fields[index].data(), fields[index].data() + fields[index].size(), value);
  }
  return value;
}

std::uint64_t start_time_of(pid_t pid) {
  std::string line = read_small(fmt::format("/proc/{}/stat", pid));
  return number(stat_fields(line), 22 - 3);
}

FileDescriptor open_pidfd(pid_t pid) {
  return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

void WorkerProcess::kill() const noexcept {
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

WorkerProcess launch_worker(const WorkerLaunch& launch) {
  vmm::SpawnSettings settings(vmm::SpawnSettings::Session::own);
  ::posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  if (launch.log != nullptr) {
    settings.pass(*launch.log, 1);
    settings.pass(*launch.log, 2);
  } else {
    ::posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&settings.actions, 2, "/dev/null", O_WRONLY, 0);
  }
  std::vector<std::string> words{launch.program.string(),
                                 "serve",
                                 "--control",
                                 std::to_string(kControlNumber),
                                 "--user",
                                 std::to_string(launch.user),
                                 "--group",
                                 std::to_string(launch.group)};
  settings.pass(*launch.control, kControlNumber);
  if (launch.kvm != nullptr && *launch.kvm) {
    settings.pass(*launch.kvm, kKvmNumber);
    words.insert(words.end(), {"--kvm", std::to_string(kKvmNumber)});
  }
  if (!launch.sandbox) words.emplace_back("--no-sandbox");
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // The worker's environment is empty: nothing of the daemon's own is its business.
  char* environment[] = {nullptr};
  WorkerProcess process;
  int failed = ::posix_spawn(&process.pid, launch.program.c_str(), &settings.actions, &settings.attributes,
                             arguments.data(), environment);
  if (failed != 0) {
    throw system_error(failed, fmt::format("start the worker {}", launch.program.string()));
  }
  // Until it is waited for, a child's pid is not given to another.
  process.pidfd = open_pidfd(process.pid);
  if (!process.pidfd) {
    int error = errno;
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    throw system_error(error, fmt::format("open a pidfd for worker {}", process.pid));
  }
  process.start_time = start_time_of(process.pid);
  return process;
}

std::optional<WorkerProcess> find_worker(pid_t pid, std::uint64_t start_time) {
  if (pid <= 0) return std::nullopt;
  WorkerProcess process{pid, start_time, open_pidfd(pid)};
  // The pidfd is taken first: what the start time is compared of is what the pidfd refers to.
  if (!process.pidfd || start_time_of(pid) != start_time) return std::nullopt;
  return process;
}

std::uint64_t process_start_time(pid_t pid) {
  return start_time_of(pid);
}

std::uint64_t process_cpu_time(pid_t pid) noexcept {
  if (pid <= 0) return 0;
  clockid_t clock;
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

ThreadTimes thread_times(pid_t pid, std::uint64_t thread) {
  ThreadTimes times;
  if (pid <= 0 || thread == 0) return times;
  std::string directory = fmt::format("/proc/{}/task/{}/", pid, thread);
  std::string line = read_small(directory + "stat");
  auto fields = stat_fields(line);
  if (fields.size() > 39 - 3) times.cpu = static_cast<int>(number(fields, 39 - 3));
  // The same form, but without a name before the numbers.
  std::string schedule = ")" + read_small(directory + "schedstat");
  auto parts = stat_fields(schedule);
  if (parts.size() >= 2) {
    times.run_ns = number(parts, 0);
    times.wait_ns = number(parts, 1);
  } else {
    // A kernel without CONFIG_SCHED_INFO: user and system time in clock ticks.
    auto tick = static_cast<std::uint64_t>(1'000'000'000 / ::sysconf(_SC_CLK_TCK));
    times.run_ns = (number(fields, 14 - 3) + number(fields, 15 - 3)) * tick;
  }
  return times;
}

ProcessTimes process_times(pid_t pid) {
  ProcessTimes times;
  if (pid <= 0) return times;
  std::string line = read_small(fmt::format("/proc/{}/stat", pid));
  auto fields = stat_fields(line);
  auto tick = static_cast<std::uint64_t>(1'000'000'000 / ::sysconf(_SC_CLK_TCK));
  times.user_ns = number(fields, 14 - 3) * tick;
  times.system_ns = number(fields, 15 - 3) * tick;
  times.resident_kib = number(fields, 24 - 3) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
  return times;
}

}  // namespace warren::driver::domain
