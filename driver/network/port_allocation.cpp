#include "driver/network/port_allocation.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "driver/link/traffic_limit.h"
#include "driver/network/network_table.h"

namespace warren::driver::network {

namespace {

using config::NetworkPort;
using config::VirtualPort;
using config::VirtualPortType;

const PortGroup* find_group(const NetworkDefinition& network, const std::string& name) {
  const auto found = std::ranges::find_if(network.port_groups, [&name](const PortGroup& group) {
    return name.empty() ? group.is_default : group.name == name;
  });
  return found == network.port_groups.end() ? nullptr : &*found;
}

// One value of a virtual port, as interface, network and portgroup say it.
template <typename T>
void merge_value(T& into, const T& from, const T& none, std::string_view what,
                 const NetworkDefinition& network) {
  if (from == none || into == from) return;
  if (into != none) {
    throw network_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("attempt to merge virtualports with mismatched {} in network '{}'", what, network.name));
  }
  into = from;
}

// What an interface says, its network and its portgroup say together.
void merge(std::optional<VirtualPort>& into, const std::optional<VirtualPort>& from,
           const NetworkDefinition& network) {
  if (!from) return;
  if (!into) {
    into = from;
    return;
  }
  merge_value(into->type, from->type, VirtualPortType::none, "type", network);
  merge_value(into->manager_id, from->manager_id, {}, "managerid", network);
  merge_value(into->type_id, from->type_id, {}, "typeid", network);
  merge_value(into->type_id_version, from->type_id_version, {}, "typeidversion", network);
  merge_value(into->instance_id, from->instance_id, {}, "instanceid", network);
  merge_value(into->interface_id, from->interface_id, {}, "interfaceid", network);
  merge_value(into->profile_id, from->profile_id, {}, "profileid", network);
}

void inherit(const NetworkDefinition& network, NetworkPort& port) {
  const PortGroup* group = find_group(network, port.group);
  if (!port.bandwidth && group != nullptr) port.bandwidth = group->bandwidth;
  if (!port.vlan) port.vlan = group != nullptr && group->vlan ? group->vlan : network.vlan;
  if (!port.trust_guest_rx_filters) {
    port.trust_guest_rx_filters = group != nullptr && group->trust_guest_rx_filters
                                      ? group->trust_guest_rx_filters
                                      : network.trust_guest_rx_filters;
  }
  if (!port.isolated) port.isolated = network.port_isolated;
  merge(port.virtual_port, network.virtual_port, network);
  if (group != nullptr) merge(port.virtual_port, group->virtual_port, network);
}

VirtualPortType type_of(const NetworkPort& port) {
  return port.virtual_port ? port.virtual_port->type : VirtualPortType::none;
}

config::MacvtapMode macvtap_mode(ForwardMode mode) {
  switch (mode) {
    case ForwardMode::bridge:
      return config::MacvtapMode::bridge;
    case ForwardMode::private_:
      return config::MacvtapMode::private_;
    case ForwardMode::passthrough:
      return config::MacvtapMode::passthrough;
    default:
      return config::MacvtapMode::vepa;
  }
}

std::size_t uses_of(const std::string& device, const Ports& ports) {
  return static_cast<std::size_t>(std::ranges::count_if(ports, [&device](const auto& entry) {
    const auto* direct = std::get_if<config::DirectPlug>(&entry.second.plug);
    return direct != nullptr && direct->device == device;
  }));
}

config::DirectPlug choose_device(const NetworkDefinition& network, const NetworkPort& port,
                                 const Ports& ports) {
  const std::vector<std::string>& pool = network.forward->interfaces;
  if (pool.empty()) {
    throw network_error(
        VIR_ERR_INTERNAL_ERROR,
        fmt::format("network '{}' uses a direct mode, but has no forward dev and no interface pool",
                    network.name));
  }
  const auto least = std::ranges::min_element(
      pool, {}, [&ports](const std::string& device) { return uses_of(device, ports); });
  const bool exclusive =
      network.mode() == ForwardMode::passthrough ||
      (network.mode() == ForwardMode::private_ && type_of(port) == VirtualPortType::vnlink_8021qbh);
  if (exclusive && uses_of(*least, ports) > 0) {
    throw network_error(
        VIR_ERR_INTERNAL_ERROR,
        fmt::format("network '{}' requires exclusive access to interfaces, but none are available",
                    network.name));
  }
  return {.device = *least, .mode = macvtap_mode(network.mode())};
}

config::HostDevicePlug choose_host_device(const NetworkDefinition& network,
                                          const PortSurroundings& surroundings) {
  for (const config::PciAddress& device : surroundings.devices) {
    const bool is_used = std::ranges::any_of(surroundings.ports, [&device](const auto& entry) {
      const auto* plug = std::get_if<config::HostDevicePlug>(&entry.second.plug);
      return plug != nullptr && plug->address == device;
    });
    if (is_used) continue;
    return {.managed = network.forward->managed.value_or(false),
            .driver = network.forward->driver,
            .address = device};
  }
  throw network_error(
      VIR_ERR_INTERNAL_ERROR,
      fmt::format("network '{}' requires exclusive access to interfaces, but none are available",
                  network.name));
}

void check_virtual_port(const NetworkDefinition& network, const NetworkPort& port) {
  const VirtualPortType type = type_of(port);
  if (type == VirtualPortType::none) return;
  constexpr std::array<std::string_view, 5> kNames = {"none", "802.1Qbg", "802.1Qbh", "openvswitch",
                                                      "midonet"};
  const std::string_view name = kNames[static_cast<std::size_t>(type)];
  const bool is_bridge = std::holds_alternative<config::BridgePlug>(port.plug);
  const bool is_switch_port = type == VirtualPortType::openvswitch || type == VirtualPortType::midonet;
  if (is_bridge && (!is_switch_port || network.owns_bridge())) {
    throw network_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("<virtualport type='{}'> not supported for network '{}' which uses a bridge device", name,
                    network.name));
  }
  if (!is_bridge && is_switch_port) {
    throw network_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format(
            "<virtualport type='{}'> not supported for network '{}' which uses {}", name, network.name,
            std::holds_alternative<config::DirectPlug>(port.plug) ? "a macvtap device" : "an SR-IOV device"));
  }
}

