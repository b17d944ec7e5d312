#include "driver/link/monitor.h"

#include <set>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/link/link.h"
#include "driver/link/neighbour_message.h"
#include "driver/link/netlink.h"

namespace warren::driver::link {

namespace {

using vmm::NetlinkListener;

NetlinkListener listen(LinkMonitor::Watch watch) {
  auto listener = watch == LinkMonitor::Watch::links
                      ? NetlinkListener::open(NETLINK_ROUTE, {RTNLGRP_LINK})
                      : NetlinkListener::open(NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_NEIGH});
  if (!listener) throw system_error(listener.error(), "cannot watch the host's links");
  return *std::move(listener);
}

}  // namespace

LinkMonitor::LinkMonitor(Watch watch) : listener_(listen(watch)) {
  // After joining: what changes meanwhile is told, if only as what is known already.
  for (Link& link : list_links()) links_[link.index] = {std::move(link.name), link.master};
}

std::vector<LinkEvent> LinkMonitor::read() {
  std::vector<LinkEvent> events;
  const auto outcome = listener_.read(
      [&](std::span<const std::uint8_t> datagram) {
        auto left = datagram.size();
        // It is aligned for it, and NLMSG_OK checks the length.
        for (const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data()); NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
          const auto* payload = reinterpret_cast<const std::uint8_t*>(header) + NLMSG_HDRLEN;
          take(Answer(header->nlmsg_type, {payload, header->nlmsg_len - NLMSG_HDRLEN}), events);
        }
      },
      [&] { compare(events); });
  if (!outcome) throw system_error(outcome.error(), "cannot hear of the host's links");
  return events;
}

void LinkMonitor::take(const Answer& answer, std::vector<LinkEvent>& events) {
  if (answer.type() == RTM_NEWLINK || answer.type() == RTM_DELLINK) {
    const auto header = answer.header<ifinfomsg>();
    // A bridge tells of its ports in messages of its own family; one that leaves it is not gone.
    if (!header || header->ifi_family != AF_UNSPEC) return;
    if (answer.type() == RTM_DELLINK) return link_is_gone(header->ifi_index, events);
    const Attributes attributes = answer.attributes<ifinfomsg>();
    link_is(header->ifi_index, {attributes.text(IFLA_IFNAME), attributes.get<int>(IFLA_MASTER).value_or(0)},
            events);
  } else if (answer.type() == RTM_NEWNEIGH || answer.type() == RTM_DELNEIGH) {
    const std::optional<NeighbourMessage> message = neighbour_of(answer);
    if (!message) return;
    const std::string link = name_of(message->link);
    if (link.empty()) return;
    if (!message->mac) {
      events.emplace_back(NeighbourGone{link, message->address});
    } else {
      events.emplace_back(NeighbourSeen{link, {message->address, *message->mac}});
    }
  }
}

void LinkMonitor::link_is(int index, Known now, std::vector<LinkEvent>& events) {
  const auto found = links_.find(index);
  if (found == links_.end()) {
    events.emplace_back(LinkAdded{now.name});
    links_.emplace(index, std::move(now));
    return;
  }
  const Known before = std::exchange(found->second, std::move(now));
  const Known& after = found->second;
  if (before.name != after.name) events.emplace_back(LinkRenamed{before.name, after.name});
  if (before.master != after.master) events.emplace_back(LinkMoved{after.name, name_of(after.master)});
}

void LinkMonitor::link_is_gone(int index, std::vector<LinkEvent>& events) {
  const auto found = links_.find(index);
  if (found == links_.end()) return;
  events.emplace_back(LinkRemoved{std::move(found->second.name)});
  links_.erase(found);
}

void LinkMonitor::compare(std::vector<LinkEvent>& events) {
  std::set<int> there;
  for (Link& link : list_links()) {
    there.insert(link.index);
    link_is(link.index, {std::move(link.name), link.master}, events);
  }
  std::vector<int> gone;
  for (const auto& [index, known] : links_)
    if (!there.contains(index)) gone.push_back(index);
  for (const int index : gone) link_is_gone(index, events);
}

std::string LinkMonitor::name_of(int index) const {
  const auto found = links_.find(index);
  return found == links_.end() ? std::string() : found->second.name;
}

}  // namespace warren::driver::link
