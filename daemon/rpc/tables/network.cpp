// clang-format off: one line per procedure
#include "daemon/rpc/handlers_network.h"
#include "daemon/rpc/handlers_network_port.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::connect_list_defined_networks>(36, "CONNECT_LIST_DEFINED_NETWORKS", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::connect_list_networks>(38, "CONNECT_LIST_NETWORKS", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::network_create>(39, "NETWORK_CREATE", kLow | kWrite, "network:start", Part::networks),
    served<&handlers::network_create_xml>(40, "NETWORK_CREATE_XML", kLow | kWrite, "network:write network:start", Part::networks),
    served<&handlers::network_define_xml>(41, "NETWORK_DEFINE_XML", kHigh | kWrite, "network:write network:save", Part::networks),
    served<&handlers::network_destroy>(42, "NETWORK_DESTROY", kHigh | kWrite, "network:stop", Part::networks),
    served<&handlers::network_get_xml_desc>(43, "NETWORK_GET_XML_DESC", kHigh, "network:read", Part::networks),
    served<&handlers::network_get_autostart>(44, "NETWORK_GET_AUTOSTART", kHigh, "network:read", Part::networks),
    served<&handlers::network_get_bridge_name>(45, "NETWORK_GET_BRIDGE_NAME", kHigh, "network:read", Part::networks),
    served<&handlers::network_lookup_by_name>(46, "NETWORK_LOOKUP_BY_NAME", kHigh, "network:getattr", Part::networks),
    served<&handlers::network_lookup_by_uuid>(47, "NETWORK_LOOKUP_BY_UUID", kHigh, "network:getattr", Part::networks),
    served<&handlers::network_set_autostart>(48, "NETWORK_SET_AUTOSTART", kHigh | kWrite, "network:write", Part::networks),
    served<&handlers::network_undefine>(49, "NETWORK_UNDEFINE", kHigh | kWrite, "network:delete", Part::networks),
    served<&handlers::connect_num_of_defined_networks>(50, "CONNECT_NUM_OF_DEFINED_NETWORKS", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::connect_num_of_networks>(52, "CONNECT_NUM_OF_NETWORKS", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::network_is_active>(152, "NETWORK_IS_ACTIVE", kHigh, "network:read", Part::networks),
    served<&handlers::network_is_persistent>(153, "NETWORK_IS_PERSISTENT", kHigh, "network:read", Part::networks),
    served<&handlers::connect_list_all_networks>(283, "CONNECT_LIST_ALL_NETWORKS", kHigh, "connect:search_networks", Part::networks),
    served<&handlers::network_update>(291, "NETWORK_UPDATE", kHigh | kWrite, "network:write network:save:!VIR_NETWORK_UPDATE_AFFECT_CONFIG|VIR_NETWORK_UPDATE_AFFECT_LIVE network:save:VIR_NETWORK_UPDATE_AFFECT_CONFIG", Part::networks),
    served<&handlers::network_get_dhcp_leases>(341, "NETWORK_GET_DHCP_LEASES", kLow, "network:read", Part::networks),
    served<&handlers::network_list_all_ports>(404, "NETWORK_LIST_ALL_PORTS", kHigh, "network:search_ports", Part::networks),
    served<&handlers::network_port_lookup_by_uuid>(405, "NETWORK_PORT_LOOKUP_BY_UUID", kHigh, "network_port:getattr", Part::networks),
    served<&handlers::network_port_create_xml>(406, "NETWORK_PORT_CREATE_XML", kLow | kWrite, "network_port:create", Part::networks),
    served<&handlers::network_port_get_parameters>(407, "NETWORK_PORT_GET_PARAMETERS", kLow, "network_port:read", Part::networks),
    served<&handlers::network_port_set_parameters>(408, "NETWORK_PORT_SET_PARAMETERS", kLow | kWrite, "network_port:write", Part::networks),
    served<&handlers::network_port_get_xml_desc>(409, "NETWORK_PORT_GET_XML_DESC", kLow, "network_port:read", Part::networks),
    served<&handlers::network_port_delete>(410, "NETWORK_PORT_DELETE", kLow | kWrite, "network_port:delete", Part::networks),
    served<&handlers::network_define_xml_flags>(432, "NETWORK_DEFINE_XML_FLAGS", kHigh | kWrite, "network:write network:save", Part::networks),
    served<&handlers::network_create_xml_flags>(437, "NETWORK_CREATE_XML_FLAGS", kHigh | kWrite, "network:write network:start", Part::networks),
};

}  // namespace

std::span<const Procedure> network_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
