// The daemon's log: one line per message, to standard error, files, syslog or the journal.
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
#include <vector>

#include "daemon/log/log_settings.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon {

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
  explicit Log(LogLevel threshold);
  // To a file, appended to, mode 0600. Throws vmm::Error.
  Log(LogLevel threshold, const std::filesystem::path& file);

  // `source` is the part of the daemon that speaks ("daemon", "rpc", "driver.domain"), for the filters.
  void write(LogLevel level, std::string_view text, std::string_view source = "daemon");
  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void warning(std::string_view text) { write(LogLevel::warning, text); }
  void error(std::string_view text) { write(LogLevel::error, text); }
  // A line that a client can cause.
  void limited(LogSite& site, LogLevel level, std::string_view text, std::string_view source = "daemon");

  // Opens the files again, after they were moved away. Throws vmm::Error; the old ones are kept then.
  void reopen();

  // In place of those before; none: what the log began with. Throws vmm::Error, and changes nothing, if one
  // cannot be opened.
  void set_outputs(std::vector<LogOutput> outputs);
  std::vector<LogOutput> outputs() const;
  void set_filters(std::vector<LogFilter> filters);
  std::vector<LogFilter> filters() const;

 private:
  struct Sink {
    LogOutput output;
    vmm::FileDescriptor file;  // of a file, or the journal's socket
  };

  static std::vector<Sink> open_sinks(const std::vector<LogOutput>& outputs);
  bool passes(LogLevel level, std::string_view source) const;

  const LogLevel threshold_;
  const LogOutput original_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<Sink> sinks_;
  std::vector<LogFilter> filters_;
};

}  // namespace warren::daemon
