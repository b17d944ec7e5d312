// Who else on this host drops what a network needs: Docker, firewalld, the administrator's own rules.
//
// A packet passes only if every table's base chains let it: our own accepting says nothing to them (nft(8)).
// Judged from the ruleset alone, nothing is sent. Rules of iptables-legacy are not in nft's ruleset.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "driver/network/network_definition.h"

namespace warren::driver::network {

struct ForeignDrop {
  std::string family, table, chain;  // of the base chain
  std::string hook;                  // "forward" or "input"
  std::string cause;                 // "policy drop", "rule 12 of chain INPUT: reject"
  std::vector<std::string> traffic;  // what of the network's it hits: "guests to outside (IPv4)"
  // How many of its rules may accept some of that: they ask what cannot be told beforehand.
  unsigned may_be_accepted = 0;
  std::string remedy;  // what to do, with the commands to type
};

// `ruleset` as nftables::list("ruleset") gives it. `bridged_traffic_is_filtered`: what goes from guest to
// guest of one bridge passes the forward hook too. Pure.
std::vector<ForeignDrop> find_foreign_drops(const boost::json::array& ruleset,
                                            const NetworkDefinition& definition,
                                            bool bridged_traffic_is_filtered);
// Of this host: the ruleset as it is, and its bridge-nf-call-iptables. Blocks: a pool thread; throws as
// nftables::list() does.
std::vector<ForeignDrop> find_foreign_drops(const NetworkDefinition& definition);

// One line for the log.
std::string describe(const ForeignDrop& drop);

}  // namespace warren::driver::network
