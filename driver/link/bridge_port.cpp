#include "driver/link/bridge_port.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/link/bridge.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

constexpr std::uint16_t kFirstVlan = 1,
                        kLastVlan = 4094;  // IEEE 802.1Q-2018 table 9-2: 0 and 4095 are no VLANs

void set_master(const std::string& link, int master, const std::string& doing) {
  const Link port = require_link(link);
  if (port.master == master) return;
  Message message(RTM_NEWLINK, 0, ifinfomsg{.ifi_index = port.index});
  message.put(IFLA_MASTER, master);
  Netlink().send(message, doing);
}

ifinfomsg port_header(const Link& port) {
  return {.ifi_family = AF_BRIDGE, .ifi_index = port.index};
}

Link require_port(const std::string& link) {
  Link port = require_link(link);
  if (port.master == 0)
    throw operation_invalid(fmt::format(
        "link {}: it is no port of a bridge; put it into one (ip link set {} master …)", link, link));
  return port;
}

ndmsg static_address(const Link& port) {
  return {.ndm_family = AF_BRIDGE,
          .ndm_ifindex = port.index,
          .ndm_state = NUD_NOARP,  // static: it does not age, and is no address of the bridge itself
          .ndm_flags = NTF_MASTER};
}

std::string bridge_of(const Link& port) {
  for (const Link& link : list_links())
    if (link.index == port.master) return link.name;
  return {};
}

std::uint16_t checked_vlan(const std::string& link, std::uint16_t tag) {
  if (tag < kFirstVlan || tag > kLastVlan)
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("link {}: a bridge has VLANs {} to {}, not {}", link,
                                                        kFirstVlan, kLastVlan, tag));
  return tag;
}

void put_vlan(Message& message, std::uint16_t flags, std::uint16_t tag) {
  message.put_object(IFLA_BRIDGE_VLAN_INFO, bridge_vlan_info{.flags = flags, .vid = tag});
}

Message vlan_additions(const Link& port, const config::Vlan& vlan) {
  constexpr std::uint16_t kUntagged = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED;
  Message message(RTM_SETLINK, 0, port_header(port));
  message.nest(IFLA_AF_SPEC, [&] {
    for (const std::uint16_t tag : vlan.tags) {
      if (vlan.native_mode && tag == vlan.native_tag) continue;
      put_vlan(message, vlan.trunk ? 0 : kUntagged, checked_vlan(port.name, tag));
    }
    if (!vlan.native_mode) return;
    put_vlan(message,
             *vlan.native_mode == config::NativeVlanMode::tagged ? std::uint16_t{BRIDGE_VLAN_INFO_PVID}
                                                                 : kUntagged,
             checked_vlan(port.name, vlan.native_tag));
  });
  return message;
}

}  // namespace

void add_port(const std::string& bridge, const std::string& link) {
  const std::optional<Link> target = find_link(bridge);
  if (!target || target->kind != "bridge") {
    throw Error(
        VIR_ERR_SYSTEM_ERROR,
        fmt::format("interface {}: there is no bridge '{}'; make it (ip link add {} type bridge) or name "
                    "another in <source bridge=…/>",
                    link, bridge, bridge));
  }
  set_master(link, target->index, fmt::format("interface {}: cannot put it into bridge '{}'", link, bridge));
}

void remove_port(const std::string& link) {
  set_master(link, 0, fmt::format("link {}: cannot take it out of its bridge", link));
}

void set_port_flags(const std::string& link, const PortFlags& flags) {
  if (flags == PortFlags{}) return;
  const Link port = require_port(link);
  Message message(RTM_SETLINK, 0, port_header(port));
  const auto put = [&](int type, const std::optional<bool>& value) {
    if (value) message.put(type, std::uint8_t{*value});
  };
  message.nest(IFLA_PROTINFO, [&] {
    put(IFLA_BRPORT_ISOLATED, flags.isolated);
    put(IFLA_BRPORT_LEARNING, flags.learning);
    put(IFLA_BRPORT_UNICAST_FLOOD, flags.unicast_flood);
    put(IFLA_BRPORT_MODE, flags.hairpin);
  });
  Netlink().send(message, fmt::format("link {}: cannot change how its bridge treats it", link));
}

void add_static_address(const std::string& link, const config::MacAddress& mac) {
  const Link port = require_port(link);
  Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, static_address(port));
  message.put_object(NDA_LLADDR, mac);
  Netlink().send(message, fmt::format("link {}: cannot tell its bridge that {} is there", link,
                                      config::format_mac_address(mac)));
}

void remove_static_address(const std::string& link, const config::MacAddress& mac) {
  const Link port = require_port(link);
  Message message(RTM_DELNEIGH, 0, static_address(port));
  message.put_object(NDA_LLADDR, mac);
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error != 0 && result.error != ENOENT)
    fail(result, fmt::format("link {}: cannot tell its bridge that {} has left", link,
                             config::format_mac_address(mac)));
}

void set_port_vlans(const std::string& link, const config::Vlan& vlan) {
  const Link port = require_port(link);
  const std::string bridge = bridge_of(port);
  const Message additions = vlan_additions(port, vlan);
  if (const std::optional<Bridge> state = read_bridge(bridge); !state || !state->vlan_filtering)
    throw operation_unsupported(
        fmt::format("link {}: bridge '{}' does not tell VLANs apart, so <vlan> would part nobody; have it "
                    "do so (ip link set {} type bridge vlan_filtering 1)",
                    link, bridge, bridge));
  const std::string doing = fmt::format("link {}: cannot set its VLANs in bridge '{}'", link, bridge);
  Message removals(RTM_DELLINK, 0, port_header(port));
  removals.nest(IFLA_AF_SPEC, [&] {
    put_vlan(removals, BRIDGE_VLAN_INFO_RANGE_BEGIN, kFirstVlan);
    put_vlan(removals, BRIDGE_VLAN_INFO_RANGE_END, kLastVlan);
  });
  Netlink netlink;
  netlink.send(removals, doing);
  netlink.send(additions, doing);
}

}  // namespace warren::driver::link
