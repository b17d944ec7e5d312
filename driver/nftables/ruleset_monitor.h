// Tells who else changes tables of ours in the host's packet filter: a flush of the ruleset, above all
// (NFNLGRP_NFTABLES).
//
// One thread at a time; of the network name space of the thread that makes it. Never blocks, but to open a
// socket where the kernel could not keep up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/os/netlink_listener.h"

namespace warren::driver::nftables {

class RulesetMonitor {
 public:
  // `tables` are ours: "inet warren_network". Throws Error.
  explicit RulesetMonitor(std::vector<std::string> tables);

  int descriptor() const noexcept { return listener_.descriptor(); }  // readable: read() has something
  // Takes in what the kernel has said. Throws Error.
  void read();
  // Whether tables() has something to look at.
  bool has_news() const noexcept { return !changes_.empty() || missed_from_.has_value(); }
  // Tables that somebody else has changed, each told once. Changes of which it cannot be told yet whether
  // they are ours stay for the next time.
  std::set<std::string> changed_by_others();

 private:
  void take(std::span<const std::uint8_t> datagram);
  void look_at_missed(std::set<std::string>& changed);

  std::vector<std::string> tables_;
  vmm::NetlinkListener listener_;
  std::set<std::string> open_;  // changed in a transaction whose end has not come yet
  std::map<std::uint32_t, std::set<std::string>> changes_;  // by generation
  std::optional<std::uint32_t> last_;                       // generation that was told of
  std::optional<std::uint32_t> missed_from_;                // the kernel could not keep up after that one
};

}  // namespace warren::driver::nftables
