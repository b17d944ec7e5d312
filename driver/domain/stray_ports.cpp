#include "driver/domain/stray_ports.h"

#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace {

struct StrayPort {
  NetworkHandle network;
  Uuid port;
};

// What owners are domains of ours and do not know. Those of domains that are not known here are somebody
// else's.
std::vector<StrayPort> find_stray_ports(const Environment& environment, std::optional<Uuid> wanted) {
  std::vector<StrayPort> stray;
  NetworkDriver* networks = environment.settings.networks;
  if (networks == nullptr) return stray;
  for (const NetworkHandle& network : networks->list_networks({}, VIR_CONNECT_LIST_NETWORKS_ACTIVE)) {
    for (const NetworkPortHandle& port : networks->list_ports({}, network.uuid, 0)) {
      const config::NetworkPort found =
          config::parse_network_port(networks->port_xml({}, network.uuid, port.uuid, 0), false);
      if (wanted && found.owner_uuid != *wanted) continue;
      const std::shared_ptr<Domain> owner = environment.table.by_uuid(found.owner_uuid);
      if (owner && !owner->has_port(port.uuid)) stray.push_back({network, port.uuid});
    }
  }
  return stray;
}

Task<> delete_all(std::shared_ptr<Environment> environment, std::vector<StrayPort> stray) {
  NetworkDriver* networks = environment->settings.networks;
  for (const StrayPort& each : stray) {
    std::string name =
        fmt::format("port {} of network '{}' is nobody's", each.port.to_string(), each.network.name);
    std::optional<Error> failed;
    try {
      Beginning<void> begin = [networks, uuid = each.network.uuid,
                               id = each.port](Completion<void> completion) {
        networks->delete_port({}, uuid, id, 0, std::move(completion));
      };
      co_await await_completion<void>(std::move(begin));
    } catch (const Error& error) {
      failed = error;
    }
    environment->log(LogPriority::warning,
                     failed ? fmt::format("{}, and cannot be deleted: {} (virsh net-port-delete {} {})", name,
                                          failed->message(), each.network.name, each.port.to_string())
                            : name + ": it is deleted");
  }
}

}  // namespace

Task<> delete_stray_ports_of(std::shared_ptr<Environment> environment, Uuid owner) {
  std::vector<StrayPort> stray = find_stray_ports(*environment, owner);
  co_await delete_all(std::move(environment), std::move(stray));
}

Task<> delete_stray_ports(const std::shared_ptr<Environment>& environment) {
  std::vector<StrayPort> stray = find_stray_ports(*environment, std::nullopt);
  co_await delete_all(environment, std::move(stray));
}

}  // namespace warren::driver::domain
