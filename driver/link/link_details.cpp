#include "driver/link/link_details.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

namespace {

// The kind's own attributes (IFLA_INFO_DATA) to `read`, if the link is of that kind.
template <class Read>
void read_kind(const std::string& link, std::string_view kind, Read&& read) {
  const int index = require_link(link).index;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETLINK, 0, ifinfomsg{}), "list the links")) {
    const auto header = answer.header<ifinfomsg>();
    if (!header || header->ifi_index != index) continue;
    const Attributes attributes = answer.attributes<ifinfomsg>();
    const Attributes information = attributes.nested(IFLA_LINKINFO);
    if (information.text(IFLA_INFO_KIND) == kind) read(information.nested(IFLA_INFO_DATA));
  }
}

}  // namespace

std::optional<Traffic> read_traffic(const std::string& link) {
  if (!is_link_name(link)) return std::nullopt;
  Message message(RTM_GETLINK, 0, ifinfomsg{});
  message.put(IFLA_IFNAME, link);
  std::vector<Answer> answers;
  const Netlink::Result result = Netlink().ask(message, answers);
  if (result.error == ENODEV) return std::nullopt;
  if (result.error != 0) fail(result, fmt::format("link {}: cannot look at it", link));
  for (const Answer& answer : answers) {
    const auto found = answer.attributes<ifinfomsg>().get<rtnl_link_stats64>(IFLA_STATS64);
    if (!found) continue;
    return Traffic{.received_bytes = found->rx_bytes,
                   .received_packets = found->rx_packets,
                   .received_errors = found->rx_errors,
                   .received_dropped = found->rx_dropped,
                   .sent_bytes = found->tx_bytes,
                   .sent_packets = found->tx_packets,
                   .sent_errors = found->tx_errors,
                   .sent_dropped = found->tx_dropped};
  }
  return std::nullopt;
}

std::optional<std::uint32_t> read_speed(const std::string& link) {
  (void)require_link(link);
  const vmm::FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) throw system_error(errno, fmt::format("link {}: cannot ask for its speed", link));
  ethtool_cmd command{};
  command.cmd = ETHTOOL_GSET;
  ifreq request{};
  std::memcpy(request.ifr_name, link.c_str(), link.size());
  request.ifr_data = reinterpret_cast<char*>(&command);  // what SIOCETHTOOL takes
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return std::nullopt;
  const std::uint32_t speed = (std::uint32_t{command.speed_hi} << 16) | command.speed;
  // SPEED_UNKNOWN is -1, and 0xffff of drivers that know the low half alone.
  if (speed == 0 || speed == 0xffff || speed == 0xffff'ffff) return std::nullopt;
  return speed;
}

std::optional<std::uint16_t> read_vlan_tag(const std::string& link) {
  std::optional<std::uint16_t> tag;
  read_kind(link, "vlan", [&](const Attributes& data) { tag = data.get<std::uint16_t>(IFLA_VLAN_ID); });
  return tag;
}

std::optional<Bond> read_bond(const std::string& link) {
  std::optional<Bond> bond;
  read_kind(link, "bond", [&](const Attributes& data) {
    const auto number = [&](int type) { return data.get<std::uint32_t>(type).value_or(0); };
    bond = Bond{.mode = data.get<std::uint8_t>(IFLA_BOND_MODE).value_or(0),
                .mii_interval = number(IFLA_BOND_MIIMON),
                .up_delay = number(IFLA_BOND_UPDELAY),
                .down_delay = number(IFLA_BOND_DOWNDELAY),
                .use_carrier = data.get<std::uint8_t>(IFLA_BOND_USE_CARRIER).value_or(0) != 0,
                .arp_interval = number(IFLA_BOND_ARP_INTERVAL),
                .arp_validate = number(IFLA_BOND_ARP_VALIDATE)};
    const auto target = data.nested(IFLA_BOND_ARP_IP_TARGET).bytes(0);  // they are numbered from 0
    if (target.size() != 4) return;
    bond->arp_target.emplace();
    std::ranges::copy(target, bond->arp_target->bytes.begin());
  });
  return bond;
}

}  // namespace warren::driver::link
