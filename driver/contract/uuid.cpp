#include "driver/contract/uuid.h"

#include <cerrno>

#include <sys/random.h>

#include "driver/contract/error.h"

namespace warren::driver {

namespace {

int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Uuid::to_string() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  Uuid uuid;
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || (c == '-' && done > 0 && done < 16)) {
      ++i;
      continue;
    }
    if (done == uuid.bytes.size() || i + 1 >= text.size()) return std::nullopt;
    int high = hexadecimal(c), low = hexadecimal(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    uuid.bytes[done++] = static_cast<std::uint8_t>(high << 4 | low);
    i += 2;
  }
  if (done != uuid.bytes.size()) return std::nullopt;
  return uuid;
}

Uuid Uuid::random() {
  Uuid uuid;
  // 16 bytes are never short or interrupted once the pool is initialised (getrandom(2)).
  if (::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) != static_cast<ssize_t>(uuid.bytes.size())) {
    throw system_error(errno, "get random bytes for a UUID");
  }
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

}  // namespace warren::driver
