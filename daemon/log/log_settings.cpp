#include "daemon/log/log_settings.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::daemon {
namespace {

constexpr std::size_t kMost = 64;  // outputs, or filters

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(" \t\n");
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(" \t\n"), text.size());
    if (words.size() == kMost) throw LogSettingsError(fmt::format("more than {} entries", kMost));
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Takes "N:" off the front.
LogLevel take_level(std::string_view& word) {
  const std::string_view whole = word;
  if (word.size() < 3 || word[0] < '1' || word[0] > '4' || word[1] != ':')
    throw LogSettingsError(fmt::format("'{}' does not begin with a level from 1 to 4 and a colon", whole));
  const auto level = static_cast<LogLevel>(word[0] - '0');
  word.remove_prefix(2);
  return level;
}

// The name behind "kind:".
std::string name_after(std::string_view word, std::string_view kind, std::string_view what) {
  if (word.size() <= kind.size() + 1 || word[kind.size()] != ':')
    throw LogSettingsError(fmt::format("'{}' needs {}: '{}:…'", word, what, kind));
  return std::string(word.substr(kind.size() + 1));
}

LogOutput parse_output(std::string_view word) {
  LogOutput output{.level = take_level(word)};
  const std::string_view kind = word.substr(0, word.find(':'));
  if (word == "stderr") {
    output.target = LogTarget::standard_error;
  } else if (word == "journald") {
    output.target = LogTarget::journal;
  } else if (kind == "syslog") {
    output.target = LogTarget::syslog;
    output.name = name_after(word, kind, "a program's name");
  } else if (kind == "file") {
    output.target = LogTarget::file;
    output.name = name_after(word, kind, "a path");
    if (!output.name.starts_with('/'))
      throw LogSettingsError(fmt::format("'{}' is no absolute path", output.name));
  } else {
    throw LogSettingsError(fmt::format("'{}' is none of stderr, file:PATH, syslog:NAME and journald", word));
  }
  return output;
}

std::string to_string(const LogOutput& output) {
  const int level = static_cast<int>(output.level);
  switch (output.target) {
    case LogTarget::standard_error:
      return fmt::format("{}:stderr", level);
    case LogTarget::file:
      return fmt::format("{}:file:{}", level, output.name);
    case LogTarget::syslog:
      return fmt::format("{}:syslog:{}", level, output.name);
    case LogTarget::journal:
      return fmt::format("{}:journald", level);
  }
  return {};
}

std::string to_string(const LogFilter& filter) {
  return fmt::format("{}:{}", static_cast<int>(filter.level), filter.source);
}

template <typename Entry>
std::string join(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) {
    if (!text.empty()) text += ' ';
    text += to_string(entry);
  }
  return text;
}

}  // namespace

std::vector<LogOutput> parse_log_outputs(std::string_view text) {
  std::vector<LogOutput> outputs;
  for (std::string_view word : words_of(text)) outputs.push_back(parse_output(word));
  return outputs;
}

std::vector<LogFilter> parse_log_filters(std::string_view text) {
  std::vector<LogFilter> filters;
  for (std::string_view word : words_of(text)) {
    LogFilter filter{.level = take_level(word)};
    if (word.starts_with('+')) throw LogSettingsError("stack traces ('+') cannot be logged");
    filter.source = word;
    filters.push_back(std::move(filter));
  }
  return filters;
}

std::string to_string(const std::vector<LogOutput>& outputs) {
  return join(outputs);
}

std::string to_string(const std::vector<LogFilter>& filters) {
  return join(filters);
}

}  // namespace warren::daemon
