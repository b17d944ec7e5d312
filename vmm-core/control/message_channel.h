// Lines of text and descriptors over a non-blocking unix stream socket: the framing of the control protocol.
//
// Holds no socket of its own (whoever waits for readiness owns it) and never blocks. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::control {

class MessageChannel {
 public:
  // `socket` is non-blocking and outlives the channel.
  explicit MessageChannel(int socket) : socket_(socket) {}

  // Queues one message (`text` without its newline) and sends what the socket takes. The descriptors are
  // closed once sent. Throws Error when the peer is gone, or when more than kMaximumQueuedBytes wait for it.
  void send(std::string text, std::vector<FileDescriptor> descriptors);
  // Sends more of what waits. Throws Error when the peer is gone.
  void flush();
  bool has_unsent() const noexcept { return !unsent_.empty(); }

  // The lines that are complete now; nothing when the peer has closed its side. Throws Error when the peer is
  // gone, or breaks a limit (line length, descriptors it never said it would send).
  std::optional<std::vector<std::string>> receive();

  // The first `count` descriptors received that no earlier message took. Throws Error when there are fewer.
  std::vector<FileDescriptor> take_descriptors(std::size_t count);

  static constexpr std::size_t kMaximumQueuedBytes = std::size_t{16} << 20;
  static constexpr std::size_t kMaximumWaitingDescriptors = 512;

 private:
  struct Outgoing {
    std::string text;
    std::size_t sent = 0;
    std::vector<FileDescriptor> descriptors;
  };

  // False when the socket takes no more for now.
  bool send_some(Outgoing& message);
  void keep_descriptors(msghdr& header);

  int socket_;
  std::deque<Outgoing> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::string partial_;
  std::deque<FileDescriptor> received_;
};

}  // namespace warren::vmm::control
