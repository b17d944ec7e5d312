// The host's packet filter, through nft(8) as a child that is given JSON (libnftables-json(5)).
//
// A transaction is applied whole or not at all. Blocks, at most for some seconds; any thread. Each throws
// driver::Error with nft's own words, also when nft is not installed.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace warren::driver::nftables {

// `commands` are the elements of the "nftables" array: {"add": {"table": …}}, {"delete": …}, … `doing` begins
// the error's text: "network default: set up NAT".
void apply(const boost::json::array& commands, std::string_view doing);

// The elements of what `nft -j list …` says: {"table": …}, {"chain": …}, {"rule": …}; empty where there is no
// such object. `what` are nft's words: "ruleset", "table inet warren".
boost::json::array list(std::string_view what);

}  // namespace warren::driver::nftables
