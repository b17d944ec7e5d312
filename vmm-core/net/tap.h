// One queue of a tap interface, as the daemon opened it (Linux Documentation/networking/tuntap.rst): whole
// packets, each with a virtio-net header in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <sys/uio.h>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::net {

class Tap {
 public:
  static constexpr std::size_t kHeaderSize = 12;  // virtio_net_hdr_v1
  // The longest packet the kernel hands over: a segmentation offload's 64 KiB with its Ethernet and virtio
  // headers.
  static constexpr std::size_t kMaximumPacket = kHeaderSize + 65535 + 18;

  struct Offloads {
    bool checksum = false;  // the guest takes packets with partial checksums
    bool tso4 = false, tso6 = false, ecn = false;
    bool uso4 = false, uso6 = false;
  };

  // Makes the descriptor non-blocking, sets the header size and leaves nothing to the guest. Throws Error
  // when it is no tap with IFF_VNET_HDR.
  Tap(FileDescriptor descriptor, const std::string& name);

  int descriptor() const noexcept { return descriptor_.get(); }
  // Another descriptor of the same queue, to be waited for by somebody else.
  int output_descriptor() const noexcept { return output_descriptor_.get(); }

  // Whether the kernel knows UDP segmentation offload (Linux 6.2).
  bool knows_uso() const noexcept { return knows_uso_; }
  // What the kernel may leave to the guest. False when it refuses. Neither asks the kernel, which holds a
  // lock of the whole network meanwhile, for what is so already.
  bool set_offloads(const Offloads& offloads) noexcept;
  // Whether the kernel sends packets to this queue of a multi-queue tap.
  bool set_attached(bool attached) noexcept;

  // One packet. Both return its size, or a negative errno (EAGAIN: nothing there, no room). What of a packet
  // does not fit is lost.
  std::ptrdiff_t receive(std::span<const iovec> buffers) noexcept;
  std::ptrdiff_t send(std::span<const iovec> packet) noexcept;

 private:
  FileDescriptor descriptor_;
  FileDescriptor output_descriptor_;
  bool knows_uso_ = false;
  // As the kernel was told last; unknown at first.
  std::optional<unsigned long> offloads_;
  std::optional<bool> is_attached_;
};

}  // namespace warren::vmm::net
