// Where a domain's interfaces are plugged in beyond its worker: ports of virtual networks, filters of taps,
// macvtaps. Taken when it starts or gets one, and given back.
#include <algorithm>

#include <fmt/format.h>

#include "driver/config/filter_binding.h"
#include "driver/contract/network_filters.h"
#include "driver/domain/domain.h"
#include "driver/domain/guest_link.h"
#include "driver/domain/tuning_parameters.h"
#include "driver/link/macvtap.h"

namespace warren::driver::domain {

namespace {

NetworkDriver& require_networks(const DriverSettings& settings) {
  if (settings.networks == nullptr)
    throw Error(VIR_ERR_NO_SUPPORT, "this daemon has no virtual networks", VIR_FROM_NETWORK);
  return *settings.networks;
}

config::NetworkPort wanted_port(const config::Interface& interface, const Uuid& domain,
                                const std::string& name) {
  return {.uuid = Uuid::random(),
          .owner_name = name,
          .owner_uuid = domain,
          .group = interface.portgroup,
          .mac = interface.mac.value(),
          .bandwidth = interface.bandwidth,
          .vlan = interface.vlan,
          .isolated = interface.isolated,
          .virtual_port = interface.virtual_port,
          .trust_guest_rx_filters = interface.trust_guest_rx_filters};
}

// What the network decided is the interface's.
void plug_into(config::Interface& interface, config::NetworkPort port) {
  config::InterfacePort& plugged = interface.port.emplace();
  plugged.id = port.uuid;
  if (const auto* bridge = std::get_if<config::BridgePlug>(&port.plug)) plugged.plug = *bridge;
  if (const auto* direct = std::get_if<config::DirectPlug>(&port.plug)) plugged.plug = *direct;
  if (const auto* device = std::get_if<config::HostDevicePlug>(&port.plug)) plugged.plug = *device;
  interface.bandwidth = std::move(port.bandwidth);
  interface.vlan = std::move(port.vlan);
  interface.isolated = port.isolated;
  interface.virtual_port = std::move(port.virtual_port);
  interface.trust_guest_rx_filters = port.trust_guest_rx_filters;
}

config::FilterBinding binding_of(const config::Interface& interface, const Uuid& domain,
                                 const std::string& name) {
  config::FilterBinding binding{.owner_name = name,
                                .owner_uuid = domain,
                                .port_device = interface.target,
                                .link_device = {},
                                .mac = interface.mac.value(),
                                .filter = *interface.filter};
  if (const config::DirectPlug* direct = config::direct_plug_of(interface))
    binding.link_device = direct->device;
  return binding;
}

}  // namespace

Task<> Domain::take_port(config::Interface& interface) {
  interface.port.reset();
  if (interface.type != config::InterfaceType::network) co_return;
  NetworkDriver& networks = require_networks(environment_->settings);
  const NetworkHandle network = networks.network_by_name({}, interface.source_network);
  config::NetworkPort wanted = wanted_port(interface, uuid_, name_);
  // Before it is there: whatever ends this gives it back.
  attachments_.push_back({.network = interface.source_network, .port = wanted.uuid});
  Beginning<NetworkPortHandle> begin =
      [&networks, uuid = network.uuid,
       xml = config::format_network_port(wanted)](Completion<NetworkPortHandle> completion) mutable {
        networks.create_port({}, uuid, std::move(xml), 0, std::move(completion));
      };
  co_await await_completion<NetworkPortHandle>(std::move(begin));
  plug_into(interface,
            config::parse_network_port(networks.port_xml({}, network.uuid, wanted.uuid, 0), false));
}

Task<> Domain::take_ports(config::DomainDefinition& definition) {
  for (config::Interface& interface : definition.devices.interfaces) co_await take_port(interface);
}

void Domain::own_links(std::span<const config::Interface> interfaces,
                       std::vector<std::shared_ptr<link::HalfMadeLink>>& links) {
  for (const config::Interface& interface : interfaces)
    if (config::direct_plug_of(interface) != nullptr) attachments_.push_back({.macvtap = interface.target});
  for (const config::Interface& interface : interfaces)
    if (interface.type == config::InterfaceType::user)
      attachments_.push_back({.passt = passt_name(interface)});
  for (const auto& link : links) link->keep();
  links.clear();
}

// Once the link of the interface has its name, and before the guest has the interface.
Task<> Domain::filter_interface(const config::Interface& interface) {
  if (!interface.filter) co_return;
  if (config::direct_plug_of(interface) != nullptr) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("interface {}: filter '{}' cannot be on a macvtap, whose packets pass no bridge",
                            interface.target, interface.filter->filter));
  }
  if (config::is_on_open_vswitch(interface)) {
    throw Error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("interface {}: filter '{}' cannot be on a port of Open vSwitch, whose packets pass no "
                    "bridge of the kernel's; give the switch flows instead",
                    interface.target, interface.filter->filter));
  }
  NetworkFilterDriver* filters = environment_->settings.filters;
  if (filters == nullptr)
    throw Error(VIR_ERR_NO_SUPPORT, "this daemon has no network filters", VIR_FROM_NWFILTER);
  Beginning<FilterBindingHandle> begin = [filters,
                                          xml = config::format_binding(binding_of(interface, uuid_, name_))](
                                             Completion<FilterBindingHandle> completion) mutable {
    filters->create_binding({}, std::move(xml), 0, std::move(completion));
  };
  co_await await_completion<FilterBindingHandle>(std::move(begin));
  // A binding that was there already is somebody else's to give back.
  attachments_.push_back({.filtered = interface.target});
  // Until now nothing could wait in it for the guest.
  std::move_only_function<Done()> begin_to_pass = [interface] {
    set_guest_link_up(interface);
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(begin_to_pass));
}

