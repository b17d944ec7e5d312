#include "driver/link/tap_queue.h"

#include <cerrno>

#include <fmt/format.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "driver/contract/error.h"

namespace warren::driver::link {

short queue_flags(std::uint32_t queues, bool vnet_header) {
  return static_cast<short>(IFF_TAP | IFF_NO_PI | (vnet_header ? IFF_VNET_HDR : 0) |
                            (queues > 1 ? IFF_MULTI_QUEUE : 0));
}

void set_vnet_header_size(const vmm::FileDescriptor& queue, const std::string& name) {
  // With num_buffers always (virtio 1.2 §5.1.6).
  int header_size = 12;
  if (::ioctl(queue.get(), TUNSETVNETHDRSZ, &header_size) != 0)
    throw system_error(errno, fmt::format("interface {}: cannot set the tap's header size", name));
}

}  // namespace warren::driver::link