// Controllers know it by that.
void name_switch_port(NetworkPort& port) {
  if (type_of(port) == VirtualPortType::openvswitch && !port.virtual_port->interface_id)
    port.virtual_port->interface_id = Uuid::random();
}

// Tags are for what can carry them: bridges with VLAN filtering, Open vSwitch, SR-IOV and a device of its
// own.
void check_vlan(const NetworkDefinition& network, const NetworkPort& port) {
  const auto* direct = std::get_if<config::DirectPlug>(&port.plug);
  if (port.vlan && port.vlan->trunk && std::holds_alternative<config::HostDevicePlug>(port.plug)) {
    throw network_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("vlan trunking is not supported by SR-IOV network devices, which network '{}' "
                    "hands out",
                    network.name));
  }
  if (!port.vlan || direct == nullptr || direct->mode == config::MacvtapMode::passthrough) return;
  throw network_error(
      VIR_ERR_CONFIG_UNSUPPORTED,
      fmt::format("an interface connecting to network '{}' is requesting a vlan tag, but that is "
                  "not supported for this type of network",
                  network.name));
}

// A macvtap has one address for good, and so has a port of a bridge that is told where guests are.
void check_trust(const NetworkDefinition& network, const NetworkPort& port) {
  if (port.trust_guest_rx_filters != true) return;
  const auto* bridge = std::get_if<config::BridgePlug>(&port.plug);
  const bool is_told = bridge != nullptr && bridge->mac_table_manager == config::MacTableManager::libvirt;
  if (!is_told && !std::holds_alternative<config::DirectPlug>(port.plug)) return;
  throw network_error(
      VIR_ERR_CONFIG_UNSUPPORTED,
      fmt::format(
          "trustGuestRxFilters='yes' is not supported {} of network '{}': their address does not follow "
          "the guest's",
          is_told ? "by ports (macTableManager='libvirt')" : "by macvtaps", network.name));
}

}  // namespace

NetworkPort allocate(const NetworkDefinition& network, NetworkPort port,
                     const PortSurroundings& surroundings) {
  inherit(network, port);
  if (network.owns_bridge()) {
    port.plug = config::BridgePlug{.is_network = true,
                                   .bridge = network.bridge.name,
                                   .mac_table_manager = network.bridge.mac_table_manager};
  } else if (network.mode() == ForwardMode::hostdev) {
    port.plug = choose_host_device(network, surroundings);
  } else if (network.mode() == ForwardMode::bridge && !network.bridge.name.empty()) {
    port.plug = config::BridgePlug{.is_network = false,
                                   .bridge = network.bridge.name,
                                   .mac_table_manager = network.bridge.mac_table_manager};
  } else {
    port.plug = choose_device(network, port, surroundings.ports);
  }
  check_virtual_port(network, port);
  check_vlan(network, port);
  check_trust(network, port);
  name_switch_port(port);
  check_floor(network, port, surroundings.ports, port.bandwidth);
  port.class_id = has_floor(port.bandwidth) ? free_class(surroundings.ports) : 0;
  return port;
}

