#include "driver/agent/message_reader.h"

#include <utility>

namespace warren::driver::agent {

void MessageReader::clear() noexcept {
  line_.clear();
  line_.shrink_to_fit();
  is_dropping_ = false;
  has_overflowed_ = false;
}

void MessageReader::append(std::string_view bytes) {
  if (is_dropping_) return;
  if (bytes.size() > limit_ || line_.size() > limit_ - bytes.size()) {
    is_dropping_ = true;
    has_overflowed_ = true;
    line_.clear();
    line_.shrink_to_fit();
    return;
  }
  line_.append(bytes);
}

void MessageReader::feed(std::string_view bytes, const std::function<bool(std::string)>& take) {
  constexpr std::string_view kMarks = "\n\xff";
  while (!bytes.empty()) {
    const std::size_t mark = bytes.find_first_of(kMarks);
    append(bytes.substr(0, mark));
    if (mark == std::string_view::npos) return;
    const bool is_end = bytes[mark] == '\n';
    bytes.remove_prefix(mark + 1);
    std::string line = std::exchange(line_, {});
    const bool was_dropped = std::exchange(is_dropping_, false);
    if (is_end && !was_dropped && !line.empty() && !take(std::move(line))) return;
  }
}

}  // namespace warren::driver::agent
