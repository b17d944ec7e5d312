// What the kernel says of the packet filter (linux/netfilter/nf_tables.h), taken from its messages. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace warren::driver::nftables {

struct RulesetMessage {
  int type = 0;                  // NFT_MSG_…
  std::string table;             // "inet warren_network"; empty: of no table of a family that is known
  std::uint32_t generation = 0;  // of NFT_MSG_NEWGEN alone: the transaction that ends with it
};

// Of one datagram. What is no message of nftables, or is cut off, is left out.
std::vector<RulesetMessage> ruleset_messages(std::span<const std::uint8_t> datagram);

}  // namespace warren::driver::nftables
