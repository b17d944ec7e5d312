#include "vmm-core/virtio/vhost/user_channel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio::vhost {

using Clock = std::chrono::steady_clock;

UserChannel::UserChannel(FileDescriptor socket) : socket_(std::move(socket)), deadline_(Clock::now()) {
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    throw_errno("vhost-user: make the socket non-blocking");
}

void UserChannel::allow(std::chrono::milliseconds time) noexcept {
  deadline_ = Clock::now() + time;
}

int UserChannel::give_up(int error) noexcept {
  if (failure_ == 0) failure_ = error;
  socket_ = FileDescriptor();
  return failure_;
}

int UserChannel::wait_for(short events) noexcept {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) return give_up(ETIMEDOUT);
    pollfd socket{.fd = socket_.get(), .events = events, .revents = 0};
    const int ready = ::poll(&socket, 1, static_cast<int>(left.count()));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return give_up(errno);
  }
}

int UserChannel::send(UserRequest request, std::span<const std::byte> payload, bool needs_reply,
                      std::span<const int> descriptors) noexcept {
  if (failure_ != 0) return failure_;
  if (payload.size() > kUserPayloadMaximum || descriptors.size() > kUserMemoryRegions) return EMSGSIZE;
  const UserHeader header{.request = static_cast<std::uint32_t>(request),
                          .flags = kUserVersion | (needs_reply ? kUserNeedsReply : 0),
                          .size = static_cast<std::uint32_t>(payload.size())};
  std::array<std::byte, sizeof(header) + kUserPayloadMaximum> bytes;
  std::memcpy(bytes.data(), &header, sizeof(header));
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof(header), payload.data(), payload.size());

  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kUserMemoryRegions * sizeof(int))> control{};
  const std::size_t whole = sizeof(header) + payload.size();
  for (std::size_t sent = 0; sent < whole;) {
    iovec rest{.iov_base = bytes.data() + sent, .iov_len = whole - sent};
    msghdr message{};
    message.msg_iov = &rest;
    message.msg_iovlen = 1;
    // With the first byte, and never again.
    if (sent == 0 && !descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EAGAIN) {
      if (const int failed = wait_for(POLLOUT); failed != 0) return failed;
    } else if (count == 0 || errno != EINTR) {
      return give_up(count == 0 || errno == EPIPE ? ECONNRESET : errno);
    }
  }
  return 0;
}

int UserChannel::read_whole(std::span<std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    // The deadline holds for one that sends byte by byte, too.
    if (const int failed = wait_for(POLLIN); failed != 0) return failed;
    // Without room for control messages: the kernel closes what descriptors come along.
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (count == 0) {
      return give_up(ECONNRESET);
    } else if (errno != EINTR && errno != EAGAIN) {
      return give_up(errno);
    }
  }
  return 0;
}

int UserChannel::receive(UserRequest request, std::span<std::byte> payload) noexcept {
  if (failure_ != 0) return failure_;
  UserHeader header{};
  if (const int failed = read_whole(std::as_writable_bytes(std::span(&header, 1))); failed != 0)
    return failed;
  const bool is_reply = (header.flags & kUserVersionMask) == kUserVersion && (header.flags & kUserReply) != 0;
  if (header.request != static_cast<std::uint32_t>(request) || !is_reply || header.size != payload.size())
    return give_up(EPROTO);
  return read_whole(payload);
}

int UserChannel::look() noexcept {
  if (failure_ != 0) return failure_;
  std::byte next{};
  const ssize_t count = ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count < 0) return give_up(errno);
  return give_up(count == 0 ? ECONNRESET : EPROTO);
}

}  // namespace warren::vmm::virtio::vhost
