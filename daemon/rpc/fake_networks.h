// One active network with one port and one lease, of plain values, for the tests of the layer above the
// contract.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/fake_completions.h"
#include "driver/contract/error.h"
#include "driver/contract/networks.h"

namespace warren::daemon::rpc {

class FakeNetworks : public driver::NetworkDriver {
  using Caller = driver::Caller;
  using Uuid = driver::Uuid;
  template <class T>
  using Completion = driver::Completion<T>;

 public:
  driver::NetworkHandle network{.name = "net", .uuid = {{7, 8, 9}}};
  driver::NetworkPortHandle port{.network = network, .uuid = {{10, 11, 12}}};
  driver::TypedParameters parameters{{VIR_NETWORK_PORT_BANDWIDTH_IN_AVERAGE, std::uint32_t{100}},
                                     {VIR_NETWORK_PORT_BANDWIDTH_OUT_PEAK, std::uint32_t{200}}};
  driver::DhcpLease lease{.interface = "virbr0",
                          .expiry_time = 1'700'000'000,
                          .mac = "52:54:00:00:00:01",
                          .iaid = std::nullopt,
                          .address = "192.0.2.9",
                          .prefix = 24,
                          .host_name = "guest",
                          .client_id = std::nullopt};
  std::map<SubscriptionId, Handler> handlers;
  std::optional<Uuid> subscribed_to;
  FakeCompletions completions;
  std::size_t networks = 1;   // that there are
  std::size_t leases = 1;     // that there are
  mutable std::string asked;  // the last call, with what came with it

  std::vector<driver::NetworkHandle> list_networks(const Caller&, unsigned int flags) const override {
    asked = "list " + std::to_string(flags);
    if ((flags & VIR_CONNECT_LIST_NETWORKS_INACTIVE) != 0) return {};
    return std::vector<driver::NetworkHandle>(networks, network);
  }
  driver::NetworkHandle network_by_name(const Caller&, const std::string& name) const override {
    if (name != network.name) throw no_network();
    return network;
  }
  driver::NetworkHandle network_by_uuid(const Caller&, const Uuid& uuid) const override { return find(uuid); }
  std::string network_xml(const Caller&, const Uuid& uuid, unsigned int flags) const override {
    find(uuid);
    asked = "xml " + std::to_string(flags);
    return "<network/>";
  }
  std::string network_bridge(const Caller&, const Uuid& uuid) const override { return find(uuid), "virbr0"; }
  bool network_is_active(const Caller&, const Uuid& uuid) const override { return find(uuid), true; }
  bool network_is_persistent(const Caller&, const Uuid& uuid) const override { return find(uuid), false; }
  bool network_autostart(const Caller&, const Uuid& uuid) const override { return find(uuid), true; }

  void create_network(const Caller&, std::string xml, unsigned int flags,
                      Completion<driver::NetworkHandle> done) override {
    asked = "create " + xml + " " + std::to_string(flags);
    completions.answer<driver::NetworkHandle>(std::move(done), network);
  }
  void define_network(const Caller&, std::string xml, unsigned int flags,
                      Completion<driver::NetworkHandle> done) override {
    asked = "define " + xml + " " + std::to_string(flags);
    completions.answer<driver::NetworkHandle>(std::move(done), network);
  }
  void undefine_network(const Caller&, const Uuid& uuid, Completion<void> done) override {
    change("undefine", uuid, std::move(done));
  }
  void start_network(const Caller&, const Uuid& uuid, Completion<void> done) override {
    change("start", uuid, std::move(done));
  }
  void stop_network(const Caller&, const Uuid& uuid, Completion<void> done) override {
    change("stop", uuid, std::move(done));
  }
  void set_network_autostart(const Caller&, const Uuid& uuid, bool autostart,
                             Completion<void> done) override {
    change(autostart ? "autostart on" : "autostart off", uuid, std::move(done));
  }
  void update_network(const Caller&, const Uuid& uuid, driver::NetworkUpdate update, unsigned int flags,
                      Completion<void> done) override {
    change("update command " + std::to_string(update.command) + " section " + std::to_string(update.section) +
               " parent " + std::to_string(update.parent_index) + " " + update.xml + " " +
               std::to_string(flags),
           uuid, std::move(done));
  }
  void dhcp_leases(const Caller&, const Uuid& uuid, std::optional<std::string> mac, unsigned int flags,
                   Completion<std::vector<driver::DhcpLease>> done) override {
    using Leases = std::vector<driver::DhcpLease>;
    asked = "leases " + mac.value_or("-") + " " + std::to_string(flags);
    if (uuid != network.uuid)
      return completions.answer<Leases>(std::move(done), std::unexpected(no_network()));
    completions.answer<Leases>(std::move(done), Leases(leases, lease));
  }

