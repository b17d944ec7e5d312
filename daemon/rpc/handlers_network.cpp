#include "daemon/rpc/handlers_network.h"

#include <fmt/format.h>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/completion.h"
#include "daemon/rpc/list.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// Procedure of the message (server to client).
constexpr std::uint32_t kLifecycle = 315;

protocol::Network to_protocol(const driver::NetworkHandle& handle) {
  return {.name = handle.name, .uuid = handle.uuid.bytes};
}

NetworkDhcpLease to_protocol(const driver::DhcpLease& lease) {
  return {.iface = lease.interface,
          .expirytime = lease.expiry_time,
          .type = lease.type,
          .mac = lease.mac.value_or(""),  // virsh sorts by it, and falls over a lease that has none
          .iaid = lease.iaid,
          .ipaddr = lease.address,
          .prefix = lease.prefix,
          .hostname = lease.host_name,
          .clientid = lease.client_id};
}

// A change that gives the network it worked on.
template <class Result>
driver::Completion<driver::NetworkHandle> when_network(Reply<Result> reply) {
  return when_done<Result, driver::NetworkHandle>(
      std::move(reply), [](const driver::NetworkHandle& handle) { return Result{to_protocol(handle)}; });
}

std::vector<driver::NetworkHandle> list(Session& session, unsigned int flags) {
  return session.networks().list_networks(session.caller(), flags);
}

std::expected<NetworkGetDhcpLeasesResult, driver::Error> lease_result(
    const std::vector<driver::DhcpLease>& leases, bool wanted) {
  NetworkGetDhcpLeasesResult result{.leases = {}, .ret = static_cast<std::uint32_t>(leases.size())};
  if (leases.size() > kNetworkDhcpLeasesMax) {
    return std::unexpected(driver::Error(VIR_ERR_INTERNAL_ERROR,
                                         fmt::format("Number of leases is {}, which exceeds max limit: {}",
                                                     leases.size(), kNetworkDhcpLeasesMax),
                                         VIR_FROM_RPC));
  }
  if (wanted)
    for (const driver::DhcpLease& lease : leases) result.leases.push_back(to_protocol(lease));
  return result;
}

void send_network_event(Session& session, std::int32_t callback_id, const driver::NetworkEvent& event) {
  const NetworkEventLifecycleMsg message{.callback_id = callback_id,
                                         .net = to_protocol(event.network),
                                         .event = event.event,
                                         .detail = event.detail};
  session.send_event(
      kLifecycle,
      [](Encoder& to, const void* value) {
        encode(to, *static_cast<const NetworkEventLifecycleMsg*>(value));
      },
      &message);
}

}  // namespace

ConnectNumOfNetworksResult connect_num_of_networks(Call& call, const Nothing&) {
  return {.num = static_cast<std::int32_t>(list(call.session(), VIR_CONNECT_LIST_NETWORKS_ACTIVE).size())};
}

ConnectListNetworksResult connect_list_networks(Call& call, const ConnectListNetworksArgs& arguments) {
  ConnectListNetworksResult result;
  take_names(list(call.session(), VIR_CONNECT_LIST_NETWORKS_ACTIVE), arguments.maxnames, result.names);
  return result;
}

ConnectNumOfDefinedNetworksResult connect_num_of_defined_networks(Call& call, const Nothing&) {
  return {.num = static_cast<std::int32_t>(list(call.session(), VIR_CONNECT_LIST_NETWORKS_INACTIVE).size())};
}

ConnectListDefinedNetworksResult connect_list_defined_networks(
    Call& call, const ConnectListDefinedNetworksArgs& arguments) {
  ConnectListDefinedNetworksResult result;
  take_names(list(call.session(), VIR_CONNECT_LIST_NETWORKS_INACTIVE), arguments.maxnames, result.names);
  return result;
}

ConnectListAllNetworksResult connect_list_all_networks(Call& call,
                                                       const ConnectListAllNetworksArgs& arguments) {
  return list_all(list(call.session(), arguments.flags), arguments.need_results,
                  &ConnectListAllNetworksResult::nets, &to_protocol, "networks");
}

NetworkLookupByNameResult network_lookup_by_name(Call& call, const NetworkLookupByNameArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.networks().network_by_name(session.caller(), arguments.name))};
}

NetworkLookupByUuidResult network_lookup_by_uuid(Call& call, const NetworkLookupByUuidArgs& arguments) {
  Session& session = call.session();
  return {to_protocol(session.networks().network_by_uuid(session.caller(), to_driver(arguments.uuid)))};
}

NetworkGetXmlDescResult network_get_xml_desc(Call& call, const NetworkGetXmlDescArgs& arguments) {
  Session& session = call.session();
  return {session.networks().network_xml(session.caller(), to_driver(arguments.net.uuid), arguments.flags)};
}

NetworkGetBridgeNameResult network_get_bridge_name(Call& call, const NetworkGetBridgeNameArgs& arguments) {
  Session& session = call.session();
  return {session.networks().network_bridge(session.caller(), to_driver(arguments.net.uuid))};
}

