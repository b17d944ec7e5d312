// Ports of Open vSwitch: a link of the host in one of its bridges, with what controllers know it by.
//
// `database` is where the switch's database listens, as ovs-vsctl's --db has it
// ("unix:/run/openvswitch/db.sock"). Blocks for at most some seconds; any thread. Throws Error that names the
// port and its bridge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/identity.h"
#include "driver/config/virtual_port.h"
#include "driver/config/vlan.h"
#include "driver/contract/uuid.h"

namespace warren::driver::openvswitch {

struct SwitchPort {
  std::string bridge, link;
  config::MacAddress guest_mac{};
  Uuid machine{};
  std::optional<Uuid> interface_id;
  std::string profile_id;  // empty: none
  std::optional<config::Vlan> vlan;
  bool isolated = false;             // from the other isolated ports of its bridge
  std::optional<std::uint32_t> mtu;  // asked of the switch, too, which has the last word
};

// In place of a port of that name that an earlier end left behind. Returns when packets may pass. What the
// switch cannot do is undone.
void add_port(const std::string& database, const SwitchPort& port);

// One that is not there, or is another machine's by now, stays as it is.
void remove_port(const std::string& database, const std::string& link, const Uuid& machine);

// Ports that add_port() made, and which are there still. None where no switch runs.
struct OwnedPort {
  std::string link;
  Uuid machine{};
  bool operator==(const OwnedPort&) const = default;
};
std::vector<OwnedPort> list_ports(const std::string& database);

}  // namespace warren::driver::openvswitch
