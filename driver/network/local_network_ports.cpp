// Ports of networks, and who has leases in them.
#include <algorithm>

#include <fmt/format.h>

#include "driver/network/local_network.h"

namespace warren::driver::network {

namespace {

using config::BandwidthRate;
using config::NetworkPort;

struct RateParameter {
  const char* field;
  bool is_inbound;
  std::uint64_t BandwidthRate::* value;
};
constexpr RateParameter kRateParameters[] = {
    {VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE, true, &BandwidthRate::average},
    {VIR_NETWORK_PORT_BANDWIDTH_IN_PEAK, true, &BandwidthRate::peak},
    {VIR_NETWORK_PORT_BANDWIDTH_IN_FLOOR, true, &BandwidthRate::floor},
    {VIR_NETWORK_PORT_BANDWIDTH_IN_BURST, true, &BandwidthRate::burst},
    {VIR_NETWORK_PORT_BANDWIDTH_OUT_AVERAGE, false, &BandwidthRate::average},
    {VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK, false, &BandwidthRate::peak},
    {VIR_NETWORK_PORT_BANDWIDTH_OUT_BURST, false, &BandwidthRate::burst},
};

// What `parameters` change of `bandwidth`.
void change_rates(std::optional<config::Bandwidth>& bandwidth, const TypedParameters& parameters) {
  config::Bandwidth changed = bandwidth.value_or(config::Bandwidth{});
  for (const TypedParameter& parameter : parameters) {
    const auto* found = std::ranges::find(kRateParameters, parameter.field, &RateParameter::field);
    if (found == std::end(kRateParameters))
      throw network_error(VIR_ERR_INVALID_ARG, fmt::format("parameter '{}' not supported", parameter.field));
    const auto* number = std::get_if<std::uint32_t>(&parameter.value);
    if (number == nullptr) {
      throw network_error(VIR_ERR_INVALID_ARG,
                          fmt::format("parameter '{}' must be an unsigned int", parameter.field));
    }
    std::optional<BandwidthRate>& rate = found->is_inbound ? changed.inbound : changed.outbound;
    if (!rate) rate.emplace();
    (*rate).*(found->value) = *number;
  }
  for (std::optional<BandwidthRate>* rate : {&changed.inbound, &changed.outbound})
    if (*rate && (*rate)->average == 0 && (*rate)->floor == 0) rate->reset();
  bandwidth.reset();
  if (changed.inbound || changed.outbound) bandwidth = changed;
}

// Case does not count in a hardware address.
bool is_same_mac(const std::optional<std::string>& one, const std::string& other) {
  if (!one) return false;
  const auto first = config::parse_mac_address(*one), second = config::parse_mac_address(other);
  return first && second && *first == *second;
}

}  // namespace

const NetworkPort& LocalNetworkDriver::find_port(const Network& network, const Uuid& port) const {
  const auto found = network.ports.find(port);
  if (found == network.ports.end()) {
    throw network_error(VIR_ERR_NO_NETWORK_PORT,
                        fmt::format("Network port with UUID {} does not exist in network '{}'",
                                    port.to_string(), network.definition.name));
  }
  return found->second;
}

std::vector<NetworkPortHandle> LocalNetworkDriver::list_ports(const Caller&, const Uuid& uuid,
                                                              unsigned int flags) const {
  check_flags(flags, 0, "virNetworkListAllPorts");
  const NetworkPointer network = table_.by_uuid(uuid);
  std::vector<NetworkPortHandle> handles;
  for (const auto& [port, definition] : network->ports)
    handles.push_back({network->definition.handle(), port});
  return handles;
}

NetworkPortHandle LocalNetworkDriver::port_by_uuid(const Caller&, const Uuid& uuid, const Uuid& port) const {
  const NetworkPointer network = table_.by_uuid(uuid);
  return {network->definition.handle(), find_port(*network, port).uuid};
}

std::string LocalNetworkDriver::port_xml(const Caller&, const Uuid& network, const Uuid& port,
                                         unsigned int flags) const {
  check_flags(flags, 0, "virNetworkPortGetXMLDesc");
  return config::format_network_port(find_port(*table_.by_uuid(network), port));
}

TypedParameters LocalNetworkDriver::port_parameters(const Caller&, const Uuid& network, const Uuid& port,
                                                    unsigned int flags) const {
  check_flags(flags, VIR_TYPED_PARAM_STRING_OKAY, "virNetworkPortGetParameters");
  const NetworkPort& found = find_port(*table_.by_uuid(network), port);
  TypedParameters parameters;
  if (!found.bandwidth) return parameters;
  for (const RateParameter& parameter : kRateParameters) {
    const auto& rate = parameter.is_inbound ? found.bandwidth->inbound : found.bandwidth->outbound;
    if (!rate) continue;
    const std::uint64_t value = (*rate).*(parameter.value);
    parameters.push_back(
        {parameter.field, static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX))});
  }
  return parameters;
}