NetworkGetAutostartResult network_get_autostart(Call& call, const NetworkGetAutostartArgs& arguments) {
  Session& session = call.session();
  return {session.networks().network_autostart(session.caller(), to_driver(arguments.net.uuid)) ? 1 : 0};
}

NetworkIsActiveResult network_is_active(Call& call, const NetworkIsActiveArgs& arguments) {
  Session& session = call.session();
  return {session.networks().network_is_active(session.caller(), to_driver(arguments.net.uuid)) ? 1 : 0};
}

NetworkIsPersistentResult network_is_persistent(Call& call, const NetworkIsPersistentArgs& arguments) {
  Session& session = call.session();
  return {session.networks().network_is_persistent(session.caller(), to_driver(arguments.net.uuid)) ? 1 : 0};
}

void network_get_dhcp_leases(Call& call, const NetworkGetDhcpLeasesArgs& arguments,
                             Reply<NetworkGetDhcpLeasesResult> reply) {
  using Leases = std::vector<driver::DhcpLease>;
  Session& session = call.session();
  session.networks().dhcp_leases(
      session.caller(), to_driver(arguments.net.uuid), arguments.mac, arguments.flags,
      [reply = std::move(reply),
       wanted = arguments.need_results != 0](std::expected<Leases, driver::Error> leases) mutable {
        reply(leases ? lease_result(*leases, wanted) : std::unexpected(leases.error()));
      });
}

void network_create_xml(Call& call, const NetworkCreateXmlArgs& arguments,
                        Reply<NetworkCreateXmlResult> reply) {
  Session& session = call.session();
  session.networks().create_network(session.caller(), arguments.xml, 0, when_network(std::move(reply)));
}

void network_create_xml_flags(Call& call, const NetworkCreateXmlFlagsArgs& arguments,
                              Reply<NetworkCreateXmlFlagsResult> reply) {
  Session& session = call.session();
  session.networks().create_network(session.caller(), arguments.xml, arguments.flags,
                                    when_network(std::move(reply)));
}

void network_define_xml(Call& call, const NetworkDefineXmlArgs& arguments,
                        Reply<NetworkDefineXmlResult> reply) {
  Session& session = call.session();
  session.networks().define_network(session.caller(), arguments.xml, 0, when_network(std::move(reply)));
}

void network_define_xml_flags(Call& call, const NetworkDefineXmlFlagsArgs& arguments,
                              Reply<NetworkDefineXmlFlagsResult> reply) {
  Session& session = call.session();
  session.networks().define_network(session.caller(), arguments.xml, arguments.flags,
                                    when_network(std::move(reply)));
}

void network_undefine(Call& call, const NetworkUndefineArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().undefine_network(session.caller(), to_driver(arguments.net.uuid),
                                      when_done(std::move(reply)));
}

void network_create(Call& call, const NetworkCreateArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().start_network(session.caller(), to_driver(arguments.net.uuid),
                                   when_done(std::move(reply)));
}

void network_destroy(Call& call, const NetworkDestroyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().stop_network(session.caller(), to_driver(arguments.net.uuid),
                                  when_done(std::move(reply)));
}

void network_set_autostart(Call& call, const NetworkSetAutostartArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().set_network_autostart(session.caller(), to_driver(arguments.net.uuid),
                                           arguments.autostart != 0, when_done(std::move(reply)));
}

// DEVNOTE: command and section are taken in the order of their names, which CONNECT_SUPPORTS_FEATURE
// announces (VIR_DRV_FEATURE_NETWORK_UPDATE_HAS_CORRECT_ORDER). That a client has not asked proves nothing:
// libvirt's own before 7.2.0 then swaps them, but those that speak the protocol themselves do not.
void network_update(Call& call, const NetworkUpdateArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.networks().update_network(session.caller(), to_driver(arguments.net.uuid),
                                    {.command = arguments.command,
                                     .section = arguments.section,
                                     .parent_index = arguments.parent_index,
                                     .xml = arguments.xml},
                                    arguments.flags, when_done(std::move(reply)));
}

ConnectNetworkEventRegisterAnyResult connect_network_event_register_any(
    Call& call, const ConnectNetworkEventRegisterAnyArgs& arguments) {
  Session& session = call.session();
  std::optional<driver::Uuid> network;
  if (arguments.net) network = to_driver(arguments.net->uuid);
  return {.callback_id = session.subscribe(Session::EventKind::network, [&](std::int32_t callback_id) {
    driver::NetworkDriver& networks = session.networks();
    auto id = networks.subscribe(arguments.event_id, network,
                                 [&session, callback_id](const driver::NetworkEvent& event) {
                                   send_network_event(session, callback_id, event);
                                 });
    return [&networks, id] { networks.unsubscribe(id); };
  })};
}

void connect_network_event_deregister_any(Call& call, const ConnectNetworkEventDeregisterAnyArgs& arguments) {
  if (!call.session().unsubscribe(Session::EventKind::network, arguments.callback_id)) {
    throw driver::Error(VIR_ERR_INTERNAL_ERROR,
                        fmt::format("network event callback {} not registered", arguments.callback_id),
                        VIR_FROM_RPC);
  }
}

}  // namespace warren::daemon::rpc::handlers
