// Calls about the ports of virtual networks.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/network.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

NetworkListAllPortsResult network_list_all_ports(Call& call, const NetworkListAllPortsArgs& arguments);
NetworkPortLookupByUuidResult network_port_lookup_by_uuid(Call& call,
                                                          const NetworkPortLookupByUuidArgs& arguments);
NetworkPortGetXmlDescResult network_port_get_xml_desc(Call& call, const NetworkPortGetXmlDescArgs& arguments);
NetworkPortGetParametersResult network_port_get_parameters(Call& call,
                                                           const NetworkPortGetParametersArgs& arguments);
void network_port_create_xml(Call& call, const NetworkPortCreateXmlArgs& arguments,
                             Reply<NetworkPortCreateXmlResult> reply);
void network_port_set_parameters(Call& call, const NetworkPortSetParametersArgs& arguments,
                                 Reply<Nothing> reply);
void network_port_delete(Call& call, const NetworkPortDeleteArgs& arguments, Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
