// Tells what happens to links behind our back: added, removed, renamed, put into another bridge; and who is
// heard on them (RTNLGRP_LINK, RTNLGRP_NEIGH).
//
// One thread at a time; of the network name space of the thread that makes it. read() never blocks.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "driver/link/neighbour.h"
#include "vmm-core/os/netlink_listener.h"

namespace warren::driver::link {

struct LinkAdded {
  std::string link;
  bool operator==(const LinkAdded&) const = default;
};
struct LinkRemoved {
  std::string link;
  bool operator==(const LinkRemoved&) const = default;
};
struct LinkRenamed {
  std::string before, link;
  bool operator==(const LinkRenamed&) const = default;
};
// Into another bridge or bond, or out of one.
struct LinkMoved {
  std::string link;
  std::string bridge;  // empty: none
  bool operator==(const LinkMoved&) const = default;
};
struct NeighbourSeen {
  std::string link;
  Neighbour neighbour;
  bool operator==(const NeighbourSeen&) const = default;
};
// Asked for and not there, or forgotten; also told of one that was never seen.
struct NeighbourGone {
  std::string link;
  config::IpAddress address;
  bool operator==(const NeighbourGone&) const = default;
};
using LinkEvent = std::variant<LinkAdded, LinkRemoved, LinkRenamed, LinkMoved, NeighbourSeen, NeighbourGone>;

class Answer;

class LinkMonitor {
 public:
  enum class Watch { links, links_and_neighbours };

  // Knows the links there are, and tells of what happens from then on. Throws Error.
  explicit LinkMonitor(Watch watch);

  int descriptor() const noexcept { return listener_.descriptor(); }  // readable: read() has something
  // What has happened, in order; empty: nothing yet. Where the kernel could not keep up, links are compared
  // anew and neighbours may be missing: see neighbour.h for who is there. Throws Error.
  std::vector<LinkEvent> read();

 private:
  struct Known {
    std::string name;
    int master = 0;
  };

  void take(const Answer& answer, std::vector<LinkEvent>& events);
  void link_is(int index, Known now, std::vector<LinkEvent>& events);
  void link_is_gone(int index, std::vector<LinkEvent>& events);
  void compare(std::vector<LinkEvent>& events);
  std::string name_of(int index) const;

  vmm::NetlinkListener listener_;
  std::map<int, Known> links_;
};

}  // namespace warren::driver::link
