#include "driver/link/neighbour.h"

#include <algorithm>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "driver/link/link.h"
#include "driver/link/neighbour_message.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

std::optional<NeighbourMessage> neighbour_of(const Answer& answer) {
  const auto header = answer.header<ndmsg>();
  if (!header || (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)) return std::nullopt;
  const Attributes attributes = answer.attributes<ndmsg>();
  NeighbourMessage message{.link = header->ndm_ifindex, .gone = answer.type() == RTM_DELNEIGH};
  config::IpAddress& address = message.neighbour.address;
  address.is_ipv6 = header->ndm_family == AF_INET6;
  const std::span<const std::uint8_t> bytes = attributes.bytes(NDA_DST);
  const std::span<const std::uint8_t> mac = attributes.bytes(NDA_LLADDR);
  if (bytes.size() != address.bits() / 8 || mac.size() != message.neighbour.mac.size()) return std::nullopt;
  std::ranges::copy(bytes, address.bytes.begin());
  std::ranges::copy(mac, message.neighbour.mac.begin());
  // Entries without an answer, and those that the kernel makes for multicast and for itself.
  if (!message.gone && (header->ndm_state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP)) != 0)
    return std::nullopt;
  return message;
}

std::vector<Neighbour> list_neighbours(const std::string& link) {
  const int index = require_link(link).index;
  std::vector<Neighbour> neighbours;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETNEIGH, 0, ndmsg{}), "list the neighbours")) {
    const std::optional<NeighbourMessage> message = neighbour_of(answer);
    if (message && message->link == index) neighbours.push_back(message->neighbour);
  }
  return neighbours;
}

}  // namespace warren::driver::link
