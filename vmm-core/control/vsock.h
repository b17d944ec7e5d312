// Connections that a guest's sockets want to the host, which a worker cannot make: it asks the daemon.
//
// Event of the control protocol (protocol.h): vsock_connection_wanted(VsockConnectionWanted). Command:
// answer_vsock(AnswerVsock), with one descriptor, the connected unix socket of the type asked for, or none
// when the host refuses. Each question is answered once; one that is not is given up after a while.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <boost/describe/class.hpp>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::control {

struct VsockConnectionWanted {
  std::string id;                      // of the device
  std::uint32_t request = 0;           // the question, for the answer
  std::uint32_t port = 0;              // of the host
  std::optional<bool> seqpacket = {};  // SOCK_SEQPACKET rather than SOCK_STREAM; said only then
};
BOOST_DESCRIBE_STRUCT(VsockConnectionWanted, (), (id, request, port, seqpacket))

struct AnswerVsock {
  std::string id;
  std::uint32_t request = 0;
};
BOOST_DESCRIBE_STRUCT(AnswerVsock, (), (id, request))

// As Commands (server.h). An answer to what nobody asks any more is fine.
class VsockCommands {
 public:
  virtual void answer_vsock(const AnswerVsock& answer, FileDescriptor socket) = 0;

 protected:
  ~VsockCommands() = default;
};

}  // namespace warren::vmm::control
