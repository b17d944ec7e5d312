#include "vmm-core/os/netlink_listener.h"

#include <array>
#include <cerrno>

#include <linux/netlink.h>
#include <sys/socket.h>

namespace warren::vmm {

namespace {

constexpr std::size_t kLargestDatagram =
    64 * 1024;                        // NLMSG_GOODSIZE is 8 KiB at most; one object may be more
constexpr int kMostDatagrams = 1000;  // at a time

}  // namespace

std::expected<NetlinkListener, int> NetlinkListener::open(int protocol, std::initializer_list<int> groups) {
  FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!socket) return std::unexpected(errno);
  sockaddr_nl address{.nl_family = AF_NETLINK};
  // bind(2) takes every kind of address as a sockaddr.
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(errno);
  for (const int group : groups)
    if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return std::unexpected(errno);
  return NetlinkListener(std::move(socket));
}

void NetlinkListener::keep_bytes(int bytes) noexcept {
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
}

std::expected<void, int> NetlinkListener::read(const std::function<void(std::span<const std::uint8_t>)>& take,
                                               const std::function<void()>& lost) {
  alignas(nlmsghdr) std::array<std::uint8_t, kLargestDatagram> bytes;
  for (int datagram = 0; datagram < kMostDatagrams; ++datagram) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof sender;
    const ssize_t count = ::recvfrom(socket_.get(), bytes.data(), bytes.size(), 0,
                                     reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == ENOBUFS) {
      lost();
      continue;
    }
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count < 0) return std::unexpected(errno);
    if (sender.nl_pid != 0) continue;  // not the kernel
    take(std::span(bytes).first(static_cast<std::size_t>(count)));
  }
  return {};
}

}  // namespace warren::vmm
