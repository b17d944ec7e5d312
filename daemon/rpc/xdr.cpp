#include "daemon/rpc/xdr.h"

#include <bit>
#include <cstring>

namespace warren::daemon::rpc {
namespace {

constexpr std::size_t padding(std::size_t size) {
  return (4 - size % 4) % 4;
}

}  // namespace

void Encoder::word(std::uint32_t value) {
  std::uint32_t wire = __builtin_bswap32(value);
  static_assert(std::endian::native == std::endian::little);
  std::size_t at = out_.size();
  out_.resize(at + sizeof wire);
  std::memcpy(out_.data() + at, &wire, sizeof wire);
}

void Encoder::hyper(std::uint64_t value) {
  word(static_cast<std::uint32_t>(value >> 32));
  word(static_cast<std::uint32_t>(value));
}

void Encoder::bytes(const void* data, std::size_t size) {
  std::size_t at = out_.size();
  out_.resize(at + size + padding(size));
  if (size != 0) std::memcpy(out_.data() + at, data, size);
}

void Encoder::count(std::size_t value, std::uint32_t max) {
  if (value > max) {
    ok_ = false;
    value = 0;
  }
  word(static_cast<std::uint32_t>(value));
}

std::uint32_t Decoder::word() {
  std::uint32_t wire = 0;
  if (!ok_ || input_.size() < sizeof wire) {
    ok_ = false;
    return 0;
  }
  std::memcpy(&wire, input_.data(), sizeof wire);
  input_ = input_.subspan(sizeof wire);
  return __builtin_bswap32(wire);
}

std::uint64_t Decoder::hyper() {
  std::uint64_t high = word();
  return high << 32 | word();
}

std::span<const std::byte> Decoder::bytes(std::size_t size) {
  // `size` is at most 32 bits wide, so that the sum cannot wrap.
  if (!ok_ || size > input_.size() || input_.size() - size < padding(size)) {
    ok_ = false;
    return {};
  }
  std::span<const std::byte> found = input_.first(size);
  input_ = input_.subspan(size + padding(size));
  return found;
}

std::uint32_t Decoder::count(std::uint32_t max, std::size_t element_size) {
  std::uint32_t value = word();
  if (value > max || value > input_.size() / element_size) ok_ = false;
  return ok_ ? value : 0;
}

bool Decoder::flag() {
  std::uint32_t value = word();
  return ok_ && value != 0;
}

}  // namespace warren::daemon::rpc
