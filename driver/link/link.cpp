#include "driver/link/link.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

constexpr int kMostNames = 100'000;

void require_name(std::string_view name) {
  if (!is_link_name(name))
    throw invalid_argument(
        fmt::format("'{}' cannot be a link's name: that has 1 to {} bytes without '/', ':' and blanks", name,
                    IFNAMSIZ - 1));
}

std::optional<Link> link_of(const Answer& answer) {
  const auto header = answer.header<ifinfomsg>();
  if (answer.type() != RTM_NEWLINK || !header || header->ifi_family != AF_UNSPEC) return std::nullopt;
  const Attributes attributes = answer.attributes<ifinfomsg>();
  Link link;
  link.index = header->ifi_index;
  link.name = attributes.text(IFLA_IFNAME);
  link.kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  if (attributes.bytes(IFLA_ADDRESS).size() == sizeof(MacAddress))
    link.mac = attributes.get<MacAddress>(IFLA_ADDRESS);
  link.mtu = attributes.get<std::uint32_t>(IFLA_MTU).value_or(0);
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.has_carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  link.is_loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  if (const auto state = attributes.get<std::uint8_t>(IFLA_OPERSTATE); state && *state <= IF_OPER_UP)
    link.state = static_cast<OperationalState>(*state);
  link.master = attributes.get<int>(IFLA_MASTER).value_or(0);
  link.lower = attributes.get<int>(IFLA_LINK).value_or(0);
  return link;
}

Error no_link(std::string_view name) {
  return {VIR_ERR_NO_INTERFACE, fmt::format("there is no link '{}' on this host; see 'ip link'", name),
          VIR_FROM_INTERFACE};
}

// A change of the link by its name, so that none comes between looking it up and changing it.
void change(const std::string& name, ifinfomsg header, const std::function<void(Message&)>& fill,
            const std::string& doing) {
  require_name(name);
  header.ifi_family = AF_UNSPEC;
  Message message(RTM_NEWLINK, 0, header);
  message.put(IFLA_IFNAME, name);
  if (fill) fill(message);
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error == ENODEV) throw no_link(name);
  if (result.error != 0) fail(result, fmt::format("link {}: cannot {}", name, doing));
}

}  // namespace

std::vector<Link> list_links() {
  std::vector<Link> links;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETLINK, 0, ifinfomsg{}), "list the links"))
    if (std::optional<Link> link = link_of(answer); link) links.push_back(std::move(*link));
  std::ranges::sort(links, {}, &Link::index);
  return links;
}

std::optional<Link> find_link(std::string_view name) {
  if (!is_link_name(name)) return std::nullopt;
  // By its name alone: there may be thousands.
  Message message(RTM_GETLINK, 0, ifinfomsg{});
  message.put(IFLA_IFNAME, std::string(name));
  std::vector<Answer> answers;
  const Netlink::Result result = Netlink().ask(message, answers);
  if (result.error == ENODEV) return std::nullopt;
  if (result.error != 0) fail(result, fmt::format("link {}: cannot look at it", name));
  for (const Answer& answer : answers)
    if (std::optional<Link> link = link_of(answer); link) return link;
  return std::nullopt;
}

Link require_link(std::string_view name) {
  require_name(name);
  std::optional<Link> link = find_link(name);
  if (!link) throw no_link(name);
  return std::move(*link);
}

bool exists(std::string_view name) {
  return find_link(name).has_value();
}

void set_up(const std::string& name) {
  change(name, {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, {}, "bring it up");
}

void set_down(const std::string& name) {
  change(name, {.ifi_flags = 0, .ifi_change = IFF_UP}, {}, "take it down");
}

void set_mtu(const std::string& name, std::uint32_t mtu) {
  change(
      name, {}, [&](Message& message) { message.put(IFLA_MTU, mtu); }, fmt::format("set the MTU to {}", mtu));
}

void set_mac(const std::string& name, const MacAddress& mac) {
  change(
      name, {}, [&](Message& message) { message.put_object(IFLA_ADDRESS, mac); },
      fmt::format("set the MAC address to {}", config::format_mac_address(mac)));
}

void delete_link(const std::string& name) {
  require_name(name);
  Message message(RTM_DELLINK, 0, ifinfomsg{});
  message.put(IFLA_IFNAME, name);
  const Netlink::Result result = Netlink().try_send(message);
  if (result.error == ENODEV) return;
  if (result.error != 0) fail(result, fmt::format("link {}: cannot delete it", name));
}

bool is_link_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return name.find_first_of(std::string_view("/: \t\n\v\f\r\0", 9)) == std::string_view::npos;
}

std::string make_with_free_name(std::string_view pattern,
                                const std::function<bool(const std::string&)>& make) {
  const std::size_t number = pattern.find("%d");
  if (number == std::string_view::npos)
    throw invalid_argument(fmt::format("'{}' is no pattern of names: it lacks %d", pattern));
  std::vector<std::string> taken;
  for (const Link& link : list_links()) taken.push_back(link.name);
  std::ranges::sort(taken);
  for (int i = 0; i < kMostNames; ++i) {
    std::string name = fmt::format("{}{}{}", pattern.substr(0, number), i, pattern.substr(number + 2));
    require_name(name);
    if (std::ranges::binary_search(taken, name)) continue;
    if (make(name)) return name;
  }
  throw operation_failed(
      fmt::format("links have every name like '{}'; delete some, or give a name", pattern));
}

HalfMadeLink::~HalfMadeLink() {
  if (name_.empty()) return;
  try {
    delete_link(name_);
  } catch (const std::exception&) {
    // What goes wrong already is on its way to the caller.
  }
}

}  // namespace warren::driver::link
