#include "driver/domain/tap.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

using vmm::FileDescriptor;

// An ifreq for `name`; ioctls on interfaces are netdevice(7).
ifreq request_for(const std::string& name) {
  if (name.size() >= IFNAMSIZ) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("interface name '{}' is longer than {} characters", name, IFNAMSIZ - 1));
  }
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  return request;
}

[[noreturn]] void fail(const std::string& name, const std::string& doing) {
  throw system_error(errno, fmt::format("interface {}: cannot {}", name, doing));
}

FileDescriptor open_queue(ifreq& request, const std::string& name) {
  FileDescriptor queue(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!queue) throw system_error(errno, "cannot open /dev/net/tun (load the kernel module tun)");
  if (::ioctl(queue.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY) {
      throw Error(VIR_ERR_RESOURCE_BUSY, fmt::format("interface {}: the tap is in use already", name));
    }
    fail(name, "make the tap");
  }
  // The header of virtio 1.x has num_buffers always: 12 bytes (virtio 1.2 §5.1.6).
  int header_size = 12;
  if (::ioctl(queue.get(), TUNSETVNETHDRSZ, &header_size) != 0) fail(name, "set the tap's header size");
  return queue;
}

void set_mtu(const FileDescriptor& socket, const std::string& name, std::uint32_t mtu) {
  ifreq request = request_for(name);
  request.ifr_mtu = static_cast<int>(mtu);
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) fail(name, fmt::format("set the MTU to {}", mtu));
}

// The host's end gets the guest's address with the first byte fe: a bridge takes the lowest address of its
// ports for its own, and must not change it when guests come and go.
void set_address(const FileDescriptor& socket, const std::string& name, const config::MacAddress& mac) {
  ifreq request = request_for(name);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
  request.ifr_hwaddr.sa_data[0] = static_cast<char>(0xfe);
  if (::ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0) fail(name, "set the tap's address");
}

void join_bridge(const FileDescriptor& socket, const std::string& name, const std::string& bridge) {
  ifreq request = request_for(bridge);
  if (::ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) {
    throw Error(
        VIR_ERR_SYSTEM_ERROR,
        fmt::format("interface {}: there is no bridge '{}'; make it (ip link add {} type bridge) or name "
                    "another in <source bridge=…/>",
                    name, bridge, bridge));
  }
  ifreq port = request_for(name);
  if (::ioctl(socket.get(), SIOCGIFINDEX, &port) != 0) fail(name, "get the tap's index");
  request = request_for(bridge);
  request.ifr_ifindex = port.ifr_ifindex;
  if (::ioctl(socket.get(), SIOCBRADDIF, &request) != 0)
    fail(name, fmt::format("put it into bridge '{}'", bridge));
}

void bring_up(const FileDescriptor& socket, const std::string& name) {
  ifreq request = request_for(name);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) fail(name, "get the tap's flags");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) fail(name, "bring the tap up");
}

}  // namespace

Tap open_tap(const config::Interface& interface) {
  const bool ours = interface.target_managed.value_or(true);
  std::uint32_t queues = interface.driver.queues.value_or(1);
  ifreq request = request_for(interface.target.empty() ? "vnet%d" : interface.target);
  if (!ours && ::if_nametoindex(interface.target.c_str()) == 0) {
    throw Error(
        VIR_ERR_SYSTEM_ERROR,
        fmt::format("interface '{}' does not exist, and <target managed='no'/> leaves making it to you "
                    "(ip tuntap add {} mode tap)",
                    interface.target, interface.target));
  }
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
  Tap tap;
  tap.name = interface.target;
  for (std::uint32_t i = 0; i < queues; ++i) {
    tap.queues.push_back(open_queue(request, interface.target.empty() ? "vnet%d" : interface.target));
    tap.name = std::string(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
  }
  FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) throw system_error(errno, "make a socket for interface settings");
  if (ours) {
    if (interface.mac) set_address(socket, tap.name, *interface.mac);
    if (interface.mtu) set_mtu(socket, tap.name, *interface.mtu);
  }
  if (interface.type == config::InterfaceType::bridge) join_bridge(socket, tap.name, interface.source_bridge);
  if (ours) bring_up(socket, tap.name);
  return tap;
}

}  // namespace warren::driver::domain
