// <networkport>: one place in a virtual network, and how what takes it is plugged in (virNetworkPort*).
//
// Plain values. What a domain asks of a network, and the network's answer (`plug`). Format: libvirt's
// formatnetworkport.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "driver/config/device_address.h"
#include "driver/config/identity.h"
#include "driver/config/tuning.h"
#include "driver/config/virtual_port.h"
#include "driver/config/vlan.h"
#include "driver/contract/uuid.h"

namespace warren::driver::config {

enum class MacTableManager { kernel, libvirt };

// Into a bridge of the host; of a network that Warren runs, `is_network` (type='network'), else
// type='bridge'.
struct BridgePlug {
  bool is_network = true;
  std::string bridge;
  std::optional<MacTableManager> mac_table_manager;
  bool operator==(const BridgePlug&) const = default;
};

enum class MacvtapMode { vepa, private_, bridge, passthrough };

// A macvtap on a link of the host.
struct DirectPlug {
  std::string device;
  MacvtapMode mode = MacvtapMode::vepa;
  bool operator==(const DirectPlug&) const = default;
};

enum class NetworkHostDeviceDriver { vfio, kvm, xen };

// A PCI device of the host, taken from the network's pool.
struct HostDevicePlug {
  bool managed = false;
  std::optional<NetworkHostDeviceDriver> driver;
  PciAddress address;
  bool operator==(const HostDevicePlug&) const = default;
};

struct NetworkPort {
  Uuid uuid{};
  std::string owner_name;  // of the domain
  Uuid owner_uuid{};
  std::string group;  // the portgroup's name; empty: the default one
  MacAddress mac{};
  std::optional<Bandwidth> bandwidth;
  std::uint32_t class_id = 0;  // of the bandwidth's tc class on the bridge; live only, 0: none
  std::optional<Vlan> vlan;
  std::optional<bool> isolated;
  std::optional<VirtualPort> virtual_port;
  std::optional<bool> trust_guest_rx_filters;
  std::variant<std::monostate, BridgePlug, DirectPlug, HostDevicePlug> plug;
  bool operator==(const NetworkPort&) const = default;
};

// Throws Error (VIR_ERR_XML_*) that names element and line. `validate`: against the schema. A missing UUID is
// made up.
NetworkPort parse_network_port(std::string_view xml, bool validate);
std::string format_network_port(const NetworkPort& port);

}  // namespace warren::driver::config
