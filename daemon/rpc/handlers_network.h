// Calls about virtual networks, and registration for their events.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/protocol/network.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectNumOfNetworksResult connect_num_of_networks(Call& call, const Nothing&);
ConnectListNetworksResult connect_list_networks(Call& call, const ConnectListNetworksArgs& arguments);
ConnectNumOfDefinedNetworksResult connect_num_of_defined_networks(Call& call, const Nothing&);
ConnectListDefinedNetworksResult connect_list_defined_networks(
    Call& call, const ConnectListDefinedNetworksArgs& arguments);
ConnectListAllNetworksResult connect_list_all_networks(Call& call,
                                                       const ConnectListAllNetworksArgs& arguments);

NetworkLookupByNameResult network_lookup_by_name(Call& call, const NetworkLookupByNameArgs& arguments);
NetworkLookupByUuidResult network_lookup_by_uuid(Call& call, const NetworkLookupByUuidArgs& arguments);
NetworkGetXmlDescResult network_get_xml_desc(Call& call, const NetworkGetXmlDescArgs& arguments);
NetworkGetBridgeNameResult network_get_bridge_name(Call& call, const NetworkGetBridgeNameArgs& arguments);
NetworkGetAutostartResult network_get_autostart(Call& call, const NetworkGetAutostartArgs& arguments);
NetworkIsActiveResult network_is_active(Call& call, const NetworkIsActiveArgs& arguments);
NetworkIsPersistentResult network_is_persistent(Call& call, const NetworkIsPersistentArgs& arguments);
void network_get_dhcp_leases(Call& call, const NetworkGetDhcpLeasesArgs& arguments,
                             Reply<NetworkGetDhcpLeasesResult> reply);

void network_create_xml(Call& call, const NetworkCreateXmlArgs& arguments,
                        Reply<NetworkCreateXmlResult> reply);
void network_create_xml_flags(Call& call, const NetworkCreateXmlFlagsArgs& arguments,
                              Reply<NetworkCreateXmlFlagsResult> reply);
void network_define_xml(Call& call, const NetworkDefineXmlArgs& arguments,
                        Reply<NetworkDefineXmlResult> reply);
void network_define_xml_flags(Call& call, const NetworkDefineXmlFlagsArgs& arguments,
                              Reply<NetworkDefineXmlFlagsResult> reply);
void network_undefine(Call& call, const NetworkUndefineArgs& arguments, Reply<Nothing> reply);
void network_create(Call& call, const NetworkCreateArgs& arguments, Reply<Nothing> reply);
void network_destroy(Call& call, const NetworkDestroyArgs& arguments, Reply<Nothing> reply);
void network_set_autostart(Call& call, const NetworkSetAutostartArgs& arguments, Reply<Nothing> reply);
void network_update(Call& call, const NetworkUpdateArgs& arguments, Reply<Nothing> reply);

ConnectNetworkEventRegisterAnyResult connect_network_event_register_any(
    Call& call, const ConnectNetworkEventRegisterAnyArgs& arguments);
void connect_network_event_deregister_any(Call& call, const ConnectNetworkEventDeregisterAnyArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