Task<> LocalNetworkDriver::write_port(NetworkPointer network, NetworkPort port) {
  std::move_only_function<void()> write =
      [directory = ports_directory(*network), name = port.uuid.to_string(),
       text = config::format_network_port(port)] { store::DocumentStore(directory).write(name, text); };
  co_await on_disk(std::move(write));
}

// Where it has a pool of them: what its physical function has may change at any time.
Task<> LocalNetworkDriver::find_functions(NetworkPointer network) {
  const NetworkDefinition& definition = network->definition;
  if (definition.mode() != ForwardMode::hostdev || definition.forward->physical_function.empty()) co_return;
  std::move_only_function<std::vector<config::PciAddress>()> look =
      [this, function = definition.forward->physical_function] { return host_->virtual_functions(function); };
  network->functions = co_await on_host<std::vector<config::PciAddress>>(std::move(look));
}

Task<NetworkPortHandle> LocalNetworkDriver::make_port(Uuid uuid, std::string xml, unsigned int flags) {
  check_flags(flags, VIR_NETWORK_PORT_CREATE_RECLAIM | VIR_NETWORK_PORT_CREATE_VALIDATE,
              "virNetworkPortCreateXML");
  NetworkPort wanted = config::parse_network_port(xml, (flags & VIR_NETWORK_PORT_CREATE_VALIDATE) != 0);
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  require_active(*network);
  if (network->ports.contains(wanted.uuid)) {
    throw network_error(VIR_ERR_NETWORK_PORT_EXIST, wanted.uuid.to_string());
  }
  PortSurroundings surroundings{.ports = network->ports, .devices = {}};
  if (network->definition.mode() == ForwardMode::hostdev) {
    co_await find_functions(network);
    const Forward& forward = *network->definition.forward;
    surroundings.devices = forward.physical_function.empty() ? forward.addresses : network->functions;
  }
  if ((flags & VIR_NETWORK_PORT_CREATE_RECLAIM) != 0) {
    check_plug(network->definition, wanted);
    check_floor(network->definition, wanted, network->ports, wanted.bandwidth);
    wanted.class_id = has_floor(wanted.bandwidth) ? free_class(network->ports) : 0;
  } else {
    wanted = allocate(network->definition, std::move(wanted), surroundings);
  }
  if (wanted.class_id != 0) {
    std::move_only_function<loop::Done()> limit = [this, definition = network->definition, wanted] {
      host_->set_port_bandwidth(definition, wanted);
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(limit));
  }
  std::exception_ptr failed;
  try {
    co_await write_port(network, wanted);
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed && wanted.class_id != 0) {
    std::move_only_function<loop::Done()> undo = [this, definition = network->definition, wanted] {
      host_->remove_port_bandwidth(definition, wanted);
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(undo));
  }
  if (failed) std::rethrow_exception(failed);
  const NetworkPortHandle handle{network->definition.handle(), wanted.uuid};
  network->ports.emplace(wanted.uuid, std::move(wanted));
  publish_names(*network);
  co_return handle;
}

