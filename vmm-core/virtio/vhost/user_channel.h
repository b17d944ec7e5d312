// The connection to a vhost-user back end: one message at a time, with an end to all waiting.
//
// The back end is not believed: a reply has the number and the length that were asked for, and comes in time,
// or the connection is over. Then every later call fails at once with the same errno. Descriptors that a back
// end sends are never taken. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/vhost/user_messages.h"

namespace warren::vmm::virtio::vhost {

class UserChannel {
 public:
  // A connected unix stream socket. Throws Error.
  explicit UserChannel(FileDescriptor socket);

  // All calls that follow, together, have this much time; before the first there is none.
  void allow(std::chrono::milliseconds time) noexcept;

  // Each returns 0, or an errno: ETIMEDOUT for a back end that is late, ECONNRESET for one that is gone,
  // EPROTO for one that does not keep to the protocol.
  [[nodiscard]] int send(UserRequest request, std::span<const std::byte> payload, bool needs_reply = false,
                         std::span<const int> descriptors = {}) noexcept;
  // The reply to a request, which has exactly as many bytes.
  [[nodiscard]] int receive(UserRequest request, std::span<std::byte> payload) noexcept;

  // What a descriptor that has something to say without being asked means: 0 when nothing.
  [[nodiscard]] int look() noexcept;

  // Ends the connection for this reason; returns it, or the one it had ended for already.
  int give_up(int error) noexcept;
  // 0, or what the connection has ended for.
  int failure() const noexcept { return failure_; }
  // -1 when it has ended.
  int descriptor() const noexcept { return socket_.get(); }

 private:
  int wait_for(short events) noexcept;
  int read_whole(std::span<std::byte> bytes) noexcept;

  FileDescriptor socket_;
  std::chrono::steady_clock::time_point deadline_;
  int failure_ = 0;
};

}  // namespace warren::vmm::virtio::vhost
