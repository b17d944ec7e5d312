// One queue of a tap interface, as the daemon opened it (Linux Documentation/networking/tuntap.rst): whole
// packets, each with a virtio-net header in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <sys/uio.h>

#include "vmm-core/net/wire.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::net {

class Tap final : public Wire {
 public:
  // Makes the descriptor non-blocking, sets the header size and leaves nothing to the guest. Throws Error
  // when it is no tap with IFF_VNET_HDR.
  Tap(FileDescriptor descriptor, const std::string& name);

  int descriptor() const noexcept override { return descriptor_.get(); }
  int output_descriptor() const noexcept override { return output_descriptor_.get(); }

  bool has_offloads() const noexcept override { return true; }
  // Linux 6.2 does.
  bool knows_uso() const noexcept override { return knows_uso_; }
  // Neither asks the kernel, which holds a lock of the whole network meanwhile, for what is so already.
  bool set_offloads(const Offloads& offloads) noexcept override;
  bool set_attached(bool attached) noexcept override;

  std::ptrdiff_t receive(std::span<const iovec> buffers) noexcept override;
  std::ptrdiff_t send(std::span<const iovec> packet) noexcept override;
  bool flush() noexcept override { return true; }           // nothing waits here
  bool is_lost() const noexcept override { return false; }  // of one that is gone nothing comes

 private:
  FileDescriptor descriptor_;
  FileDescriptor output_descriptor_;
  bool knows_uso_ = false;
  // As the kernel was told last; unknown at first.
  std::optional<unsigned long> offloads_;
  std::optional<bool> is_attached_;
};

}  // namespace warren::vmm::net
