#include "daemon/config/configuration_file.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace warren::daemon {
namespace {

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class Parser {
 public:
  Parser(std::string_view file, std::string_view text) : file_(file), rest_(text) {}

  ConfigurationEntries parse() {
    ConfigurationEntries entries;
    for (skip_space_and_lines(); !rest_.empty(); skip_space_and_lines()) {
      unsigned int line = line_;
      std::string key = parse_key();
      skip_space();
      if (!take('=')) fail(fmt::format("expected '=' after '{}'", key));
      skip_space();
      ConfigurationValue value = parse_value();
      value.line = line;
      skip_space();
      if (!rest_.empty() && rest_.front() != '\n' && rest_.front() != '#') {
        fail(fmt::format("unexpected text after the value of '{}'", key));
      }
      if (!entries.emplace(key, std::move(value)).second) fail(fmt::format("'{}' is set twice", key));
    }
    return entries;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { throw ConfigurationError(file_, line_, what); }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    if (c == '\n') ++line_;
    rest_.remove_prefix(1);
    return true;
  }

  void skip_space() {
    while (take(' ') || take('\t') || take('\r')) {
    }
  }

  void skip_space_and_lines() {
    for (skip_space();; skip_space()) {
      if (!rest_.empty() && rest_.front() == '#')
        rest_ = rest_.substr(std::min(rest_.find('\n'), rest_.size()));
      if (!take('\n')) return;
    }
  }

  std::string parse_key() {
    std::size_t size = 0;
    while (size < rest_.size() && is_key_character(rest_[size])) ++size;
    if (size == 0) fail("expected a key");
    std::string key(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return key;
  }

  ConfigurationValue parse_value() {
    if (rest_.empty()) fail("expected a value");
    if (rest_.front() == '"' || rest_.front() == '\'') return {parse_string(), 0};
    if (rest_.front() == '[') return {parse_list(), 0};
    if (rest_.front() == '-' || (rest_.front() >= '0' && rest_.front() <= '9')) return {parse_integer(), 0};
    std::string word = is_key_character(rest_.front()) ? parse_key() : std::string();
    if (word == "true") return {std::int64_t{1}, 0};
    if (word == "false") return {std::int64_t{0}, 0};
    fail("expected an integer, a quoted string or a list");
  }

  std::int64_t parse_integer() {
    std::int64_t value = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{}) fail("not an integer, or out of range");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  std::string parse_string() {
    if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) fail("expected a quoted string");
    char quote = rest_.front();
    std::size_t end = rest_.find_first_of(quote == '"' ? "\"\n" : "'\n", 1);
    if (end == std::string_view::npos || rest_[end] == '\n') fail("string without its closing quote");
    std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }

  std::vector<std::string> parse_list() {
    std::vector<std::string> values;
    take('[');
    skip_space_and_lines();
    while (!take(']')) {
      values.push_back(parse_string());
      skip_space_and_lines();
      if (!take(',') && (rest_.empty() || rest_.front() != ']')) fail("expected ',' or ']' in a list");
      skip_space_and_lines();
    }
    return values;
  }

  std::string_view file_;
  std::string_view rest_;
  unsigned int line_ = 1;
};

}  // namespace

ConfigurationError::ConfigurationError(std::string_view file, unsigned int line, std::string_view what)
    : std::runtime_error(fmt::format("{}:{}: {}", file, line, what)) {}

ConfigurationEntries parse_configuration(std::string_view file, std::string_view text) {
  return Parser(file, text).parse();
}

}  // namespace warren::daemon
