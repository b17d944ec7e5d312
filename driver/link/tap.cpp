#include "driver/link/tap.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/tap_queue.h"

namespace warren::driver::link {

namespace {

using vmm::FileDescriptor;

constexpr const char* kPattern = "vnet%d";

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

[[noreturn]] void fail_with_errno(const std::string& name, const std::string& doing) {
  throw system_error(errno, fmt::format("interface {}: cannot {}", name, doing));
}

FileDescriptor open_queue(ifreq& request, const std::string& name, bool vnet_header) {
  FileDescriptor queue(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!queue) throw system_error(errno, "cannot open /dev/net/tun (load the kernel module tun)");
  if (::ioctl(queue.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY) {
      throw Error(VIR_ERR_RESOURCE_BUSY, fmt::format("interface {}: the tap is in use already", name));
    }
    fail_with_errno(name, "make the tap");
  }
  if (vnet_header) set_vnet_header_size(queue, name);
  return queue;
}

// The host's end gets the guest's address with the first byte fe: a bridge takes the lowest address of its
// ports for its own, and must not change it when guests come and go.
config::MacAddress host_address(config::MacAddress mac) {
  mac[0] = 0xfe;
  return mac;
}

void join_bridge(const TapSettings& settings, const std::string& name) {
  add_port(settings.bridge, name);
  PortFlags flags = settings.port;
  if (settings.fixed_address) flags.learning = flags.unicast_flood = false;
  set_port_flags(name, flags);
  if (settings.fixed_address && settings.guest_mac) add_static_address(name, *settings.guest_mac);
  if (settings.vlan) set_port_vlans(name, *settings.vlan);
}

}  // namespace

Tap open_tap(const TapSettings& settings) {
  const std::string wanted = settings.name.empty() ? kPattern : settings.name;
  ifreq request = request_for(wanted);
  if (!settings.ours && !exists(settings.name)) {
    throw Error(
        VIR_ERR_SYSTEM_ERROR,
        fmt::format("interface '{}' does not exist, and <target managed='no'/> leaves making it to you "
                    "(ip tuntap add {} mode tap)",
                    settings.name, settings.name));
  }
  request.ifr_flags = queue_flags(settings.queues, settings.vnet_header);
  Tap tap;
  for (std::uint32_t i = 0; i < settings.queues; ++i) {
    // The first one has the kernel fill in the number; the others are of that name.
    tap.queues.push_back(open_queue(request, wanted, settings.vnet_header));
    tap.name = std::string(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
  }
  if (settings.ours && settings.guest_mac) set_mac(tap.name, host_address(*settings.guest_mac));
  if (settings.ours && settings.mtu) set_mtu(tap.name, *settings.mtu);
  if (!settings.bridge.empty()) join_bridge(settings, tap.name);
  if (settings.ours && settings.up) set_up(tap.name);
  return tap;
}

bool plug_tap(const TapSettings& settings) {
  if (settings.bridge.empty()) return false;
  const std::optional<Link> bridge = find_link(settings.bridge);
  if (bridge && require_link(settings.name).master == bridge->index) return false;
  join_bridge(settings, settings.name);
  return true;
}

}  // namespace warren::driver::link