Task<> Domain::filter_interfaces(const config::DomainDefinition& definition) {
  for (const config::Interface& interface : definition.devices.interfaces)
    co_await filter_interface(interface);
}

Task<> Domain::give_back_attachment(Attachment attachment) {
  const DriverSettings& settings = environment_->settings;
  if (!attachment.network.empty()) {
    NetworkDriver& networks = require_networks(settings);
    const NetworkHandle network = networks.network_by_name({}, attachment.network);
    networks.port_by_uuid({}, network.uuid, attachment.port);
    Beginning<void> begin = [&networks, uuid = network.uuid,
                             port = attachment.port](Completion<void> completion) {
      networks.delete_port({}, uuid, port, 0, std::move(completion));
    };
    co_await await_completion<void>(std::move(begin));
  } else if (!attachment.filtered.empty() && settings.filters != nullptr) {
    settings.filters->binding_by_port_device({}, attachment.filtered);
    Beginning<void> begin = [filters = settings.filters, device = attachment.filtered,
                             owner = uuid_](Completion<void> completion) {
      filters->delete_binding({}, device, owner, std::move(completion));
    };
    co_await await_completion<void>(std::move(begin));
  } else if (!attachment.macvtap.empty()) {
    std::move_only_function<Done()> remove = [name = attachment.macvtap] {
      link::delete_macvtap(name);
      return Done{};
    };
    co_await run_blocking<Done>(environment_->io_threads, std::move(remove));
  } else if (!attachment.switched.empty()) {
    co_await unplug_from_switch(attachment.switched);
  } else if (!attachment.passt.empty()) {
    std::move_only_function<Done()> end = [directory = runtime_directory(), name = attachment.passt] {
      end_passt(directory, name);
      return Done{};
    };
    co_await run_blocking<Done>(environment_->io_threads, std::move(end));
  }
}

bool Domain::is_attached(const Attachment& attachment) const {
  if (!live_ || !worker_ || worker_->has_ended()) return false;
  return std::ranges::any_of(live_->devices.interfaces, [&attachment](const config::Interface& interface) {
    if (!attachment.network.empty()) return interface.port && interface.port->id == attachment.port;
    if (!attachment.passt.empty())
      return interface.type == config::InterfaceType::user && passt_name(interface) == attachment.passt;
    // A device of the host has no target.
    return !interface.target.empty() &&
           (interface.target == attachment.filtered || interface.target == attachment.macvtap ||
            interface.target == attachment.switched);
  });
}

Task<> Domain::give_back_networks() {
  std::vector<Attachment> over, kept;
  for (Attachment& each : attachments_) (is_attached(each) ? kept : over).push_back(std::move(each));
  attachments_ = std::move(kept);
  // The last first: the filter of a tap goes before the port it is on.
  for (auto each = over.rbegin(); each != over.rend(); ++each) {
    std::optional<Error> failed;
    try {
      co_await give_back_attachment(*each);
    } catch (const Error& error) {
      failed = error;
    }
    // Networks and filters may have gone before the domain, and taken what was the domain's along.
    const bool is_gone =
        failed && (failed->code() == VIR_ERR_NO_NETWORK || failed->code() == VIR_ERR_NO_NETWORK_PORT ||
                   failed->code() == VIR_ERR_NO_NWFILTER_BINDING);
    if (failed && !is_gone) log(LogPriority::error, failed->message());
  }
}

// Of an earlier daemon's domain.
Task<> Domain::adopt_networks() {
  note_attachments(*live_);
  co_await plug_in(live_, std::nullopt);
}

void Domain::network_started(const std::string& network) {
  if (live_ && std::ranges::find(live_->devices.interfaces, network, &config::Interface::source_network) !=
                   live_->devices.interfaces.end())
    run_internal(plug_in_again(network), "plug interfaces in again");
}

Task<> Domain::plug_in_again(std::string network) {
  auto hold = co_await slot_.acquire(job_of("plug in interfaces", {}), JobSlot::Urgency::urgent);
  if (live_ && worker_ && !worker_->has_ended()) co_await plug_in(live_, std::move(network));
}

// Of all networks and bridges, or of one network.
Task<> Domain::plug_in(DefinitionPointer live, std::optional<std::string> network) {
  for (const config::Interface& interface : live->devices.interfaces) {
    if (network && interface.source_network != *network) continue;
    std::optional<Error> failed;
    try {
      co_await plug_back(interface);
    } catch (const Error& error) {
      failed = error;
    }
    if (!failed) continue;
    const std::string place = interface.type == config::InterfaceType::network
                                  ? fmt::format("network '{}'", interface.source_network)
                                  : fmt::format("bridge '{}'", config::bridge_of(interface));
    log(LogPriority::warning, fmt::format("interface {} is no port of {} any more: {}", interface.target,
                                          place, failed->message()));
  }
}

