// Taps of a domain in bridges of Open vSwitch. Its ports outlive taps: what is added is noted first, and
// removed by whoever comes to it when the domain has it no more.
#include <algorithm>

#include <fmt/format.h>

#include "driver/domain/domain.h"
#include "driver/domain/stray_ports.h"
#include "driver/openvswitch/switch_port.h"

namespace warren::driver::domain {

namespace {

openvswitch::SwitchPort port_of(const config::Interface& interface, const Uuid& domain) {
  return {.bridge = config::bridge_of(interface),
          .link = interface.target,
          .guest_mac = interface.mac.value(),
          .machine = domain,
          .interface_id = interface.virtual_port->interface_id,
          .profile_id = interface.virtual_port->profile_id,
          .vlan = interface.vlan,
          .isolated = interface.isolated.value_or(false),
          .mtu = interface.mtu};
}

}  // namespace

Task<> Domain::plug_into_switch(const config::Interface& interface) {
  if (!config::is_on_open_vswitch(interface)) co_return;
  attachments_.push_back({.switched = interface.target});
  std::move_only_function<Done()> add = [database = environment_->settings.switch_database,
                                         port = port_of(interface, uuid_)] {
    openvswitch::add_port(database, port);
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(add));
}

Task<> Domain::plug_into_switches(const config::DomainDefinition& definition) {
  for (const config::Interface& interface : definition.devices.interfaces)
    co_await plug_into_switch(interface);
}

Task<> Domain::unplug_from_switch(std::string link) {
  std::move_only_function<Done()> remove = [database = environment_->settings.switch_database,
                                            link = std::move(link), uuid = uuid_] {
    openvswitch::remove_port(database, link, uuid);
    return Done{};
  };
  co_await run_blocking<Done>(environment_->io_threads, std::move(remove));
}

bool Domain::has_switch_port(const std::string& link) const {
  return live_ && std::ranges::any_of(live_->devices.interfaces, [&link](const config::Interface& interface) {
           return interface.target == link && config::is_on_open_vswitch(interface);
         });
}

Task<> delete_stray_switch_ports(const std::shared_ptr<Environment>& environment) {
  using openvswitch::OwnedPort;
  const std::string& database = environment->settings.switch_database;
  std::move_only_function<std::vector<OwnedPort>()> list = [database] {
    return openvswitch::list_ports(database);
  };
  const std::vector<OwnedPort> ports =
      co_await run_blocking<std::vector<OwnedPort>>(environment->io_threads, std::move(list));
  for (const OwnedPort& port : ports) {
    const std::shared_ptr<Domain> owner = environment->table.by_uuid(port.machine);
    if (!owner || owner->has_switch_port(port.link)) continue;
    environment->log(LogPriority::warning,
                     fmt::format("port {} of Open vSwitch is nobody's: it is deleted", port.link));
    std::move_only_function<Done()> remove = [database, port] {
      openvswitch::remove_port(database, port.link, port.machine);
      return Done{};
    };
    co_await run_blocking<Done>(environment->io_threads, std::move(remove));
  }
}

}  // namespace warren::driver::domain
