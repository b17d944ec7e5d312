#include "vmm-core/net/tap.h"

#include <cerrno>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::net {

Tap::Tap(FileDescriptor descriptor, const std::string& name)
    : descriptor_(std::move(descriptor)), output_descriptor_(descriptor_.duplicate()) {
  const int flags = ::fcntl(descriptor_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(descriptor_.get(), F_SETFL, flags | O_NONBLOCK) != 0) throw_errno(name + ": tap");
  int size = kHeaderSize;
  if (::ioctl(descriptor_.get(), TUNSETVNETHDRSZ, &size) != 0)
    throw_errno(name + ": tap without IFF_VNET_HDR");
}

bool Tap::set_offloads(const Offloads& offloads) noexcept {
  unsigned long flags = 0;
  if (offloads.checksum) {
    flags |= TUN_F_CSUM;
    if (offloads.tso4) flags |= TUN_F_TSO4;
    if (offloads.tso6) flags |= TUN_F_TSO6;
    if (offloads.ecn && (offloads.tso4 || offloads.tso6)) flags |= TUN_F_TSO_ECN;
  }
  return ::ioctl(descriptor_.get(), TUNSETOFFLOAD, flags) == 0;
}

bool Tap::set_attached(bool attached) noexcept {
  ifreq request{};
  request.ifr_flags = static_cast<short>(attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  // EINVAL: it is as it should be already.
  return ::ioctl(descriptor_.get(), TUNSETQUEUE, &request) == 0 || errno == EINVAL;
}

std::ptrdiff_t Tap::receive(std::span<std::byte> buffer) noexcept {
  const ssize_t got = ::read(descriptor_.get(), buffer.data(), buffer.size());
  return got >= 0 ? got : -errno;
}

std::ptrdiff_t Tap::send(std::span<const iovec> packet) noexcept {
  const ssize_t sent = ::writev(descriptor_.get(), packet.data(), static_cast<int>(packet.size()));
  return sent >= 0 ? sent : -errno;
}

}  // namespace warren::vmm::net
