#include "driver/network/dnsmasq_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"

namespace warren::driver::network {

namespace {

using vmm::FileDescriptor;

constexpr const char* kProgram = "dnsmasq";
constexpr const char* kInotifyLimit = "/proc/sys/fs/inotify/max_user_instances";
constexpr unsigned kMostInotify = 8192;
constexpr const char* kMoreInotify =
    " (more networks need more of them: sysctl fs.inotify.max_user_instances=1024)";
constexpr std::chrono::seconds kStartDeadline{20};
constexpr std::chrono::seconds kTimeToEnd{5};
constexpr std::chrono::seconds kTimeToBeKilled{10};

// The first bytes of a small file; empty where there is none.
std::string read_small(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  std::array<char, 4096> text;
  const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
}

std::string configuration_word(const DnsmasqFiles& files) {
  return "--conf-file=" + files.configuration.native();
}

// Each dnsmasq has one of these, and all of them are root's when they begin; a host allows a user 128 of them
// if nobody has said more (inotify(7)). False: it allows enough, or this may not be changed.
bool allow_more_inotify() {
  const std::string text = read_small(kInotifyLimit);
  unsigned limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || limit >= kMostInotify) return false;
  const std::string more = std::to_string(std::min(kMostInotify, std::max(limit, 128U) * 2));
  const FileDescriptor file(::open(kInotifyLimit, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), more.data(), more.size()) == static_cast<ssize_t>(more.size());
}

bool is_dnsmasq(pid_t pid) {
  std::array<char, 4096> target;
  const ssize_t length = ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), target.data(), target.size());
  if (length <= 0) return false;
  std::string_view path(target.data(), static_cast<std::size_t>(length));
  // Its package was upgraded while it ran.
  if (path.ends_with(" (deleted)")) path.remove_suffix(std::string_view(" (deleted)").size());
  return path.substr(path.rfind('/') + 1) == kProgram;
}

bool has_word(pid_t pid, const std::string& word) {
  const std::string command = read_small(fmt::format("/proc/{}/cmdline", pid));
  for (std::string_view one : split_fields(command, '\0'))
    if (one == word) return true;
  return false;
}

std::string printable(std::string said) {
  if (said.size() > 2048) said.resize(2048);
  for (char& c : said)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  while (!said.empty() && said.back() == ' ') said.pop_back();
  return said;
}

}  // namespace

bool DnsmasqProcess::signal(int number) const noexcept {
  return pidfd && ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) == 0;
}

bool DnsmasqProcess::has_ended(std::chrono::milliseconds patience) const noexcept {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
    pollfd ended{pidfd.get(), POLLIN, 0};
    const int found = ::poll(&ended, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (found > 0) return true;
    if (found == 0 || errno != EINTR) return false;
  }
}

std::optional<DnsmasqProcess> find_dnsmasq(const DnsmasqFiles& files) {
  const std::string text = read_small(files.process_id);
  DnsmasqProcess process;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), process.pid);
  if (error != std::errc() || process.pid <= 1) return std::nullopt;
  process.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!process.pidfd || !is_dnsmasq(process.pid) || !has_word(process.pid, configuration_word(files)))
    return std::nullopt;
  // It is there after all that was read: so that was the one of the pidfd.
  if (process.has_ended(std::chrono::milliseconds(0))) return std::nullopt;
  return process;
}

DnsmasqProcess start_dnsmasq(const DnsmasqFiles& files, std::string_view network) {
  if (const auto old = find_dnsmasq(files)) stop_dnsmasq(*old, kTimeToEnd);
  const Tool tool{.name = kProgram, .arguments = {configuration_word(files)}, .deadline = kStartDeadline};
  ToolResult result = run_tool(tool);
  const bool lacks_inotify = result.status != 0 && result.errors.find("inotify") != std::string::npos;
  if (lacks_inotify && allow_more_inotify()) result = run_tool(tool);
  if (result.status != 0) {
    throw Error(VIR_ERR_OPERATION_FAILED,
                fmt::format("network {}: dnsmasq did not start (status {}): {}{}", network, result.status,
                            printable(result.errors), lacks_inotify ? kMoreInotify : ""),
                VIR_FROM_NETWORK);
  }
  auto process = find_dnsmasq(files);
  if (!process) {
    throw Error(VIR_ERR_OPERATION_FAILED,
                fmt::format("network {}: dnsmasq ended as soon as it had started: its log says why", network),
                VIR_FROM_NETWORK);
  }
  return std::move(*process);
}

void stop_dnsmasq(const DnsmasqProcess& process, std::chrono::milliseconds patience) {
  if (!process.signal(SIGTERM) || process.has_ended(patience)) return;
  if (!process.signal(SIGKILL) || process.has_ended(kTimeToBeKilled)) return;
  throw Error(VIR_ERR_OPERATION_TIMEOUT,
              fmt::format("dnsmasq, process {}, does not end, though it was killed", process.pid),
              VIR_FROM_NETWORK);
}

}  // namespace warren::driver::network
