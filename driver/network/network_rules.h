// The packet filter's rules of virtual networks: who may talk to whom, and address translation.
//
// One table of ours, `inet warren_network`, has three base chains that look up the bridge in a map and jump
// to the chains of its network, so that one network's rules come and go without a word about another's. All
// functions can be called again at any time, also after somebody has flushed the ruleset. Modes that have no
// bridge of ours, and mode open, have no rules.
//
// There is no chain for what the host itself receives or sends: what one table accepts another one can still
// drop (nft(8), "verdict statements"), so accepting DHCP and DNS there would say nothing; our table drops
// nothing of it. Who else drops it, find_foreign_drops() tells (foreign_drops.h).
//
// DHCP replies leave the host with a checksum that the network card is to fill in; some old DHCP clients in
// guests take that for a broken one. libvirt has iptables fill it in (CHECKSUM --checksum-fill); nft has no
// such statement, and these rules leave it: tc's csum action on the bridge is the other way to do it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "driver/network/network_definition.h"

namespace warren::driver::network {

inline constexpr const char* kRulesFamily = "inet";
inline constexpr const char* kRulesTable = "warren_network";

// Commands for nftables::apply(): the table, if it is not there, and this network's rules in place of those
// that its bridge had. Empty for a network that never has rules. Pure. Throws Error for a bridge or device
// whose name is not one.
boost::json::array rules_of(const NetworkDefinition& definition);
// Commands after which the bridge has no rules, whether it had some or not.
boost::json::array removal_of(std::string_view bridge);
// The bridges that have rules, in the table as nftables::list() gives it; in order.
std::vector<std::string> bridges_with_rules(const boost::json::array& table);

// Each is one transaction, and throws as nftables::apply() does, naming the network. They block: pool
// threads.
void apply_rules(const NetworkDefinition& definition);
// All networks that run, at once: after a restart of the daemon, or a flush. Rules of bridges of none of
// them, left behind by a daemon that was killed, are removed.
void apply_all_rules(std::span<const NetworkDefinition* const> active);
void remove_rules(const NetworkDefinition& definition);

}  // namespace warren::driver::network