void check_plug(const NetworkDefinition& network, const NetworkPort& port) {
  const auto refuse = [&network](std::string_view detail) {
    throw network_error(VIR_ERR_INTERNAL_ERROR, fmt::format("network '{}' {}", network.name, detail));
  };
  if (const auto* bridge = std::get_if<config::BridgePlug>(&port.plug)) {
    if (bridge->bridge != network.bridge.name)
      refuse(fmt::format("has no bridge '{}', which the port is on", bridge->bridge));
  } else if (const auto* direct = std::get_if<config::DirectPlug>(&port.plug)) {
    if (!network.forward ||
        std::ranges::find(network.forward->interfaces, direct->device) == network.forward->interfaces.end())
      refuse(fmt::format("doesn't have dev='{}' in use by domain", direct->device));
  } else if (std::holds_alternative<config::HostDevicePlug>(port.plug)) {
    if (network.mode() != ForwardMode::hostdev)
      refuse("is no pool of host devices, which the port is one of");
  } else {
    refuse("needs to be told where the port is plugged in");
  }
}

void require_devices_of(const Ports& ports, const NetworkDefinition& network) {
  for (const auto& [uuid, port] : ports) {
    const auto* direct = std::get_if<config::DirectPlug>(&port.plug);
    if (direct == nullptr || !network.forward) continue;
    if (std::ranges::find(network.forward->interfaces, direct->device) != network.forward->interfaces.end())
      continue;
    throw network_error(
        VIR_ERR_OPERATION_INVALID,
        fmt::format("unable to delete interface '{}' in network '{}': it is in use by port {}",
                    direct->device, network.name, uuid.to_string()));
  }
}

bool has_floor(const std::optional<config::Bandwidth>& bandwidth) {
  return bandwidth && bandwidth->inbound && bandwidth->inbound->floor != 0;
}

void check_floor(const NetworkDefinition& network, const NetworkPort& port, const Ports& ports,
                 const std::optional<config::Bandwidth>& bandwidth) {
  if (!has_floor(bandwidth)) return;
  const std::string mac = config::format_mac_address(port.mac);
  if (!network.owns_bridge()) {
    throw network_error(
        VIR_ERR_OPERATION_UNSUPPORTED,
        fmt::format("Invalid use of 'floor' on interface with MAC address {} - 'floor' is only "
                    "supported for interface type 'network' with forward type 'nat', 'route', "
                    "'open' or none",
                    mac));
  }
  if (!network.bandwidth || !network.bandwidth->inbound) {
    throw network_error(
        VIR_ERR_OPERATION_UNSUPPORTED,
        fmt::format(
            "Invalid use of 'floor' on interface with MAC address {} - network '{}' has no inbound QoS set",
            mac, network.name));
  }
  std::uint64_t sum = bandwidth->inbound->floor;
  for (const auto& [uuid, other] : ports) {
    if (uuid == port.uuid || !has_floor(other.bandwidth)) continue;
    if (__builtin_add_overflow(sum, other.bandwidth->inbound->floor, &sum)) sum = UINT64_MAX;
  }
  const config::BandwidthRate& rate = *network.bandwidth->inbound;
  const std::uint64_t limit = rate.peak != 0 ? rate.peak : rate.average;
  if (sum > limit) {
    throw network_error(
        VIR_ERR_OPERATION_INVALID,
        fmt::format("Cannot plug '{}' interface into '{}' because it would overcommit '{}' on network '{}'",
                    mac, network.bridge.name, rate.peak != 0 ? "peak" : "average", network.name));
  }
}

std::uint32_t free_class(const Ports& ports) {
  for (std::uint32_t candidate = link::kFirstClass; candidate <= link::kLastClass; ++candidate) {
    if (std::ranges::none_of(ports,
                             [candidate](const auto& entry) { return entry.second.class_id == candidate; }))
      return candidate;
  }
  throw network_error(VIR_ERR_INTERNAL_ERROR, "no bandwidth class is left for another port of this network");
}

}  // namespace warren::driver::network
