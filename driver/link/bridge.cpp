#include "driver/link/bridge.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

constexpr std::uint32_t kTicksPerSecond = 100;  // of clock_t in the kernel's interfaces (USER_HZ)
constexpr std::uint32_t kMostDelaySeconds = 30;

Message bridge_message(const BridgeSettings& settings, int flags, bool with_mac) {
  Message message(RTM_NEWLINK, flags, ifinfomsg{});
  message.put(IFLA_IFNAME, settings.name);
  if (with_mac && settings.mac) message.put_object(IFLA_ADDRESS, *settings.mac);
  message.nest(IFLA_LINKINFO, [&] {
    message.put(IFLA_INFO_KIND, std::string("bridge"));
    message.nest(IFLA_INFO_DATA, [&] {
      message.put(IFLA_BR_FORWARD_DELAY, settings.delay_s * kTicksPerSecond);
      // The kernel takes the delay first: one below 2 seconds becomes 2 where STP begins.
      message.put(IFLA_BR_STP_STATE, std::uint32_t{settings.stp});
      if (settings.vlan_filtering) message.put(IFLA_BR_VLAN_FILTERING, std::uint8_t{1});
    });
  });
  return message;
}

void check(const BridgeSettings& settings) {
  if (!is_link_name(settings.name))
    throw invalid_argument(
        fmt::format("'{}' cannot be the name of a bridge: that has 1 to 15 bytes without "
                    "'/', ':' and blanks",
                    settings.name));
  if (settings.delay_s > kMostDelaySeconds)
    throw invalid_argument(
        fmt::format("bridge {}: a forward delay of {} s is beyond the {} s that a bridge takes",
                    settings.name, settings.delay_s, kMostDelaySeconds));
}

[[noreturn]] void explain(const BridgeSettings& settings, const Netlink::Result& result,
                          std::string_view doing) {
  if (result.error == EOPNOTSUPP && settings.vlan_filtering)
    throw operation_unsupported(
        fmt::format("bridge {}: this kernel's bridges cannot tell VLANs apart "
                    "(CONFIG_BRIDGE_VLAN_FILTERING)",
                    settings.name));
  if (result.error == EOPNOTSUPP)
    throw operation_unsupported(fmt::format(
        "bridge {}: this kernel has no bridges; load its module bridge (modprobe bridge)", settings.name));
  fail(result, fmt::format("bridge {}: cannot {} it", settings.name, doing));
}

}  // namespace

void create_bridge(const BridgeSettings& settings) {
  check(settings);
  Netlink netlink;
  const Netlink::Result result =
      netlink.try_send(bridge_message(settings, NLM_F_CREATE | NLM_F_EXCL, /*with_mac=*/true));
  if (result.error == EEXIST)
    throw operation_invalid(
        fmt::format("bridge {}: a link of that name exists already; delete it (ip link delete {}) "
                    "or choose another name",
                    settings.name, settings.name));
  if (result.error != 0) explain(settings, result, "make");
  HalfMadeLink half_made(settings.name);
  // As a change, so that the kernel does not take the ports' MTU over it.
  if (settings.mtu) set_mtu(settings.name, *settings.mtu);
  half_made.keep();
}

void change_bridge(const BridgeSettings& settings) {
  check(settings);
  if (!is_bridge(settings.name))
    throw operation_invalid(
        fmt::format("link {}: it is no bridge, so it cannot be changed as one", settings.name));
  const Netlink::Result result = Netlink().try_send(bridge_message(settings, 0, /*with_mac=*/false));
  if (result.error != 0) explain(settings, result, "change");
  if (settings.mac) set_mac(settings.name, *settings.mac);
  if (settings.mtu) set_mtu(settings.name, *settings.mtu);
}

void delete_bridge(const std::string& name) {
  const std::optional<Link> link = find_link(name);
  if (!link) return;
  if (link->kind != "bridge")
    throw operation_invalid(
        fmt::format("link {}: it is no bridge, so it is not deleted as one; somebody else made it", name));
  delete_link(name);
}

std::optional<Bridge> read_bridge(std::string_view name) {
  std::optional<Bridge> bridge;
  int index = 0;
  std::vector<Link> links;
  const std::vector<Answer> answers =
      Netlink().dump(Message(RTM_GETLINK, 0, ifinfomsg{}), "list the bridges");
  for (const Answer& answer : answers) {
    const auto header = answer.header<ifinfomsg>();
    const Attributes attributes = answer.attributes<ifinfomsg>();
    const Attributes information = attributes.nested(IFLA_LINKINFO);
    if (!header || attributes.text(IFLA_IFNAME) != name || information.text(IFLA_INFO_KIND) != "bridge")
      continue;
    const Attributes data = information.nested(IFLA_INFO_DATA);
    index = header->ifi_index;
    bridge = Bridge{
        .stp = data.get<std::uint32_t>(IFLA_BR_STP_STATE).value_or(0) != 0,
        .delay_centiseconds = data.get<std::uint32_t>(IFLA_BR_FORWARD_DELAY).value_or(0),
        .vlan_filtering = data.get<std::uint8_t>(IFLA_BR_VLAN_FILTERING).value_or(0) != 0,
    };
  }
  if (!bridge) return std::nullopt;
  std::vector<std::pair<int, std::string>> ports;
  for (const Answer& answer : answers) {
    const Attributes attributes = answer.attributes<ifinfomsg>();
    if (attributes.get<int>(IFLA_MASTER) == index)
      ports.emplace_back(answer.header<ifinfomsg>()->ifi_index, attributes.text(IFLA_IFNAME));
  }
  std::ranges::sort(ports);
  for (auto& [port, port_name] : ports) bridge->ports.push_back(std::move(port_name));
  return bridge;
}

bool is_bridge(std::string_view name) {
  const std::optional<Link> link = find_link(name);
  return link && link->kind == "bridge";
}

}  // namespace warren::driver::link
