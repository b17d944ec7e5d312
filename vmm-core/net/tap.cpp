#include "vmm-core/net/tap.h"

#include <cerrno>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::net {
namespace {

// Of Linux 6.2; the build's headers may be older.
constexpr unsigned long kUso4 = 0x20, kUso6 = 0x40;

}  // namespace

Tap::Tap(FileDescriptor descriptor, const std::string& name)
    : descriptor_(std::move(descriptor)), output_descriptor_(descriptor_.duplicate()) {
  const int flags = ::fcntl(descriptor_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(descriptor_.get(), F_SETFL, flags | O_NONBLOCK) != 0) throw_errno(name + ": tap");
  int size = kHeaderSize;
  if (::ioctl(descriptor_.get(), TUNSETVNETHDRSZ, &size) != 0)
    throw_errno(name + ": tap without IFF_VNET_HDR");
  knows_uso_ = ::ioctl(descriptor_.get(), TUNSETOFFLOAD, TUN_F_CSUM | kUso4 | kUso6) == 0;
  set_offloads({});
}

bool Tap::set_offloads(const Offloads& offloads) noexcept {
  unsigned long flags = 0;
  if (offloads.checksum) {
    flags |= TUN_F_CSUM;
    if (offloads.tso4) flags |= TUN_F_TSO4;
    if (offloads.tso6) flags |= TUN_F_TSO6;
    if (offloads.ecn && (offloads.tso4 || offloads.tso6)) flags |= TUN_F_TSO_ECN;
    // The kernel has both or none; a packet that is not left to the guest arrives in segments.
    if (knows_uso_ && offloads.uso4 && offloads.uso6) flags |= kUso4 | kUso6;
  }
  if (offloads_ == flags) return true;
  offloads_.reset();
  if (::ioctl(descriptor_.get(), TUNSETOFFLOAD, flags) != 0) return false;
  offloads_ = flags;
  return true;
}

bool Tap::set_attached(bool attached) noexcept {
  if (is_attached_ == attached) return true;
  is_attached_.reset();
  ifreq request{};
  request.ifr_flags = static_cast<short>(attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  // EINVAL: it is as it should be already.
  if (::ioctl(descriptor_.get(), TUNSETQUEUE, &request) != 0 && errno != EINVAL) return false;
  is_attached_ = attached;
  return true;
}

std::ptrdiff_t Tap::receive(std::span<const iovec> buffers) noexcept {
  const ssize_t got = ::readv(descriptor_.get(), buffers.data(), static_cast<int>(buffers.size()));
  return got >= 0 ? got : -errno;
}

std::ptrdiff_t Tap::send(std::span<const iovec> packet) noexcept {
  const ssize_t sent = ::writev(descriptor_.get(), packet.data(), static_cast<int>(packet.size()));
  return sent >= 0 ? sent : -errno;
}

}  // namespace warren::vmm::net
