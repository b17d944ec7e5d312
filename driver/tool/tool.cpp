#include "driver/tool/tool.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/spawn_settings.h"

namespace warren::driver {

namespace {

using vmm::FileDescriptor;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOutput = 16u << 20;
constexpr std::string_view kPlaces[] = {"/usr/sbin/", "/usr/bin/",        "/sbin/",
                                        "/bin/",      "/usr/local/sbin/", "/usr/local/bin/"};

struct Pipe {
  FileDescriptor read, write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error(errno, "cannot make a pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// A running tool; killed and waited for at the end of its scope.
class Process {
 public:
  Process(const Tool& tool, const std::string& path)
      : input_(make_pipe()), output_(make_pipe()), errors_(make_pipe()) {
    vmm::SpawnSettings spawn(vmm::SpawnSettings::Session::of_maker);
    ::posix_spawn_file_actions_adddup2(&spawn.actions, input_.read.get(), 0);
    ::posix_spawn_file_actions_adddup2(&spawn.actions, output_.write.get(), 1);
    ::posix_spawn_file_actions_adddup2(&spawn.actions, errors_.write.get(), 2);
    for (std::size_t i = 0; i < tool.inherited.size(); ++i)
      spawn.pass(*tool.inherited[i], 3 + static_cast<int>(i));
    if (!tool.directory.empty())
      ::posix_spawn_file_actions_addchdir_np(&spawn.actions, tool.directory.c_str());
    std::vector<std::string> words{tool.name};
    words.insert(words.end(), tool.arguments.begin(), tool.arguments.end());
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string locale = "LC_ALL=C", paths = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char* environment[] = {locale.data(), paths.data(), nullptr};
    const int failed =
        ::posix_spawn(&pid_, path.c_str(), &spawn.actions, &spawn.attributes, arguments.data(), environment);
    if (failed != 0) throw system_error(failed, fmt::format("cannot start {}", path));
    input_.read.reset();
    output_.write.reset();
    errors_.write.reset();
    ::fcntl(input_.write.get(), F_SETFL, O_NONBLOCK);
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  }
  ~Process() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  ToolResult communicate(const Tool& tool);

 private:
  bool pump(int timeout_ms, std::string_view& input, ToolResult& result);
  static void take(FileDescriptor& from, std::string& to, std::size_t most);
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  pid_t pid_ = -1;
  Pipe input_, output_, errors_;
  FileDescriptor pidfd_;
};

void Process::take(FileDescriptor& from, std::string& to, std::size_t most) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    from.reset();
    return;
  }
  if (to.size() < most) to.append(buffer.data(), static_cast<std::size_t>(got));
}

// False when both of its outputs are closed and it has ended.
bool Process::pump(int timeout_ms, std::string_view& input, ToolResult& result) {
  if (input.empty()) input_.write.reset();
  pollfd waits[] = {{output_.read.get(), POLLIN, 0},
                    {errors_.read.get(), POLLIN, 0},
                    {input_.write.get(), POLLOUT, 0},
                    {pidfd_.get(), POLLIN, 0}};
  if (::poll(waits, std::size(waits), timeout_ms) < 0 && errno != EINTR)
    throw system_error(errno, "cannot wait for a tool");
  if (waits[2].revents != 0 && input_.write) {
    const ssize_t put = ::write(input_.write.get(), input.data(), input.size());
    if (put > 0) input.remove_prefix(static_cast<std::size_t>(put));
    if (put < 0 && errno != EAGAIN && errno != EINTR) input = {};
  }
  const bool said = waits[0].revents != 0 || waits[1].revents != 0;
  if (waits[0].revents != 0) take(output_.read, result.output, kMostOutput);
  if (waits[1].revents != 0) take(errors_.read, result.errors, 65536);
  // What it left running may keep its outputs open: its own end is what counts, once nothing more is there.
  return said || waits[3].revents == 0;
}

ToolResult Process::communicate(const Tool& tool) {
  ToolResult result;
  std::string_view input = tool.input;
  auto limit = Clock::now() + tool.deadline;
  auto next_tick = Clock::now() + std::chrono::milliseconds(250);
  while (pump(250, input, result)) {
    const auto now = Clock::now();
    if (tool.tick && now >= next_tick) {
      next_tick = now + std::chrono::milliseconds(250);
      if (tool.tick()) limit = now + tool.deadline;
    }
    if (now >= limit) {
      throw Error(
          VIR_ERR_OPERATION_TIMEOUT,
          fmt::format("{} did not end within {} seconds and was stopped", tool.name, tool.deadline.count()),
          VIR_FROM_NONE);
    }
  }
  result.status = wait();
  return result;
}

}  // namespace

std::string find_tool(std::string_view name) {
  for (std::string_view place : kPlaces) {
    std::string path = std::string(place) + std::string(name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

ToolResult run_tool(const Tool& tool) {
  const std::string path = find_tool(tool.name);
  if (path.empty()) {
    throw Error(VIR_ERR_INTERNAL_ERROR,
                fmt::format("Cannot find '{}' in path: install it, this is done with it", tool.name),
                VIR_FROM_NONE);
  }
  return Process(tool, path).communicate(tool);
}

std::string require_tool(const Tool& tool) {
  ToolResult result = run_tool(tool);
  if (result.status == 0) return std::move(result.output);
  std::string said = result.errors.empty() ? result.output : result.errors;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (said.size() > 4096) said.resize(4096);
  // It goes into an error message, which is text.
  for (char& c : said)
    if (static_cast<unsigned char>(c) >= 0x7f || (static_cast<unsigned char>(c) < 0x20 && c != '\n')) c = '?';
  throw Error(VIR_ERR_INTERNAL_ERROR,
              fmt::format("{} failed with status {}: {}", tool.name, result.status, said), VIR_FROM_NONE);
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines = split_fields(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string_view> split_fields(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

}  // namespace warren::driver
