// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/interface.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<Nothing, ConnectNumOfInterfacesResult>(126, "CONNECT_NUM_OF_INTERFACES", kHigh, "connect:search_interfaces"),
    missing<ConnectListInterfacesArgs, ConnectListInterfacesResult>(127, "CONNECT_LIST_INTERFACES", kHigh, "connect:search_interfaces"),
    missing<InterfaceLookupByNameArgs, InterfaceLookupByNameResult>(128, "INTERFACE_LOOKUP_BY_NAME", kHigh, "interface:getattr"),
    missing<InterfaceLookupByMacStringArgs, InterfaceLookupByMacStringResult>(129, "INTERFACE_LOOKUP_BY_MAC_STRING", kHigh, "interface:getattr"),
    missing<InterfaceGetXmlDescArgs, InterfaceGetXmlDescResult>(130, "INTERFACE_GET_XML_DESC", kLow, "interface:read"),
    missing<InterfaceDefineXmlArgs, InterfaceDefineXmlResult>(131, "INTERFACE_DEFINE_XML", kHigh | kWrite, "interface:write interface:save"),
    missing<InterfaceUndefineArgs, Nothing>(132, "INTERFACE_UNDEFINE", kHigh | kWrite, "interface:delete"),
    missing<InterfaceCreateArgs, Nothing>(133, "INTERFACE_CREATE", kLow | kWrite, "interface:start"),
    missing<InterfaceDestroyArgs, Nothing>(134, "INTERFACE_DESTROY", kHigh | kWrite, "interface:stop"),
    missing<Nothing, ConnectNumOfDefinedInterfacesResult>(137, "CONNECT_NUM_OF_DEFINED_INTERFACES", kHigh, "connect:search_interfaces"),
    missing<ConnectListDefinedInterfacesArgs, ConnectListDefinedInterfacesResult>(138, "CONNECT_LIST_DEFINED_INTERFACES", kHigh, "connect:search_interfaces"),
    missing<InterfaceIsActiveArgs, InterfaceIsActiveResult>(156, "INTERFACE_IS_ACTIVE", kHigh, "interface:read"),
    missing<InterfaceChangeBeginArgs, Nothing>(220, "INTERFACE_CHANGE_BEGIN", kLow | kWrite, "connect:interface_transaction"),
    missing<InterfaceChangeCommitArgs, Nothing>(221, "INTERFACE_CHANGE_COMMIT", kLow | kWrite, "connect:interface_transaction"),
    missing<InterfaceChangeRollbackArgs, Nothing>(222, "INTERFACE_CHANGE_ROLLBACK", kLow | kWrite, "connect:interface_transaction"),
    missing<ConnectListAllInterfacesArgs, ConnectListAllInterfacesResult>(284, "CONNECT_LIST_ALL_INTERFACES", kHigh, "connect:search_interfaces"),
};

}  // namespace

std::span<const Procedure> interface_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
