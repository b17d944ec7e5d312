// External Data Representation (RFC 4506) as libvirt's RPC uses it: the value types a message struct is made
// of, and the encoder and decoder of single values. codec.h derives the code of whole structs from them.
//
// Everything is big-endian and padded to 4 bytes. A decoder never reads past its input and never allocates
// for more elements than the input can still hold; after the first fault it only fails. Neither throws nor
// logs; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "driver/contract/secret_value.h"

namespace warren::daemon::rpc {

// Longest string of any message, in bytes (libvirt 9.0.0 limit, REMOTE_STRING_MAX).
inline constexpr std::uint32_t kStringMax = 4194304;

// A counted array of at most `Max` elements (RFC 4506 §4.13).
template <class T, std::uint32_t Max>
struct Array : std::vector<T> {
  using std::vector<T>::vector;
  static constexpr std::uint32_t kMax = Max;
};

// Counted bytes, packed (RFC 4506 §4.10).
template <std::uint32_t Max>
struct Opaque : std::vector<std::uint8_t> {
  using std::vector<std::uint8_t>::vector;
  static constexpr std::uint32_t kMax = Max;
};

// The same for what must not stay behind in memory: overwritten when it is destroyed.
template <std::uint32_t Max>
struct SecretOpaque : Opaque<Max> {
  SecretOpaque() = default;
  SecretOpaque(const SecretOpaque&) = default;
  SecretOpaque(SecretOpaque&&) noexcept = default;
  SecretOpaque& operator=(const SecretOpaque&) = default;
  SecretOpaque& operator=(SecretOpaque&&) noexcept = default;
  ~SecretOpaque() { driver::wipe(this->data(), this->size()); }
};

// A counted array of `char`: XDR has no packed char array, so that each one travels as a 4-byte word.
template <std::uint32_t Max>
struct CharArray : std::string {
  using std::string::string;
  static constexpr std::uint32_t kMax = Max;
};

// The same with a fixed length; unused characters are NUL.
template <std::uint32_t Size>
struct FixedCharArray : std::array<char, Size> {};

// 16 raw bytes, not counted.
using Uuid = std::array<std::uint8_t, 16>;

// The value of a typed parameter. The discriminant on the wire is virTypedParameterType: the index here plus
// one.
using TypedValue =
    std::variant<std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, double, bool, std::string>;

class Encoder {
 public:
  // Appends to `out`, which the caller keeps.
  explicit Encoder(std::vector<std::byte>& out) : out_(out) {}

  void word(std::uint32_t value);
  void hyper(std::uint64_t value);
  // `size` raw bytes and the padding to the next word.
  void bytes(const void* data, std::size_t size);
  // A count, refused above `max`.
  void count(std::size_t value, std::uint32_t max);

  // False once something exceeded its maximum; what was written then is not to be sent.
  bool ok() const { return ok_; }

 private:
  std::vector<std::byte>& out_;
  bool ok_ = true;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> input) : input_(input) {}

  std::uint32_t word();
  std::uint64_t hyper();
  // `size` raw bytes and their padding; an empty span when they are not there.
  std::span<const std::byte> bytes(std::size_t size);
  // The count of an array whose elements take at least `element_size` bytes each; 0 after a fault.
  std::uint32_t count(std::uint32_t max, std::size_t element_size);
  // A boolean word (RFC 4506 §4.4 knows 0 and 1): anything but 0 is true, as for libvirt's own decoder, since
  // go-libvirt marks an optional value as present by 0x01000000.
  bool flag();
  void fail() { ok_ = false; }

  bool ok() const { return ok_; }
  std::span<const std::byte> rest() const { return input_; }

 private:
  std::span<const std::byte> input_;
  bool ok_ = true;
};

}  // namespace warren::daemon::rpc
