// Packets over a connected stream socket, each behind its length as four bytes in network order: what passt
// and QEMU's `-netdev stream` speak.
//
// There is no virtio header on the stream, so nothing can be left to the other side. That side is not
// believed (class T29): a length that no packet has ends the connection. Packets are gathered both ways, for
// a system call costs more than the copy. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/net/wire.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::net {

class Stream final : public Wire {
 public:
  // Of a frame, without the header of virtio.
  static constexpr std::size_t kShortestFrame = 14, kLongestFrame = kMaximumPacket - kHeaderSize;

  // Throws Error when it is no stream socket.
  Stream(FileDescriptor socket, const std::string& name);

  int descriptor() const noexcept override { return socket_.get(); }
  int output_descriptor() const noexcept override { return output_.get(); }
  bool has_offloads() const noexcept override { return false; }
  bool knows_uso() const noexcept override { return false; }
  bool set_offloads(const Offloads&) noexcept override { return true; }  // none were offered
  bool set_attached(bool) noexcept override { return true; }             // there is one queue

  std::ptrdiff_t receive(std::span<const iovec> buffers) noexcept override;
  std::ptrdiff_t send(std::span<const iovec> packet) noexcept override;
  bool flush() noexcept override;
  bool is_lost() const noexcept override { return failure_ != 0; }

  // Why it is lost: an errno.
  int failure() const noexcept { return failure_; }
  // Both descriptors of another connection. Any thread. Throws Error when it is no stream socket.
  struct Ends {
    FileDescriptor input, output;
  };
  static Ends ends_of(FileDescriptor socket, const std::string& name);
  // Packets go by that one from now on; what was on its way is lost. Nobody waits for the old descriptors any
  // more.
  void reconnect(Ends ends) noexcept;

 private:
  static constexpr std::size_t kLengthSize = 4;
  static constexpr std::size_t kBufferSize = 4 * (kLengthSize + kLongestFrame);

  std::ptrdiff_t lose(int failure) noexcept;
  std::ptrdiff_t deliver(std::span<const iovec> buffers, std::size_t length) noexcept;

  FileDescriptor socket_, output_;
  int failure_ = 0;
  std::vector<std::byte> received_, waiting_;
  std::size_t first_ = 0, filled_ = 0;  // of received_: what was not delivered yet
  std::size_t sent_ = 0, queued_ = 0;   // of waiting_
};

}  // namespace warren::vmm::net
