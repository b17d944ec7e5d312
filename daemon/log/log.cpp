#include "daemon/log/log.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
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

vmm::FileDescriptor open_log(const std::filesystem::path& path) {
  vmm::FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) vmm::throw_errno(fmt::format("log file {}", path.native()));
  return file;
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

Log::Log(LogLevel threshold, std::filesystem::path file)
    : threshold_(threshold), path_(std::move(file)), file_(open_log(path_)) {}

void Log::write(LogLevel level, std::string_view text) {
  if (level < threshold_) return;
  std::string line = fmt::format("{} {}: {}\n", timestamp(), name_of(level), escaped(text));
  std::lock_guard lock(mutex_);
  int target = file_ ? file_.get() : STDERR_FILENO;
  if (::write(target, line.data(), line.size()) < 0) return;  // nowhere left to complain
}

void Log::limited(LogSite& site, LogLevel level, std::string_view text) {
  if (level < threshold_) return;
  std::optional<std::uint64_t> left_out = site.admit();
  if (!left_out) return;
  write(level,
        *left_out == 0 ? std::string(text) : fmt::format("{} ({} such lines left out)", text, *left_out));
}

void Log::reopen() {
  if (path_.empty()) return;
  vmm::FileDescriptor fresh = open_log(path_);
  std::lock_guard lock(mutex_);
  file_ = std::move(fresh);
}

}  // namespace warren::daemon
