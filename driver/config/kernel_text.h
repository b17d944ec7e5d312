// The text files of procfs and sysfs: small, of one line or of "key: value" lines, and possibly not there.
//
// Any thread. What cannot be read is empty or nothing; nothing throws but bad_alloc.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::config {

std::string read_text(const std::filesystem::path& path);

// Without blanks and line breaks around it.
std::string_view trim(std::string_view text);

// A whole text that is one number; "0x" may stand before hexadecimal ones.
template <typename Integer>
std::optional<Integer> parse_number(std::string_view text, int base = 10) {
  text = trim(text);
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  Integer value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

template <typename Integer>
std::optional<Integer> read_number(const std::filesystem::path& path) {
  return parse_number<Integer>(read_text(path));
}

// The value of the first "key : value" line of that key; empty if there is none.
std::string_view text_field(std::string_view text, std::string_view key);

// "0-3,8" of the kernel: at most 8192 numbers, none of them above 8191.
std::vector<std::uint32_t> parse_number_list(std::string_view text);

}  // namespace warren::driver::config
