// <bandwidth>: how much traffic passes a link. What goes out of a tap is what its guest receives (inbound):
// shaped, by HTB. What comes in is what the guest sends (outbound): policed, what is beyond the limit
// dropped.
//
// A network's bridge shares its inbound rate: each guest has a class of its own with a guaranteed rate
// (floor), all of them no more than its peak (average, where it has none); who has none gets what is left of
// the average, in one class. Rates are KiB a second, bursts KiB
// (libvirt's <bandwidth>). Blocks briefly; any thread. Throws Error that names the link.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/tuning.h"

namespace warren::driver::link {

// Of a tap or macvtap. Replaces whatever limits it had; none takes them away.
void limit_traffic(const std::string& link, const std::optional<config::Bandwidth>& bandwidth);

// Of a network's bridge, seen from its guests. Guarantees that are there stay as long as there is an inbound
// rate; VIR_ERR_OPERATION_INVALID where they are more than it.
void limit_network(const std::string& bridge, const std::optional<config::Bandwidth>& bandwidth);

struct Guarantee {
  std::uint16_t class_id = 0;  // kFirstClass..kLastClass; of one guest in this bridge
  config::MacAddress mac{};    // of the guest
  std::uint64_t floor = 0;     // KiB/s, at least 1
};
inline constexpr std::uint16_t kFirstClass = 3, kLastClass = 0xffe;

// Adds it, or changes its class's. VIR_ERR_OPERATION_INVALID where the bridge has no inbound rate, or less
// than is guaranteed.
void guarantee(const std::string& bridge, const Guarantee& guarantee);
// One that is not there is removed already.
void end_guarantee(const std::string& bridge, std::uint16_t class_id);

}  // namespace warren::driver::link
