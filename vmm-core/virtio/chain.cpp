#include "vmm-core/virtio/chain.h"

#include <algorithm>

#include "vmm-core/memory/guest_bytes.h"

namespace warren::vmm::virtio {

std::uint64_t Reader::left() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& range : ranges_) sum += range.iov_len;
  return sum - offset_;
}

bool Reader::read(std::span<std::byte> destination) noexcept {
  if (left() < destination.size()) return false;
  while (!destination.empty()) {
    const iovec& range = ranges_.front();
    const std::size_t piece = std::min(destination.size(), range.iov_len - offset_);
    copy_guest_bytes(destination.data(), static_cast<const std::byte*>(range.iov_base) + offset_, piece);
    destination = destination.subspan(piece);
    offset_ += piece;
    if (offset_ == range.iov_len) {
      ranges_ = ranges_.subspan(1);
      offset_ = 0;
    }
  }
  return true;
}

bool Reader::skip(std::uint64_t bytes) noexcept {
  if (left() < bytes) return false;
  while (bytes != 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(bytes, ranges_.front().iov_len - offset_);
    bytes -= piece;
    offset_ += static_cast<std::size_t>(piece);
    if (offset_ == ranges_.front().iov_len) {
      ranges_ = ranges_.subspan(1);
      offset_ = 0;
    }
  }
  return true;
}

bool Reader::rest(std::span<iovec> out, std::uint64_t most, std::size_t& count) const noexcept {
  count = 0;
  std::size_t skip = offset_;
  for (const auto& range : ranges_) {
    if (most == 0) break;
    if (count == out.size()) return false;
    const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(most, range.iov_len - skip));
    out[count++] = {static_cast<std::byte*>(range.iov_base) + skip, piece};
    most -= piece;
    skip = 0;
  }
  return true;
}

std::size_t Writer::write(std::span<const std::byte> source) noexcept {
  const std::size_t wanted = source.size();
  while (!source.empty() && !ranges_.empty()) {
    const iovec& range = ranges_.front();
    const std::size_t piece = std::min(source.size(), range.iov_len - offset_);
    copy_guest_bytes(static_cast<std::byte*>(range.iov_base) + offset_, source.data(), piece);
    source = source.subspan(piece);
    offset_ += piece;
    if (offset_ == range.iov_len) {
      ranges_ = ranges_.subspan(1);
      offset_ = 0;
    }
  }
  const std::size_t done = wanted - source.size();
  written_ += done;
  return done;
}

bool put_byte(std::span<const iovec> ranges, std::uint64_t offset, std::byte value) noexcept {
  for (const auto& range : ranges) {
    if (offset < range.iov_len) {
      copy_guest_bytes(static_cast<std::byte*>(range.iov_base) + offset, &value, 1);
      return true;
    }
    offset -= range.iov_len;
  }
  return false;
}

}  // namespace warren::vmm::virtio
