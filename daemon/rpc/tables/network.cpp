// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/network.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<ConnectListDefinedNetworksArgs, ConnectListDefinedNetworksResult>(36, "CONNECT_LIST_DEFINED_NETWORKS", kHigh, "connect:search_networks"),
    missing<ConnectListNetworksArgs, ConnectListNetworksResult>(38, "CONNECT_LIST_NETWORKS", kHigh, "connect:search_networks"),
    missing<NetworkCreateArgs, Nothing>(39, "NETWORK_CREATE", kLow | kWrite, "network:start"),
    missing<NetworkCreateXmlArgs, NetworkCreateXmlResult>(40, "NETWORK_CREATE_XML", kLow | kWrite, "network:write network:start"),
    missing<NetworkDefineXmlArgs, NetworkDefineXmlResult>(41, "NETWORK_DEFINE_XML", kHigh | kWrite, "network:write network:save"),
    missing<NetworkDestroyArgs, Nothing>(42, "NETWORK_DESTROY", kHigh | kWrite, "network:stop"),
    missing<NetworkGetXmlDescArgs, NetworkGetXmlDescResult>(43, "NETWORK_GET_XML_DESC", kHigh, "network:read"),
    missing<NetworkGetAutostartArgs, NetworkGetAutostartResult>(44, "NETWORK_GET_AUTOSTART", kHigh, "network:read"),
    missing<NetworkGetBridgeNameArgs, NetworkGetBridgeNameResult>(45, "NETWORK_GET_BRIDGE_NAME", kHigh, "network:read"),
    missing<NetworkLookupByNameArgs, NetworkLookupByNameResult>(46, "NETWORK_LOOKUP_BY_NAME", kHigh, "network:getattr"),
    missing<NetworkLookupByUuidArgs, NetworkLookupByUuidResult>(47, "NETWORK_LOOKUP_BY_UUID", kHigh, "network:getattr"),
    missing<NetworkSetAutostartArgs, Nothing>(48, "NETWORK_SET_AUTOSTART", kHigh | kWrite, "network:write"),
    missing<NetworkUndefineArgs, Nothing>(49, "NETWORK_UNDEFINE", kHigh | kWrite, "network:delete"),
    missing<Nothing, ConnectNumOfDefinedNetworksResult>(50, "CONNECT_NUM_OF_DEFINED_NETWORKS", kHigh, "connect:search_networks"),
    missing<Nothing, ConnectNumOfNetworksResult>(52, "CONNECT_NUM_OF_NETWORKS", kHigh, "connect:search_networks"),
    missing<NetworkIsActiveArgs, NetworkIsActiveResult>(152, "NETWORK_IS_ACTIVE", kHigh, "network:read"),
    missing<NetworkIsPersistentArgs, NetworkIsPersistentResult>(153, "NETWORK_IS_PERSISTENT", kHigh, "network:read"),
    missing<ConnectListAllNetworksArgs, ConnectListAllNetworksResult>(283, "CONNECT_LIST_ALL_NETWORKS", kHigh, "connect:search_networks"),
    missing<NetworkUpdateArgs, Nothing>(291, "NETWORK_UPDATE", kHigh | kWrite, "network:write network:save:!VIR_NETWORK_UPDATE_AFFECT_CONFIG|VIR_NETWORK_UPDATE_AFFECT_LIVE network:save:VIR_NETWORK_UPDATE_AFFECT_CONFIG"),
    missing<NetworkGetDhcpLeasesArgs, NetworkGetDhcpLeasesResult>(341, "NETWORK_GET_DHCP_LEASES", kLow, "network:read"),
    missing<NetworkListAllPortsArgs, NetworkListAllPortsResult>(404, "NETWORK_LIST_ALL_PORTS", kHigh, "network:search_ports"),
    missing<NetworkPortLookupByUuidArgs, NetworkPortLookupByUuidResult>(405, "NETWORK_PORT_LOOKUP_BY_UUID", kHigh, "network_port:getattr"),
    missing<NetworkPortCreateXmlArgs, NetworkPortCreateXmlResult>(406, "NETWORK_PORT_CREATE_XML", kLow | kWrite, "network_port:create"),
    missing<NetworkPortGetParametersArgs, NetworkPortGetParametersResult>(407, "NETWORK_PORT_GET_PARAMETERS", kLow, "network_port:read"),
    missing<NetworkPortSetParametersArgs, Nothing>(408, "NETWORK_PORT_SET_PARAMETERS", kLow | kWrite, "network_port:write"),
    missing<NetworkPortGetXmlDescArgs, NetworkPortGetXmlDescResult>(409, "NETWORK_PORT_GET_XML_DESC", kLow, "network_port:read"),
    missing<NetworkPortDeleteArgs, Nothing>(410, "NETWORK_PORT_DELETE", kLow | kWrite, "network_port:delete"),
    missing<NetworkDefineXmlFlagsArgs, NetworkDefineXmlFlagsResult>(432, "NETWORK_DEFINE_XML_FLAGS", kHigh | kWrite, "network:write network:save"),
    missing<NetworkCreateXmlFlagsArgs, NetworkCreateXmlFlagsResult>(437, "NETWORK_CREATE_XML_FLAGS", kHigh | kWrite, "network:write network:start"),
};

}  // namespace

std::span<const Procedure> network_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
