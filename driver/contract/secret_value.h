// Bytes that must not stay behind: the value of a secret.
//
// Moved, never copied; overwritten when it is destroyed or replaced. One thread at a time.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace warren::driver {

// Overwrites memory in a way the compiler does not leave out.
inline void wipe(void* memory, std::size_t size) noexcept {
  if (size > 0) ::explicit_bzero(memory, size);
}

class SecretValue {
 public:
  SecretValue() = default;
  explicit SecretValue(std::size_t size) : bytes_(size) {}
  explicit SecretValue(std::span<const std::uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  SecretValue(SecretValue&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SecretValue& operator=(SecretValue&& other) noexcept {
    if (this != &other) {
      wipe(bytes_.data(), bytes_.size());
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  ~SecretValue() { wipe(bytes_.data(), bytes_.size()); }

  std::span<const std::uint8_t> bytes() const { return bytes_; }
  std::span<std::uint8_t> bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;  // never grows: what it held before would stay in freed memory
};

}  // namespace warren::driver
