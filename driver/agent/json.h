// JSON to and from a guest agent: requests as lines of text, replies as values that are checked where they
// are read.
//
// A reply is taken only if it is valid JSON and UTF-8, at most kMaximumDepth deep and of at most
// kMaximumElements parts. Any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace boost::json {
class value;
}

namespace warren::driver::agent {

inline constexpr std::size_t kMaximumDepth = 32;
inline constexpr std::size_t kMaximumElements = 200'000;

// A part of a reply. What is missing or of another kind than it is read as throws VIR_ERR_INTERNAL_ERROR
// naming the field and the command. Texts end at a NUL, as a C client would see them.
class Value {
 public:
  // The reason when `text` is not taken. `command` is what it answers, for messages.
  static std::expected<Value, std::string> parse(std::string_view text, std::string command = "<unknown>");

  bool has(std::string_view name) const;
  bool is_object() const;
  // Members of an object.
  Value member(std::string_view name) const;
  std::optional<Value> find(std::string_view name) const;  // also nothing: null
  std::string text(std::string_view name) const;
  std::optional<std::string> find_text(std::string_view name) const;
  std::int64_t number(std::string_view name) const;
  std::uint64_t unsigned_number(std::string_view name) const;
  std::uint32_t index_number(std::string_view name) const;
  double real(std::string_view name) const;
  bool flag(std::string_view name) const;

  // Itself.
  std::string as_text() const;
  std::int64_t as_number() const;
  // Elements of an array of at most `maximum`.
  std::vector<Value> elements(std::size_t maximum) const;

 private:
  Value(std::shared_ptr<const boost::json::value> value, std::shared_ptr<const std::string> command,
        std::string name)
      : value_(std::move(value)), command_(std::move(command)), name_(std::move(name)) {}
  [[noreturn]] void fail(std::string_view name) const;
  Value child(const boost::json::value& value, std::string_view name) const;

  std::shared_ptr<const boost::json::value> value_;
  std::shared_ptr<const std::string> command_;
  std::string name_;
};

// A command with its arguments. Text that is no UTF-8 throws VIR_ERR_INVALID_ARG.
class Request {
 public:
  explicit Request(std::string command) : command_(std::move(command)) {}
  Request& text(std::string_view name, std::string_view value);
  Request& texts(std::string_view name, const std::vector<std::string>& values);
  Request& number(std::string_view name, std::int64_t value);
  Request& flag(std::string_view name, bool value);
  // guest-set-vcpus alone takes objects.
  struct VcpuState {
    std::uint32_t id = 0;
    bool is_online = false;
  };
  Request& vcpus(std::string_view name, const std::vector<VcpuState>& values);

  const std::string& command() const noexcept { return command_; }
  std::string line() const;  // without the newline

 private:
  Request& add(std::string_view name, std::string_view value);

  std::string command_;
  std::string arguments_;
};

// A client's own request as one line, and the command it names. Throws VIR_ERR_INVALID_ARG.
struct RawRequest {
  std::string line;
  std::string command;
};
RawRequest parse_request(std::string_view text);

// A valid JSON text without the blanks between its tokens.
std::string compact(std::string_view json);

std::string base64(std::string_view bytes);

}  // namespace warren::driver::agent
