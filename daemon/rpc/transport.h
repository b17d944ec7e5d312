// What a session needs of the connection below it: a unix socket, TLS, or a test's memory.
//
// Called on the loop thread only. Nothing here throws; a connection that fails closes itself and tells its
// session.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon::rpc {

class Transport {
 public:
  virtual ~Transport() = default;

  // Sends one whole frame, now if the peer takes it and else when it does; then each descriptor by a message
  // of its own. Takes a copy of what could not be sent at once.
  virtual void send(std::span<const std::byte> frame, std::vector<vmm::FileDescriptor> descriptors) = 0;
  // Bytes accepted by send() that the peer has not taken yet.
  virtual std::size_t backlog() const = 0;
  // Session::accepting() may have become true: go on reading.
  virtual void resume() = 0;
  // Closes once everything accepted has been sent, or after a while if the peer does not read.
  virtual void close_when_sent() = 0;
  // Closes now; `reason` goes to the log.
  virtual void abort(std::string_view reason) = 0;
};

}  // namespace warren::daemon::rpc