// A network that does not know the port any more is told of it, and a tap that has lost its bridge is put
// into it.
Task<> Domain::plug_back(const config::Interface& interface) {
  if (interface.port) co_await reclaim_port(interface);
  std::move_only_function<bool()> plug = [interface] { return plug_guest_link(interface); };
  if (!co_await run_blocking<bool>(environment_->io_threads, std::move(plug))) co_return;
  log(LogPriority::warning,
      fmt::format("interface {} is in bridge {} again", interface.target, config::bridge_of(interface)));
}

void Domain::note_attachments(const config::DomainDefinition& definition) {
  attachments_.clear();
  for (const config::Interface& interface : definition.devices.interfaces) {
    if (interface.port)
      attachments_.push_back({.network = interface.source_network, .port = interface.port->id});
    if (config::direct_plug_of(interface) != nullptr && !interface.target.empty())
      attachments_.push_back({.macvtap = interface.target});
    if (config::is_on_open_vswitch(interface) && !interface.target.empty())
      attachments_.push_back({.switched = interface.target});
    if (interface.type == config::InterfaceType::user && interface.mac)
      attachments_.push_back({.passt = passt_name(interface)});
    if (interface.filter && !interface.target.empty()) attachments_.push_back({.filtered = interface.target});
  }
}

Task<> Domain::reclaim_port(const config::Interface& interface) {
  NetworkDriver& networks = require_networks(environment_->settings);
  const NetworkHandle network = networks.network_by_name({}, interface.source_network);
  try {
    networks.port_by_uuid({}, network.uuid, interface.port->id);
    co_return;
  } catch (const Error& error) {
    if (error.code() != VIR_ERR_NO_NETWORK_PORT) throw;
  }
  config::NetworkPort port = wanted_port(interface, uuid_, name_);
  port.uuid = interface.port->id;
  std::visit([&port](const auto& plug) { port.plug = plug; }, interface.port->plug);
  Beginning<NetworkPortHandle> begin = [&networks, uuid = network.uuid,
                                        xml = config::format_network_port(port)](
                                           Completion<NetworkPortHandle> completion) mutable {
    networks.create_port({}, uuid, std::move(xml), VIR_NETWORK_PORT_CREATE_RECLAIM, std::move(completion));
  };
  co_await await_completion<NetworkPortHandle>(std::move(begin));
}

// A network keeps the limits of its ports, and what it has promised them (floor).
Task<> Domain::limit_ports(const config::DomainDefinition& live, const config::DomainDefinition& before) {
  for (const config::Interface& interface : live.devices.interfaces) {
    if (!interface.port) continue;
    const auto same = [&interface](const config::Interface& other) {
      return other.port && other.port->id == interface.port->id;
    };
    const auto had = std::ranges::find_if(before.devices.interfaces, same);
    if (had == before.devices.interfaces.end() || had->bandwidth == interface.bandwidth) continue;
    NetworkDriver& networks = require_networks(environment_->settings);
    Beginning<void> begin = [&networks, port = interface.port->id,
                             network = networks.network_by_name({}, interface.source_network).uuid,
                             rates = bandwidth_parameters(interface)](Completion<void> completion) mutable {
      networks.set_port_parameters({}, network, port, std::move(rates), 0, std::move(completion));
    };
    co_await await_completion<void>(std::move(begin));
  }
}

// Getters of what the guest was given do not wait for the domain's job.
Task<std::vector<LeasedInterface>> Domain::leased_interfaces() {
  const DefinitionPointer live = live_;
  std::vector<LeasedInterface> result;
  if (!live) co_return result;
  for (const config::Interface& interface : live->devices.interfaces) {
    if (!interface.port || !interface.mac) continue;
    LeasedInterface found{interface.target, config::format_mac_address(*interface.mac), {}};
    NetworkDriver& networks = require_networks(environment_->settings);
    const NetworkHandle network = networks.network_by_name({}, interface.source_network);
    Beginning<std::vector<DhcpLease>> begin =
        [&networks, uuid = network.uuid, mac = found.mac](Completion<std::vector<DhcpLease>> completion) {
          networks.dhcp_leases({}, uuid, mac, 0, std::move(completion));
        };
    found.leases = co_await await_completion<std::vector<DhcpLease>>(std::move(begin));
    result.push_back(std::move(found));
  }
  co_return result;
}

Task<> Domain::roll_back_networks(const config::DomainDefinition& started) {
  note_attachments(started);
  co_await give_back_networks();
}

bool Domain::has_port(const Uuid& port) const {
  return live_ && std::ranges::any_of(live_->devices.interfaces, [&port](const config::Interface& interface) {
           return interface.port && interface.port->id == port;
         });
}

Task<> Domain::give_back_to_host() {
  co_await give_back_host_devices();
  co_await give_back_networks();
}

}  // namespace warren::driver::domain
