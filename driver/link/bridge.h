// Bridges: made, changed, deleted and looked at. Their ports are in bridge_port.h.
//
// Blocks briefly; any thread. Throws Error as link.h has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"

namespace warren::driver::link {

struct BridgeSettings {
  std::string name;
  std::optional<config::MacAddress> mac;  // none: the kernel's choice, which follows the ports
  bool stp = false;                       // with it the kernel keeps `delay_s` between 2 and 30
  std::uint32_t delay_s = 0;              // forward delay
  std::optional<std::uint32_t> mtu;       // none: the smallest of the ports'
  bool vlan_filtering = false;
};

// Not up. A link that exists is never taken over: VIR_ERR_OPERATION_INVALID.
void create_bridge(const BridgeSettings& settings);
// Of one that exists: what it is made with, but for its name. What is not given stays.
void change_bridge(const BridgeSettings& settings);
// One that is not there is deleted already; what is no bridge is refused.
void delete_bridge(const std::string& name);

struct Bridge {
  bool stp = false;
  std::uint32_t delay_centiseconds = 0;
  bool vlan_filtering = false;
  std::vector<std::string> ports;  // by index
};
// Nothing for a link that is none, or not there.
std::optional<Bridge> read_bridge(std::string_view name);
bool is_bridge(std::string_view name);

}  // namespace warren::driver::link