Task<> LocalNetworkDriver::change_port(Uuid uuid, Uuid port, TypedParameters parameters) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  NetworkPort changed = find_port(*network, port);
  const std::uint32_t old_class = changed.class_id;
  change_rates(changed.bandwidth, parameters);
  check_floor(network->definition, changed, network->ports, changed.bandwidth);
  const bool has_class = has_floor(changed.bandwidth);
  changed.class_id = !has_class ? 0 : old_class != 0 ? old_class : free_class(network->ports);
  if (has_class || old_class != 0) {
    std::move_only_function<loop::Done()> limit = [this, definition = network->definition, changed, has_class,
                                                   old = find_port(*network, port)] {
      if (has_class) {
        host_->set_port_bandwidth(definition, changed);
      } else {
        host_->remove_port_bandwidth(definition, old);
      }
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(limit));
  }
  co_await write_port(network, changed);
  network->ports.at(port) = std::move(changed);
}

Task<> LocalNetworkDriver::remove_port(Uuid uuid, Uuid port) {
  const NetworkPointer network = table_.by_uuid(uuid);
  const loop::Turn::Hold turn = co_await network->turn.take();
  table_.by_uuid(uuid);
  const NetworkPort old = find_port(*network, port);
  if (old.class_id != 0) {
    std::move_only_function<loop::Done()> free = [this, definition = network->definition, old] {
      host_->remove_port_bandwidth(definition, old);
      return loop::Done{};
    };
    co_await on_host<loop::Done>(std::move(free));
  }
  std::move_only_function<void()> write = [directory = ports_directory(*network), name = port.to_string()] {
    store::DocumentStore(directory).remove(name);
  };
  co_await on_disk(std::move(write));
  network->ports.erase(port);
  publish_names(*network);
}

Task<std::vector<DhcpLease>> LocalNetworkDriver::find_leases(Uuid uuid, std::optional<std::string> mac) {
  const NetworkPointer network = table_.by_uuid(uuid);
  if (mac && !config::parse_mac_address(*mac))
    throw network_error(VIR_ERR_INVALID_ARG, fmt::format("'{}' is no hardware address", *mac));
  if (!network->is_active || !network->definition.owns_bridge()) co_return std::vector<DhcpLease>{};
  std::move_only_function<std::vector<DhcpLease>()> read = [this, definition = network->definition] {
    return host_->leases(definition);
  };
  std::vector<DhcpLease> leases = co_await on_host<std::vector<DhcpLease>>(std::move(read));
  if (mac) std::erase_if(leases, [&mac](const DhcpLease& lease) { return !is_same_mac(lease.mac, *mac); });
  co_return leases;
}

void LocalNetworkDriver::dhcp_leases(const Caller&, const Uuid& network, std::optional<std::string> mac,
                                     unsigned int flags, Completion<std::vector<DhcpLease>> completion) {
  if (flags != 0) return completion(std::unexpected(unsupported_flags(flags, 0, "virNetworkGetDHCPLeases")));
  run<std::vector<DhcpLease>>(find_leases(network, std::move(mac)), std::move(completion));
}
void LocalNetworkDriver::create_port(const Caller&, const Uuid& network, std::string xml, unsigned int flags,
                                     Completion<NetworkPortHandle> completion) {
  run<NetworkPortHandle>(make_port(network, std::move(xml), flags), std::move(completion));
}
void LocalNetworkDriver::set_port_parameters(const Caller&, const Uuid& network, const Uuid& port,
                                             TypedParameters parameters, unsigned int flags,
                                             Completion<void> completion) {
  if (flags != 0)
    return completion(std::unexpected(unsupported_flags(flags, 0, "virNetworkPortSetParameters")));
  run<void>(change_port(network, port, std::move(parameters)), std::move(completion));
}
void LocalNetworkDriver::delete_port(const Caller&, const Uuid& network, const Uuid& port, unsigned int flags,
                                     Completion<void> completion) {
  if (flags != 0) return completion(std::unexpected(unsupported_flags(flags, 0, "virNetworkPortDelete")));
  run<void>(remove_port(network, port), std::move(completion));
}

}  // namespace warren::driver::network
