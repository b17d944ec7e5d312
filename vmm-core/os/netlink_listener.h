// A socket that hears what a part of the kernel tells everybody who listens (netlink(7)): of links, of the
// packet filter.
//
// One thread at a time; of the network name space of the thread that opens it. Failures are errno values.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <initializer_list>
#include <span>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

class NetlinkListener {
 public:
  // `protocol` is NETLINK_ROUTE or the like, `groups` its multicast groups by number.
  static std::expected<NetlinkListener, int> open(int protocol, std::initializer_list<int> groups);

  int descriptor() const noexcept { return socket_.get(); }  // readable: read() has something
  // How much the kernel keeps for a reader that is late; without CAP_NET_ADMIN it stays as it was.
  void keep_bytes(int bytes) noexcept;

  // Calls `take` with each datagram of the kernel, aligned for nlmsghdr, and `lost` where it could not keep
  // up and has thrown some away. Never blocks; a storm ends it after some of it.
  std::expected<void, int> read(const std::function<void(std::span<const std::uint8_t>)>& take,
                                const std::function<void()>& lost);

 private:
  explicit NetlinkListener(FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

  FileDescriptor socket_;
};

}  // namespace warren::vmm
