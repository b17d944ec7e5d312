// The addresses that dnsmasq has leased, from its own file of them.
//
// No program is run at each lease to tell us (--dhcp-script), as libvirt does: dnsmasq writes the file
// whenever a lease comes or goes, it is read when somebody asks, and nothing privileged listens to what
// guests say. What that costs: of an IPv6 lease the hardware address is known only where it is in the guest's
// DUID.
//
// Names and identifiers in it are the guests' own words: a line that is not as dnsmasq writes it is left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "driver/contract/networks.h"
#include "driver/network/network_definition.h"

namespace warren::driver::network {

// Those that have not ended at `now` (seconds since 1970), in the file's order. Pure; never throws for what
// is in the text.
std::vector<DhcpLease> parse_leases(std::string_view text, const NetworkDefinition& definition,
                                    std::int64_t now);
// None where there is no file. Blocks: a pool thread. Throws Error if it cannot be read.
std::vector<DhcpLease> read_leases(const std::filesystem::path& path, const NetworkDefinition& definition,
                                   std::int64_t now);

}  // namespace warren::driver::network
