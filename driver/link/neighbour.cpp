#include "driver/link/neighbour.h"

#include <algorithm>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "driver/link/link.h"
#include "driver/link/neighbour_message.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

std::optional<NeighbourMessage> neighbour_of(const Answer& answer) {
  const auto header = answer.header<ndmsg>();
  if (!header || (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)) return std::nullopt;
  const Attributes attributes = answer.attributes<ndmsg>();
  NeighbourMessage message{.link = header->ndm_ifindex};
  message.address.is_ipv6 = header->ndm_family == AF_INET6;
  const std::span<const std::uint8_t> bytes = attributes.bytes(NDA_DST);
  if (bytes.size() != message.address.bits() / 8) return std::nullopt;
  std::ranges::copy(bytes, message.address.bytes.begin());
  if (answer.type() == RTM_DELNEIGH || (header->ndm_state & NUD_FAILED) != 0) return message;
  // NUD_NOARP: the kernel's own, for multicast and itself.
  if ((header->ndm_state & (NUD_INCOMPLETE | NUD_NOARP)) != 0) return std::nullopt;
  if (attributes.bytes(NDA_LLADDR).size() != sizeof(config::MacAddress)) return std::nullopt;
  message.mac = attributes.get<config::MacAddress>(NDA_LLADDR);
  return message;
}

std::vector<Neighbour> list_neighbours(const std::string& link) {
  const int index = require_link(link).index;
  std::vector<Neighbour> neighbours;
  for (const Answer& answer : Netlink().dump(Message(RTM_GETNEIGH, 0, ndmsg{}), "list the neighbours")) {
    const std::optional<NeighbourMessage> message = neighbour_of(answer);
    if (message && message->mac && message->link == index)
      neighbours.push_back({message->address, *message->mac});
  }
  return neighbours;
}

}  // namespace warren::driver::link
