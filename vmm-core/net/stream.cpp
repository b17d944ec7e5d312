#include "vmm-core/net/stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <endian.h>
#include <sys/socket.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::net {

Stream::Stream(FileDescriptor socket, const std::string& name)
    : received_(kBufferSize), waiting_(kBufferSize) {
  reconnect(ends_of(std::move(socket), name));
}

Stream::Ends Stream::ends_of(FileDescriptor socket, const std::string& name) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) throw_errno(name + ": stream");
  if (type != SOCK_STREAM) throw Error(std::errc::invalid_argument, name + ": not a stream socket");
  FileDescriptor output = socket.duplicate();
  return {std::move(socket), std::move(output)};
}

void Stream::reconnect(Ends ends) noexcept {
  socket_ = std::move(ends.input);
  output_ = std::move(ends.output);
  failure_ = 0;
  first_ = filled_ = sent_ = queued_ = 0;
}

std::ptrdiff_t Stream::lose(int failure) noexcept {
  failure_ = failure;
  first_ = filled_ = sent_ = queued_ = 0;
  return -failure;
}

std::ptrdiff_t Stream::receive(std::span<const iovec> buffers) noexcept {
  if (is_lost()) return -failure_;
  for (bool is_empty = false;;) {
    const std::size_t there = filled_ - first_;
    if (there >= kLengthSize) {
      std::uint32_t length = 0;
      std::memcpy(&length, received_.data() + first_, sizeof(length));
      length = be32toh(length);
      if (length < kShortestFrame || length > kLongestFrame) return lose(EBADMSG);
      if (there >= kLengthSize + length) return deliver(buffers, length);
    }
    if (is_empty) return -EAGAIN;
    if (first_ == filled_) {
      first_ = filled_ = 0;
    } else if (received_.size() - first_ < kLengthSize + kLongestFrame) {
      std::memmove(received_.data(), received_.data() + first_, there);
      first_ = 0;
      filled_ = there;
    }
    const std::size_t room = received_.size() - filled_;
    const ssize_t got = ::recv(socket_.get(), received_.data() + filled_, room, MSG_DONTWAIT);
    if (got == 0) return lose(ECONNRESET);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? -EAGAIN : lose(errno);
    filled_ += static_cast<std::size_t>(got);
    is_empty = static_cast<std::size_t>(got) < room;
  }
}

std::ptrdiff_t Stream::deliver(std::span<const iovec> buffers, std::size_t length) noexcept {
  static constexpr std::byte kHeader[kHeaderSize] = {};  // there is nothing to say of the packet
  std::span<const std::byte> parts[] = {kHeader, std::span(received_).subspan(first_ + kLengthSize, length)};
  auto* part = &parts[0];
  for (const iovec& buffer : buffers) {
    auto* to = static_cast<std::byte*>(buffer.iov_base);
    for (std::size_t left = buffer.iov_len; left != 0 && part != std::end(parts);) {
      const std::size_t piece = std::min(left, part->size());
      if (piece != 0) std::memcpy(to, part->data(), piece);
      to += piece;
      left -= piece;
      *part = part->subspan(piece);
      if (part->empty()) ++part;
    }
  }
  first_ += kLengthSize + length;
  return static_cast<std::ptrdiff_t>(kHeaderSize + length);
}

std::ptrdiff_t Stream::send(std::span<const iovec> packet) noexcept {
  if (is_lost()) return -failure_;
  std::size_t size = 0;
  for (const iovec& part : packet) size += part.iov_len;
  if (size < kHeaderSize + kShortestFrame || size > kMaximumPacket) return -EMSGSIZE;
  const std::size_t length = size - kHeaderSize;
  if (waiting_.size() - queued_ < kLengthSize + length && !flush()) {
    std::memmove(waiting_.data(), waiting_.data() + sent_, queued_ - sent_);
    queued_ -= sent_;
    sent_ = 0;
    if (waiting_.size() - queued_ < kLengthSize + length) return -EAGAIN;
  }
  if (is_lost()) return -failure_;
  const std::uint32_t prefix = htobe32(static_cast<std::uint32_t>(length));
  std::memcpy(waiting_.data() + queued_, &prefix, sizeof(prefix));
  queued_ += kLengthSize;
  std::size_t skip = kHeaderSize;
  for (const iovec& part : packet) {
    const std::size_t skipped = std::min(skip, part.iov_len), piece = part.iov_len - skipped;
    skip -= skipped;
    if (piece == 0) continue;
    std::memcpy(waiting_.data() + queued_, static_cast<const std::byte*>(part.iov_base) + skipped, piece);
    queued_ += piece;
  }
  return static_cast<std::ptrdiff_t>(size);
}

bool Stream::flush() noexcept {
  while (sent_ < queued_) {
    const ssize_t sent =
        ::send(output_.get(), waiting_.data() + sent_, queued_ - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {
      lose(errno);
    }
  }
  sent_ = queued_ = 0;
  return true;
}

}  // namespace warren::vmm::net
