// The rules of taps in nftables: table "bridge warren_nwfilter". Implementation header (Boost.JSON).
//
// Each tap has chains of its own, which maps from its name lead to: TAP/out and TAP/in for frames (out: from
// the guest), TAP/out/CHAIN for chains of filters, and TAP/out-packets, TAP/in-packets for packets with their
// connections. A frame has to pass the chains of frames, and then those of packets, as it passes ebtables and
// iptables under libvirt. What no rule decides passes.
//
// Pure functions but for apply_… and probe…, which run nft(8) and block for some seconds at most.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>

#include "driver/config/identity.h"
#include "driver/nwfilter/filter_tree.h"

namespace warren::driver::nwfilter {

inline constexpr std::string_view kTable = "warren_nwfilter";

// What the kernel's bridges can do.
struct BridgeFeatures {
  bool connections = false;  // nf_conntrack_bridge (Linux 5.3)
  bool reject = false;       // nft_reject_bridge; without it what is to be rejected is dropped
};
// Never fails: what cannot be tried is not there. Leaves no rule behind.
BridgeFeatures probe_features();

struct TapChain {
  std::string name;
  std::vector<boost::json::array> rules;  // each its expressions
};
struct TapChains {
  std::string tap;
  std::vector<TapChain> chains;
  std::vector<std::string> names() const;
};

// The guest has no address yet: it may ask a DHCP server for one.
struct AddressWait {
  config::MacAddress mac{};
  std::vector<std::string> servers;  // that may answer; none: all may
};

// Throws driver::Error: OPERATION_UNSUPPORTED naming a rule that needs connections where there are none.
TapChains compile(const std::string& tap, const TapFilter& filter, const BridgeFeatures& features,
                  const AddressWait* wait);
// A tap that nothing passes, either way.
TapChains closed(const std::string& tap);

// Commands of one transaction: the table and what is in it for all taps; the chains of one tap instead of
// those it had; none of them.
void add_table(boost::json::array& commands);
void add_tap(boost::json::array& commands, const TapChains& chains, const std::vector<std::string>& old);
void remove_tap(boost::json::array& commands, const std::string& tap, const std::vector<std::string>& old);
// All taps, instead of whatever the table had.
boost::json::array replace_all(const std::vector<const TapChains*>& taps);
// The table goes.
boost::json::array remove_all();

}  // namespace warren::driver::nwfilter