  std::vector<driver::NetworkPortHandle> list_ports(const Caller&, const Uuid& uuid,
                                                    unsigned int) const override {
    return find(uuid), std::vector<driver::NetworkPortHandle>{port};
  }
  driver::NetworkPortHandle port_by_uuid(const Caller&, const Uuid& uuid, const Uuid& wanted) const override {
    return find(uuid, wanted);
  }
  std::string port_xml(const Caller&, const Uuid& uuid, const Uuid& wanted, unsigned int) const override {
    return find(uuid, wanted), "<networkport/>";
  }
  driver::TypedParameters port_parameters(const Caller&, const Uuid& uuid, const Uuid& wanted,
                                          unsigned int) const override {
    return find(uuid, wanted), parameters;
  }
  void create_port(const Caller&, const Uuid& uuid, std::string xml, unsigned int flags,
                   Completion<driver::NetworkPortHandle> done) override {
    using Port = driver::NetworkPortHandle;
    asked = "create port " + xml + " " + std::to_string(flags);
    if (uuid != network.uuid) return completions.answer<Port>(std::move(done), std::unexpected(no_network()));
    completions.answer<Port>(std::move(done), port);
  }
  void set_port_parameters(const Caller&, const Uuid& uuid, const Uuid&, driver::TypedParameters wanted,
                           unsigned int, Completion<void> done) override {
    parameters = std::move(wanted);
    change("set port", uuid, std::move(done));
  }
  void delete_port(const Caller&, const Uuid& uuid, const Uuid& wanted, unsigned int,
                   Completion<void> done) override {
    change("delete port " + wanted.to_string(), uuid, std::move(done));
  }

  SubscriptionId subscribe(int event_id, std::optional<Uuid> wanted, Handler handler) override {
    if (event_id != VIR_NETWORK_EVENT_ID_LIFECYCLE)
      throw driver::invalid_argument("no such network event: " + std::to_string(event_id));
    subscribed_to = wanted;
    handlers[++last_] = std::move(handler);
    return last_;
  }
  void unsubscribe(SubscriptionId id) noexcept override { handlers.erase(id); }

 private:
  static driver::Error no_network() { return {VIR_ERR_NO_NETWORK, "there is none", VIR_FROM_NETWORK}; }
  const driver::NetworkHandle& find(const Uuid& uuid) const {
    if (uuid != network.uuid) throw no_network();
    return network;
  }
  const driver::NetworkPortHandle& find(const Uuid& uuid, const Uuid& wanted) const {
    find(uuid);
    if (wanted != port.uuid) throw driver::Error(VIR_ERR_NO_NETWORK_PORT, "there is none", VIR_FROM_NETWORK);
    return port;
  }
  void change(std::string what, const Uuid& uuid, Completion<void> done) {
    asked = std::move(what);
    if (uuid != network.uuid) return completions.answer<void>(std::move(done), std::unexpected(no_network()));
    completions.answer<void>(std::move(done), {});
  }
  SubscriptionId last_ = 0;
};

}  // namespace warren::daemon::rpc
