#include "driver/domain/passt.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"
#include "driver/domain/worker_process.h"
#include "driver/tool/tool.h"

namespace warren::driver::domain {

namespace {

using vmm::FileDescriptor;

constexpr const char* kProgram = "passt";
// Its numbers for what it is given.
constexpr int kConnection = 3, kProcessId = 4, kLogFile = 5;
constexpr std::chrono::seconds kStartDeadline{20};
constexpr int kTimeToEndMs = 1000, kTimeToBeKilledMs = 5000;

// How it finds a file that is open already, also as another user.
std::string own_descriptor(int number) {
  return fmt::format("/proc/self/fd/{}", number);
}

std::filesystem::path record_of(const std::filesystem::path& directory, const std::string& name) {
  return directory / (name + ".pid");
}

// "192.0.2.1%eth0/22-80:32-90,~40" (passt(1), --tcp-ports); ports alone for every address.
std::string ports_of(const config::PortForward& forward) {
  std::string text;
  if (forward.address) text += config::format_ip_address(*forward.address);
  if (!forward.device.empty()) text += "%" + forward.device;
  if (!text.empty()) text += "/";
  if (forward.ranges.empty()) return text + "all";
  const auto range = [](std::uint32_t first, std::uint32_t count) {
    return count == 0 ? std::to_string(first) : fmt::format("{}-{}", first, first + count);
  };
  bool is_first = true;
  for (const config::PortRange& each : forward.ranges) {
    if (!is_first) text += ",";
    is_first = false;
    const std::uint32_t count = each.end.value_or(each.start) - each.start;
    text += (each.exclude == true ? "~" : "") + range(each.start, count);
    if (each.to) text += ":" + range(*each.to, count);
  }
  return text;
}

struct Pipe {
  FileDescriptor read, write;
};

// passt writes its process id as the user it becomes, who is to be allowed that.
Pipe make_pipe(const PasstSettings& settings) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw system_error(errno, "make a pipe");
  Pipe pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  if (::geteuid() == 0 && ::fchown(pipe.write.get(), settings.user, settings.group) != 0)
    throw system_error(errno, "give a pipe to passt");
  return pipe;
}

Pipe make_connection() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw system_error(errno, "make a connection to passt");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::optional<pid_t> read_process_id(const FileDescriptor& from) {
  std::array<char, 32> text;
  const ssize_t length = ::read(from.get(), text.data(), text.size());
  if (length <= 0) return std::nullopt;
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + length, pid);
  return error == std::errc() && pid > 1 ? std::optional(pid) : std::nullopt;
}

// What it said last, which is why it ended. Without a system log it complains of that at each line.
std::string reason_of(const std::string& said) {
  std::string reason;
  for (std::string_view line : split_lines(said)) {
    if (line.empty() || line.starts_with("Failed to send ")) continue;
    if (!reason.empty()) reason += "; ";
    reason += line.substr(0, 200);
    if (reason.size() > 800) break;
  }
  for (char& c : reason)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  return reason;
}

void write_record(const std::filesystem::path& path, pid_t pid) {
  const std::string text = fmt::format("{} {}\n", pid, process_start_time(pid));
  const FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw system_error(errno, fmt::format("write '{}'", path.string()));
}

bool has_ended(const WorkerProcess& process, int patience_ms) {
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  return ::poll(&ended, 1, patience_ms) > 0;
}

// The process, if it runs.
std::optional<WorkerProcess> read_record(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::array<char, 64> text;
  const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (length <= 0) return std::nullopt;
  const char* const end = text.data() + length;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, pid);
  if (error != std::errc() || rest == end) return std::nullopt;
  if (std::from_chars(rest + 1, end, start_time).ec != std::errc()) return std::nullopt;
  std::optional<WorkerProcess> process = find_worker(pid, start_time);
  // It may have ended and nobody has taken note yet.
  if (process && has_ended(*process, 0)) return std::nullopt;
  return process;
}

Tool command_of(const config::Interface& interface, const PasstSettings& settings) {
  Tool tool{.name = kProgram, .arguments = passt_arguments(interface), .deadline = kStartDeadline};
  const auto add = [&](const char* option, std::string value) {
    tool.arguments.emplace_back(option);
    tool.arguments.push_back(std::move(value));
  };
  add("--fd", std::to_string(kConnection));
  add("--pid", own_descriptor(kProcessId));
  if (::geteuid() == 0) add("--runas", fmt::format("{}:{}", settings.user, settings.group));
  if (!interface.backend.log_file.empty()) add("--log-file", own_descriptor(kLogFile));
  return tool;
}

FileDescriptor start(const config::Interface& interface, const PasstSettings& settings) {
  if (find_tool(kProgram).empty()) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "there is no passt, which it is served by (on Debian it is in the package passt)");
  }
  Pipe connection = make_connection(), process_id = make_pipe(settings);
  Tool tool = command_of(interface, settings);
  tool.inherited = {&connection.write, &process_id.write};
  FileDescriptor log;
  if (!interface.backend.log_file.empty()) {
    log = open_output_file(interface.backend.log_file, false);
    tool.inherited.push_back(&log);
  }
  const ToolResult result = run_tool(tool);
  connection.write.reset();
  process_id.write.reset();
  if (result.status != 0) {
    throw operation_failed(fmt::format("passt did not start (status {}): {}", result.status,
                                       reason_of(result.errors + result.output)));
  }
  const std::optional<pid_t> pid = read_process_id(process_id.read);
  if (!pid) throw operation_failed("passt did not say which process it is");
  write_record(record_of(settings.directory, passt_name(interface)), *pid);
  settings.place(*pid);
  return std::move(connection.read);
}

}  // namespace

std::string passt_name(const config::Interface& interface) {
  std::string name = "passt-" + config::format_mac_address(interface.mac.value());
  std::erase(name, ':');
  return name;
}

std::vector<std::string> passt_arguments(const config::Interface& interface) {
  const config::UserNetwork& user = interface.user;
  std::vector<std::string> words{"--quiet"};
  const auto add = [&words](const char* option, std::string value) {
    words.emplace_back(option);
    words.push_back(std::move(value));
  };
  if (!user.device.empty()) add("--interface", user.device);
  if (interface.mtu) add("--mtu", std::to_string(*interface.mtu));
  for (const config::GuestAddress& each : user.addresses) {
    add("--address", config::format_ip_address(each.address));
    if (each.prefix && !each.address.is_ipv6) add("--netmask", std::to_string(*each.prefix));
  }
  for (const config::PortForward& forward : user.forwards)
    add(forward.protocol == config::ForwardedProtocol::tcp ? "--tcp-ports" : "--udp-ports",
        ports_of(forward));
  return words;
}

FileDescriptor start_passt(const config::Interface& interface, const PasstSettings& settings) {
  try {
    if (read_record(record_of(settings.directory, passt_name(interface))))
      throw operation_failed("an interface with that MAC address has a passt already");
    return start(interface, settings);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("interface {} of type user: {}",
                                          config::format_mac_address(interface.mac.value()), error.detail()));
  }
}

void end_passt(const std::filesystem::path& directory, const std::string& name) noexcept {
  try {
    const std::filesystem::path path = record_of(directory, name);
    const std::optional<WorkerProcess> process = read_record(path);
    if (process && !has_ended(*process, kTimeToEndMs)) {
      process->kill();
      has_ended(*process, kTimeToBeKilledMs);
    }
    ::unlink(path.c_str());
  } catch (const std::exception&) {
    // No memory for a name: it ends by itself all the same.
  }
}

}  // namespace warren::driver::domain
