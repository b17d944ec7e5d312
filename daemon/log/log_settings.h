// Where log lines go and which of them, in the words of libvirt's administrators.
//
//   outputs  "3:stderr 1:file:/var/log/warren/debug.log 2:syslog:virtwarrend 2:journald"
//   filters  "1:driver.domain 4:rpc"
// The number is the lowest level of the output, or of the lines whose source contains the filter's word; the
// first filter that matches decides. Plain values. Throws LogSettingsError.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace warren::daemon {

enum class LogLevel : std::uint8_t {
  debug = 1,
  info = 2,
  warning = 3,
  error = 4
};  // libvirt's log_level numbers

class LogSettingsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class LogTarget : std::uint8_t { standard_error, file, syslog, journal };

struct LogOutput {
  LogLevel level = LogLevel::warning;
  LogTarget target = LogTarget::standard_error;
  std::string name;  // of a file its absolute path, of syslog the program's name
  bool operator==(const LogOutput&) const = default;
};

struct LogFilter {
  LogLevel level = LogLevel::warning;
  std::string source;
  bool operator==(const LogFilter&) const = default;
};

std::vector<LogOutput> parse_log_outputs(std::string_view text);
std::vector<LogFilter> parse_log_filters(std::string_view text);
std::string to_string(const std::vector<LogOutput>& outputs);
std::string to_string(const std::vector<LogFilter>& filters);

}  // namespace warren::daemon
