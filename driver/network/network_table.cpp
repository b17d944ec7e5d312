#include "driver/network/network_table.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::driver::network {

namespace {

// The interface of the pool that a port is on, if it is.
const std::string* device_of(const config::NetworkPort& port) {
  const auto* direct = std::get_if<config::DirectPlug>(&port.plug);
  return direct != nullptr ? &direct->device : nullptr;
}

}  // namespace

LiveFigures Network::figures() const {
  LiveFigures figures{.connections = static_cast<std::uint32_t>(ports.size()),
                      .interface_connections = {},
                      .functions = functions};
  if (!definition.forward) return figures;
  for (const std::string& interface : definition.forward->interfaces) {
    figures.interface_connections.push_back(
        static_cast<std::uint32_t>(std::ranges::count_if(ports, [&interface](const auto& entry) {
          const std::string* device = device_of(entry.second);
          return device != nullptr && *device == interface;
        })));
  }
  return figures;
}

Error network_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_NETWORK};
}

NetworkPointer NetworkTable::find(const Uuid& uuid) const noexcept {
  const auto found = networks_.find(uuid);
  return found == networks_.end() ? nullptr : found->second;
}

NetworkPointer NetworkTable::find_by_bridge(const std::string& bridge) const {
  const auto found = std::ranges::find_if(networks_, [&bridge](const auto& entry) {
    const Network& network = *entry.second;
    return (network.is_active || network.is_starting) && network.definition.owns_bridge() &&
           network.definition.bridge.name == bridge;
  });
  return found == networks_.end() ? nullptr : found->second;
}

NetworkPointer NetworkTable::by_uuid(const Uuid& uuid) const {
  if (NetworkPointer network = find(uuid)) return network;
  throw network_error(VIR_ERR_NO_NETWORK,
                      fmt::format("no network with matching uuid '{}'", uuid.to_string()));
}

NetworkPointer NetworkTable::by_name(const std::string& name) const {
  for (const auto& [uuid, network] : networks_)
    if (network->definition.name == name) return network;
  throw network_error(VIR_ERR_NO_NETWORK, fmt::format("no network with matching name '{}'", name));
}

std::vector<NetworkPointer> NetworkTable::all() const {
  std::vector<NetworkPointer> all;
  for (const auto& [uuid, network] : networks_) all.push_back(network);
  std::ranges::sort(all, {}, [](const NetworkPointer& network) { return network->definition.name; });
  return all;
}

NetworkPointer NetworkTable::check_new(const NetworkDefinition& definition, bool is_to_start) const {
  const std::string uuid = definition.uuid.to_string();
  const NetworkPointer known = find(definition.uuid);
  if (known != nullptr && known->definition.name != definition.name) {
    throw network_error(VIR_ERR_OPERATION_FAILED, fmt::format("network '{}' is already defined with uuid {}",
                                                              known->definition.name, uuid));
  }
  for (const auto& [other_uuid, other] : networks_) {
    if (other != known && other->definition.name == definition.name) {
      throw network_error(VIR_ERR_OPERATION_FAILED, fmt::format("network '{}' already exists with uuid {}",
                                                                definition.name, other_uuid.to_string()));
    }
  }
  if (known != nullptr && is_to_start && (known->is_active || known->is_starting)) {
    throw network_error(VIR_ERR_OPERATION_INVALID,
                        fmt::format("network is already active as '{}'", definition.name));
  }
  if (definition.owns_bridge() && !definition.bridge.name.empty() &&
      has_bridge(definition.bridge.name, definition.uuid)) {
    throw network_error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("bridge name '{}' already in use.", definition.bridge.name));
  }
  return known;
}

bool NetworkTable::has_bridge(const std::string& bridge, const Uuid& except) const {
  const auto has = [&bridge](const NetworkDefinition& definition) {
    return definition.owns_bridge() && definition.bridge.name == bridge;
  };
  return std::ranges::any_of(networks_, [&](const auto& entry) {
    const Network& network = *entry.second;
    return entry.first != except && (has(network.definition) || (network.next && has(*network.next)));
  });
}

}  // namespace warren::driver::network
