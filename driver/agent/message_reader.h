// Cuts what a guest agent sends into lines.
//
// A line ends with a newline. The byte 0xff, which no JSON text holds, drops what came before it: the agent
// puts it before its reply to guest-sync-delimited. Never holds more than the limit of a line. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace warren::driver::agent {

// Longest reply that is taken: what the longest string of libvirt's protocol can carry.
inline constexpr std::size_t kMaximumReply = std::size_t{4} << 20;

class MessageReader {
 public:
  // From here on. A longer line is dropped as it comes.
  void set_limit(std::size_t limit) noexcept { limit_ = limit; }
  // Forgets an unfinished line.
  void clear() noexcept;
  // Whether a line was dropped since the last clear().
  bool has_overflowed() const noexcept { return has_overflowed_; }

  // `take(line)` is called for each whole line that is not empty, without its newline; it may change the
  // limit and clear. It returns false to drop the rest of `bytes`.
  void feed(std::string_view bytes, const std::function<bool(std::string)>& take);

 private:
  void append(std::string_view bytes);

  std::size_t limit_ = kMaximumReply;
  std::string line_;
  bool is_dropping_ = false;  // the line is too long already
  bool has_overflowed_ = false;
};

}  // namespace warren::driver::agent
