// What a chain of the host's packet filter does to a packet of which only some things are known.
//
// Reads the JSON of nftables::list("ruleset") (libnftables-json(5)). What a rule asks that is not known of
// the packet, or that is not understood here (iptables' own matches), may or may not be so: then its drop
// does not count, and its acceptance is noted. Pure; implementation header (Boost.JSON).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "driver/config/ip_address.h"

namespace warren::driver::network {

struct Subnet {
  config::IpAddress address;
  unsigned prefix = 0;
};

// What is empty is not known.
struct SketchedPacket {
  bool ipv6 = false;
  std::string bridge;  // devices that are not known are not this one, and not the loopback device
  std::optional<std::string> in, out;
  bool has_out = true;  // of a forwarded one; else it is for the host
  std::optional<Subnet> source, destination;
  std::string_view protocol;          // "tcp", "udp", "icmpv6"
  std::optional<std::uint16_t> port;  // its destination's
  std::string_view type;              // of ICMP: "nd-neighbor-solicit"
  std::string_view state = "new";     // of its connection: "new", "established", "untracked"
};

struct BaseChain {
  std::string family, table, name, hook;
  bool drops = false;  // its policy
};

struct PacketFate {
  bool dropped = false;
  std::string cause;  // "policy drop", "rule 12 of chain INPUT: reject"
  // Rules before it that may accept it.
  unsigned may_be_accepted = 0;
};

class Ruleset {
 public:
  // `elements` outlive it.
  explicit Ruleset(const boost::json::array& elements);

  // Those that filter, at any hook; tables of the family "netdev" and "arp" are none of ours.
  const std::vector<BaseChain>& base_chains() const { return base_chains_; }
  bool has_chain(std::string_view family, std::string_view table, std::string_view name) const;
  // False for a table that never sees the packet's family.
  static bool sees(const BaseChain& chain, const SketchedPacket& packet);
  PacketFate fate(const BaseChain& chain, const SketchedPacket& packet) const;

 private:
  friend class RulesetWalk;

  using Key = std::vector<std::string>;  // family, table, name
  void add_chain(const boost::json::object& chain);

  std::vector<BaseChain> base_chains_;
  std::map<Key, std::vector<const boost::json::object*>> rules_;  // of each chain, in their order
  std::map<Key, const boost::json::array*> sets_;                 // elements of each set and map
};

}  // namespace warren::driver::network
