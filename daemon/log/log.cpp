#include "daemon/log/log.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::daemon {
namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "?";
}

std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
}

std::string escaped(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

vmm::FileDescriptor open_file(const std::filesystem::path& path) {
  vmm::FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) vmm::throw_errno(fmt::format("log file {}", path.native()));
  return file;
}

// systemd's native protocol: datagrams of FIELD=value lines.
vmm::FileDescriptor open_journal() {
  constexpr std::string_view kSocket = "/run/systemd/journal/socket";
  vmm::FileDescriptor journal(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(kSocket.begin(), kSocket.end(), address.sun_path);
  // sockaddr_un is passed as sockaddr, as the socket API has it
  if (!journal || ::connect(journal.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    vmm::throw_errno(fmt::format("journal {}", kSocket));
  return journal;
}

int syslog_priority(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return LOG_DEBUG;
    case LogLevel::info:
      return LOG_INFO;
    case LogLevel::warning:
      return LOG_WARNING;
    case LogLevel::error:
      return LOG_ERR;
  }
  return LOG_ERR;
}

void write_line(int file, std::string_view line) {
  if (::write(file, line.data(), line.size()) < 0) return;  // nowhere left to complain
}

}  // namespace

std::optional<std::uint64_t> LogSite::admit(Clock::time_point now) {
  std::lock_guard lock(mutex_);
  if (now - refilled_ >= std::chrono::seconds(1)) {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - refilled_).count();
    tokens_ = static_cast<unsigned int>(std::min<std::int64_t>(kBurst, tokens_ + seconds));
    refilled_ = now;
  }
  if (tokens_ == 0) {
    ++left_out_;
    return std::nullopt;
  }
  --tokens_;
  return std::exchange(left_out_, 0);
}

Log::Log(LogLevel threshold) : threshold_(threshold), original_{.level = threshold} {
  sinks_ = open_sinks({original_});
}

Log::Log(LogLevel threshold, const std::filesystem::path& file)
    : threshold_(threshold), original_{.level = threshold, .target = LogTarget::file, .name = file.native()} {
  sinks_ = open_sinks({original_});
}

std::vector<Log::Sink> Log::open_sinks(const std::vector<LogOutput>& outputs) {
  std::vector<Sink> sinks;
  for (const LogOutput& output : outputs) {
    Sink sink{.output = output, .file = {}};
    if (output.target == LogTarget::file) sink.file = open_file(output.name);
    if (output.target == LogTarget::journal) sink.file = open_journal();
    sinks.push_back(std::move(sink));
  }
  return sinks;
}

bool Log::passes(LogLevel level, std::string_view source) const {
  for (const LogFilter& filter : filters_)
    if (source.find(filter.source) != std::string_view::npos) return level >= filter.level;
  return level >= threshold_;
}

void Log::write(LogLevel level, std::string_view text, std::string_view source) {
  std::lock_guard lock(mutex_);
  if (!passes(level, source)) return;
  const std::string safe = escaped(text);
  std::string line;
  for (const Sink& sink : sinks_) {
    if (level < sink.output.level) continue;
    switch (sink.output.target) {
      case LogTarget::standard_error:
      case LogTarget::file:
        if (line.empty()) line = fmt::format("{} {}: {}\n", timestamp(), name_of(level), safe);
        write_line(sink.file ? sink.file.get() : STDERR_FILENO, line);
        break;
      case LogTarget::syslog:
        ::syslog(LOG_DAEMON | syslog_priority(level), "%s: %s", sink.output.name.c_str(), safe.c_str());
        break;
      case LogTarget::journal:
        write_line(sink.file.get(), fmt::format("MESSAGE={}\nPRIORITY={}\nWARREN_SOURCE={}\n", safe,
                                                syslog_priority(level), source));
        break;
    }
  }
}

void Log::limited(LogSite& site, LogLevel level, std::string_view text, std::string_view source) {
  {
    std::lock_guard lock(mutex_);
    if (!passes(level, source)) return;
  }
  std::optional<std::uint64_t> left_out = site.admit();
  if (!left_out) return;
  write(level,
        *left_out == 0 ? std::string(text) : fmt::format("{} ({} such lines left out)", text, *left_out),
        source);
}

void Log::reopen() {
  set_outputs(outputs());
}

void Log::set_outputs(std::vector<LogOutput> outputs) {
  if (outputs.empty()) outputs.push_back(original_);
  std::vector<Sink> fresh = open_sinks(outputs);
  std::lock_guard lock(mutex_);
  sinks_ = std::move(fresh);
}

std::vector<LogOutput> Log::outputs() const {
  std::lock_guard lock(mutex_);
  std::vector<LogOutput> outputs;
  outputs.reserve(sinks_.size());
  for (const Sink& sink : sinks_) outputs.push_back(sink.output);
  return outputs;
}

void Log::set_filters(std::vector<LogFilter> filters) {
  std::lock_guard lock(mutex_);
  filters_ = std::move(filters);
}

std::vector<LogFilter> Log::filters() const {
  std::lock_guard lock(mutex_);
  return filters_;
}

}  // namespace warren::daemon
