// The daemon's log: one line per message, to standard error or a file.
//
// "2026-01-31T12:00:00.123Z warning: text". Control characters in the text are escaped, so that nobody can
// forge a line. Each line is one write(): any thread; never throws; a log that cannot be written is not an
// error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>

#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon {

enum class LogLevel : std::uint8_t {
  debug = 1,
  info = 2,
  warning = 3,
  error = 4
};  // libvirt's log_level numbers

// Bounds the lines that one call site writes because of what a client does: a burst, then one each second,
// and a count of those left out with the next one that is written. Any thread.
class LogSite {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr unsigned int kBurst = 10;

  // How many lines were left out since the last one written, or nothing if this one is to be left out as
  // well.
  std::optional<std::uint64_t> admit(Clock::time_point now = Clock::now());

 private:
  std::mutex mutex_;
  unsigned int tokens_ = kBurst;
  Clock::time_point refilled_{};
  std::uint64_t left_out_ = 0;
};

class Log {
 public:
  // To standard error.
  explicit Log(LogLevel threshold) : threshold_(threshold) {}
  // To a file, appended to, mode 0600. Throws vmm::Error.
  Log(LogLevel threshold, std::filesystem::path file);

  void write(LogLevel level, std::string_view text);
  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void warning(std::string_view text) { write(LogLevel::warning, text); }
  void error(std::string_view text) { write(LogLevel::error, text); }
  // A line that a client can cause.
  void limited(LogSite& site, LogLevel level, std::string_view text);

  // Opens the file again, after it was moved away. Throws vmm::Error; the old one is kept then.
  void reopen();

 private:
  LogLevel threshold_;
  std::filesystem::path path_;  // empty: standard error
  std::mutex mutex_;            // guards file_
  vmm::FileDescriptor file_;
};

}  // namespace warren::daemon
