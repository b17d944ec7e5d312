// Calls about the host's own network interfaces, and about changes of several at once.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/interface.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void connect_num_of_interfaces(Call& call, const Nothing&, Reply<ConnectNumOfInterfacesResult> reply);
void connect_list_interfaces(Call& call, const ConnectListInterfacesArgs& arguments,
                             Reply<ConnectListInterfacesResult> reply);
void connect_num_of_defined_interfaces(Call& call, const Nothing&,
                                       Reply<ConnectNumOfDefinedInterfacesResult> reply);
void connect_list_defined_interfaces(Call& call, const ConnectListDefinedInterfacesArgs& arguments,
                                     Reply<ConnectListDefinedInterfacesResult> reply);
void connect_list_all_interfaces(Call& call, const ConnectListAllInterfacesArgs& arguments,
                                 Reply<ConnectListAllInterfacesResult> reply);
void interface_lookup_by_name(Call& call, const InterfaceLookupByNameArgs& arguments,
                              Reply<InterfaceLookupByNameResult> reply);
void interface_lookup_by_mac_string(Call& call, const InterfaceLookupByMacStringArgs& arguments,
                                    Reply<InterfaceLookupByMacStringResult> reply);
void interface_get_xml_desc(Call& call, const InterfaceGetXmlDescArgs& arguments,
                            Reply<InterfaceGetXmlDescResult> reply);
void interface_is_active(Call& call, const InterfaceIsActiveArgs& arguments,
                         Reply<InterfaceIsActiveResult> reply);
void interface_define_xml(Call& call, const InterfaceDefineXmlArgs& arguments,
                          Reply<InterfaceDefineXmlResult> reply);
void interface_undefine(Call& call, const InterfaceUndefineArgs& arguments, Reply<Nothing> reply);
void interface_create(Call& call, const InterfaceCreateArgs& arguments, Reply<Nothing> reply);
void interface_destroy(Call& call, const InterfaceDestroyArgs& arguments, Reply<Nothing> reply);

// A change belongs to the host, not to the connection that began it, and outlives that.
void interface_change_begin(Call& call, const InterfaceChangeBeginArgs& arguments, Reply<Nothing> reply);
void interface_change_commit(Call& call, const InterfaceChangeCommitArgs& arguments, Reply<Nothing> reply);
void interface_change_rollback(Call& call, const InterfaceChangeRollbackArgs& arguments,
                               Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
