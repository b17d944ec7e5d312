// What is behind one pair of a network device's queues when the worker moves the packets: a queue of a tap,
// or a stream to a program. Whole packets, each with a virtio-net header in front.
#pragma once

#include <cstddef>
#include <span>

#include <sys/uio.h>

namespace warren::vmm::net {

class Wire {
 public:
  static constexpr std::size_t kHeaderSize = 12;  // virtio_net_hdr_v1
  // The longest packet there is: a segmentation offload's 64 KiB with its Ethernet and virtio headers.
  static constexpr std::size_t kMaximumPacket = kHeaderSize + 65535 + 18;

  struct Offloads {
    bool checksum = false;  // the guest takes packets with partial checksums
    bool tso4 = false, tso6 = false, ecn = false;
    bool uso4 = false, uso6 = false;
  };

  virtual ~Wire() = default;

  virtual int descriptor() const noexcept = 0;
  // Another descriptor of the same file, to be waited for by somebody else.
  virtual int output_descriptor() const noexcept = 0;

  // Whether checksums and segments can be left to the other side; UDP segments too.
  virtual bool has_offloads() const noexcept = 0;
  virtual bool knows_uso() const noexcept = 0;
  // What may be left to the guest. False when that cannot be.
  virtual bool set_offloads(const Offloads& offloads) noexcept = 0;
  // Whether packets come to this queue, of several.
  virtual bool set_attached(bool attached) noexcept = 0;

  // One packet. Both return its size, or a negative errno (EAGAIN: nothing there, no room). What of a packet
  // does not fit is lost. One that was sent may wait here for flush().
  virtual std::ptrdiff_t receive(std::span<const iovec> buffers) noexcept = 0;
  virtual std::ptrdiff_t send(std::span<const iovec> packet) noexcept = 0;
  // False when something still waits: again when there is room for output.
  virtual bool flush() noexcept = 0;
  // Nothing will come or go any more.
  virtual bool is_lost() const noexcept = 0;
};

}  // namespace warren::vmm::net
