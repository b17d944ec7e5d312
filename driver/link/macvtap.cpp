#include "driver/link/macvtap.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"
#include "driver/link/tap_queue.h"

namespace warren::driver::link {

namespace {

using vmm::FileDescriptor;

constexpr std::chrono::milliseconds kNodePause{5};
constexpr std::chrono::seconds kNodeDeadline{5};  // of udev, on a host that starts many guests at once

std::uint32_t kernel_mode(config::MacvtapMode mode) {
  switch (mode) {
    case config::MacvtapMode::vepa:
      return MACVLAN_MODE_VEPA;
    case config::MacvtapMode::private_:
      return MACVLAN_MODE_PRIVATE;
    case config::MacvtapMode::bridge:
      return MACVLAN_MODE_BRIDGE;
    case config::MacvtapMode::passthrough:
      return MACVLAN_MODE_PASSTHRU;
  }
  return MACVLAN_MODE_VEPA;
}

// False: there is a link of that name.
bool create(const std::string& name, const Link& device, const MacvtapSettings& settings) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  message.put(IFLA_IFNAME, name);
  message.put(IFLA_LINK, device.index);
  message.put_object(IFLA_ADDRESS, settings.guest_mac);
  message.nest(IFLA_LINKINFO, [&] {
    message.put(IFLA_INFO_KIND, std::string("macvtap"));
    message.nest(IFLA_INFO_DATA, [&] { message.put(IFLA_MACVLAN_MODE, kernel_mode(settings.mode)); });
  });
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error == 0) return true;
  if (result.error == EEXIST) return false;
  if (result.error == EBUSY || result.error == EINVAL)
    throw Error(
        VIR_ERR_RESOURCE_BUSY,
        fmt::format("macvtap {}: device '{}' is in use already (by a bridge, or in another mode); see "
                    "'ip -d link show {}'",
                    name, device.name, device.name));
  if (result.error == EOPNOTSUPP)
    throw operation_unsupported(fmt::format(
        "macvtap {}: this kernel has no macvtaps; load its module macvtap (modprobe macvtap)", name));
  fail(result, fmt::format("macvtap {}: cannot make it on device '{}'", name, device.name));
}

// The kernel passes a macvtap only what is for groups that its own end is in, and knows nothing of the
// guest's: by these its neighbours find it (RFC 4861 §7.2.1). The guest chooses for itself.
void hear_every_group(const Link& link) {
  const Message message(
      RTM_NEWLINK, 0,
      ifinfomsg{.ifi_index = link.index, .ifi_flags = IFF_ALLMULTI, .ifi_change = IFF_ALLMULTI});
  Netlink().send(message, fmt::format("macvtap {}: cannot have it hear all multicast", link.name));
}

// The node is made by devtmpfs at once; what udev adds to it (its owner, SELinux) may come later.
FileDescriptor open_node(const std::string& path, const std::string& name) {
  const auto deadline = std::chrono::steady_clock::now() + kNodeDeadline;
  for (;;) {
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (file) return file;
    if (errno != ENOENT || std::chrono::steady_clock::now() >= deadline)
      throw system_error(errno, fmt::format("macvtap {}: cannot open {}", name, path));
    std::this_thread::sleep_for(kNodePause);
  }
}

FileDescriptor open_queue(const std::string& path, const std::string& name, const MacvtapSettings& settings) {
  FileDescriptor queue = open_node(path, name);
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  request.ifr_flags = queue_flags(settings.queues, settings.vnet_header);
  if (::ioctl(queue.get(), TUNSETIFF, &request) != 0)
    throw system_error(errno, fmt::format("macvtap {}: cannot set up {}", name, path));
  if (settings.vnet_header) set_vnet_header_size(queue, name);
  return queue;
}

}  // namespace

Macvtap create_macvtap(const MacvtapSettings& settings) {
  const Link device = require_link(settings.device);
  if (!device.up)
    throw operation_failed(fmt::format("macvtap on '{}': the device is down; bring it up (ip link set {} up)",
                                       device.name, device.name));
  Macvtap macvtap;
  if (settings.name.empty()) {
    macvtap.name = make_with_free_name(
        "macvtap%d", [&](const std::string& name) { return create(name, device, settings); });
  } else if (!is_link_name(settings.name)) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("'{}' cannot be a macvtap's name", settings.name));
  } else if (!create(settings.name, device, settings)) {
    throw Error(VIR_ERR_RESOURCE_BUSY,
                fmt::format("macvtap {}: there is a link of that name already", settings.name));
  } else {
    macvtap.name = settings.name;
  }
  HalfMadeLink half_made(macvtap.name);
  const Link link = require_link(macvtap.name);
  // In mode passthrough a new one has its device's address; changing it changes both.
  if (link.mac != settings.guest_mac) set_mac(macvtap.name, settings.guest_mac);
  if (settings.mtu) set_mtu(macvtap.name, *settings.mtu);
  hear_every_group(link);
  const std::string path = fmt::format("/dev/tap{}", link.index);
  for (std::uint32_t i = 0; i < settings.queues; ++i)
    macvtap.queues.push_back(open_queue(path, macvtap.name, settings));
  if (settings.up) set_up(macvtap.name);
  half_made.keep();
  return macvtap;
}

void delete_macvtap(const std::string& name) {
  const std::optional<Link> link = find_link(name);
  if (!link) return;
  if (link->kind != "macvtap")
    throw operation_invalid(fmt::format("link {}: it is no macvtap, so it is not deleted as one", name));
  delete_link(name);
}

}  // namespace warren::driver::link
