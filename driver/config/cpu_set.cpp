#include "driver/config/cpu_set.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace warren::driver::config {

namespace {

// Takes a number below kLimit off the front of `text`.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || value >= CpuSet::kLimit) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\n'))
    text.remove_prefix(1);
}

}  // namespace

CpuSet CpuSet::from_map(std::span<const std::uint8_t> map) {
  CpuSet set;
  set.bytes_.assign(map.begin(),
                    map.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(map.size(), kLimit / 8)));
  set.trim();
  return set;
}

std::optional<CpuSet> CpuSet::parse(std::string_view text) {
  CpuSet set;
  for (;;) {
    skip_blanks(text);
    const bool excludes = !text.empty() && text.front() == '^';
    if (excludes) text.remove_prefix(1);
    const auto first = take_number(text);
    if (!first) return std::nullopt;
    auto last = first;
    skip_blanks(text);
    if (!text.empty() && text.front() == '-' && !excludes) {
      text.remove_prefix(1);
      skip_blanks(text);
      last = take_number(text);
      if (!last || *last < *first) return std::nullopt;
      skip_blanks(text);
    }
    for (std::uint32_t member = *first; member <= *last; ++member) {
      if (excludes) {
        set.erase(member);
      } else {
        set.insert(member);
      }
    }
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
  }
  if (set.empty()) return std::nullopt;
  return set;
}

bool CpuSet::contains(std::uint32_t member) const noexcept {
  const std::size_t byte = member / 8;
  return byte < bytes_.size() && (bytes_[byte] >> (member % 8) & 1) != 0;
}

void CpuSet::insert(std::uint32_t member) {
  if (member >= kLimit) return;
  if (bytes_.size() <= member / 8) bytes_.resize(member / 8 + 1);
  bytes_[member / 8] = static_cast<std::uint8_t>(bytes_[member / 8] | 1u << (member % 8));
}

void CpuSet::erase(std::uint32_t member) {
  if (!contains(member)) return;
  bytes_[member / 8] = static_cast<std::uint8_t>(bytes_[member / 8] & ~(1u << (member % 8)));
  trim();
}

void CpuSet::trim() {
  while (!bytes_.empty() && bytes_.back() == 0) bytes_.pop_back();
}

std::vector<std::uint32_t> CpuSet::members() const {
  std::vector<std::uint32_t> result;
  for (std::uint32_t member = 0; member < bytes_.size() * 8; ++member)
    if (contains(member)) result.push_back(member);
  return result;
}

std::vector<std::uint8_t> CpuSet::map(std::size_t size) const {
  std::vector<std::uint8_t> result = bytes_;
  result.resize(std::max(size, bytes_.size()));
  return result;
}

std::string CpuSet::to_string() const {
  std::string text;
  const std::vector<std::uint32_t> all = members();
  for (std::size_t i = 0; i < all.size();) {
    std::size_t last = i;
    while (last + 1 < all.size() && all[last + 1] == all[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", all[i]) : fmt::format("{}-{}", all[i], all[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace warren::driver::config
