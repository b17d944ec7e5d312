#include "driver/domain/live_status.h"

#include <charconv>
#include <concepts>

#include <fmt/format.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

constexpr std::string_view kEnd = "</domstatus>\n";

// The first line is ours alone and holds only numbers and two words: no XML parser is needed to read it.
std::string_view attribute(std::string_view line, std::string_view name) {
  std::string key = fmt::format(" {}='", name);
  std::size_t place = line.find(key);
  if (place == std::string_view::npos)
    throw internal_error(fmt::format("domstatus has no attribute '{}'", name));
  place += key.size();
  std::size_t end = line.find('\'', place);
  if (end == std::string_view::npos) throw internal_error(fmt::format("domstatus: '{}' is not closed", name));
  return line.substr(place, end - place);
}

template <std::integral T>
T number(std::string_view line, std::string_view name) {
  std::string_view text = attribute(line, name);
  T value{};
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) {
    throw internal_error(fmt::format("domstatus: '{}' is not a number that fits", name));
  }
  return value;
}

}  // namespace

std::string format_status(const LiveStatus& status) {
  const std::string bound = status.bound_devices.empty()
                                ? std::string()
                                : fmt::format(" host-devices='{}'", format_bound(status.bound_devices));
  return fmt::format(
      "<domstatus version='1' phase='{}' pid='{}' start-time='{}' state='{}' reason='{}' resets='{}' "
      "reboot='{}' started='{}' agent-timeout='{}'{}>\n{}{}",
      status.phase == LiveStatus::Phase::starting ? "starting" : "running", status.pid, status.start_time,
      status.state, status.reason, status.resets, status.reboot_requested ? 1 : 0, status.started,
      status.agent_timeout, bound, config::format_domain(status.live, {.inactive = false, .secure = true}),
      kEnd);
}

LiveStatus parse_status(std::string_view text) {
  std::size_t line_end = text.find('\n');
  if (!text.starts_with("<domstatus ") || line_end == std::string_view::npos || !text.ends_with(kEnd)) {
    throw internal_error("not a <domstatus> document");
  }
  std::string_view line = text.substr(0, line_end);
  if (number<int>(line, "version") != 1) throw internal_error("domstatus of an unknown version");
  LiveStatus status;
  status.phase =
      attribute(line, "phase") == "running" ? LiveStatus::Phase::running : LiveStatus::Phase::starting;
  status.pid = number<pid_t>(line, "pid");
  status.start_time = number<std::uint64_t>(line, "start-time");
  status.state = number<int>(line, "state");
  status.reason = number<int>(line, "reason");
  status.resets = number<std::uint64_t>(line, "resets");
  status.reboot_requested = number<int>(line, "reboot") != 0;
  status.started = number<std::int64_t>(line, "started");
  // An earlier daemon's has none.
  if (line.find(" agent-timeout='") != std::string_view::npos)
    status.agent_timeout = number<int>(line, "agent-timeout");
  if (line.find(" host-devices='") != std::string_view::npos)
    status.bound_devices = parse_bound(attribute(line, "host-devices"));
  std::string_view domain = text.substr(line_end + 1, text.size() - line_end - 1 - kEnd.size());
  status.live = config::parse_domain(domain, {.inactive = false});
  if (!status.live.uuid) throw internal_error("domstatus without a uuid");
  return status;
}

}  // namespace warren::driver::domain
