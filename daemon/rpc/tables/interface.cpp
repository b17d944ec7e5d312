// clang-format off: one line per procedure
#include "daemon/rpc/handlers_interface.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::connect_num_of_interfaces>(126, "CONNECT_NUM_OF_INTERFACES", kHigh, "connect:search_interfaces", Part::interfaces),
    served<&handlers::connect_list_interfaces>(127, "CONNECT_LIST_INTERFACES", kHigh, "connect:search_interfaces", Part::interfaces),
    served<&handlers::interface_lookup_by_name>(128, "INTERFACE_LOOKUP_BY_NAME", kHigh, "interface:getattr", Part::interfaces),
    served<&handlers::interface_lookup_by_mac_string>(129, "INTERFACE_LOOKUP_BY_MAC_STRING", kHigh, "interface:getattr", Part::interfaces),
    served<&handlers::interface_get_xml_desc>(130, "INTERFACE_GET_XML_DESC", kLow, "interface:read", Part::interfaces),
    served<&handlers::interface_define_xml>(131, "INTERFACE_DEFINE_XML", kHigh | kWrite, "interface:write interface:save", Part::interfaces),
    served<&handlers::interface_undefine>(132, "INTERFACE_UNDEFINE", kHigh | kWrite, "interface:delete", Part::interfaces),
    served<&handlers::interface_create>(133, "INTERFACE_CREATE", kLow | kWrite, "interface:start", Part::interfaces),
    served<&handlers::interface_destroy>(134, "INTERFACE_DESTROY", kHigh | kWrite, "interface:stop", Part::interfaces),
    served<&handlers::connect_num_of_defined_interfaces>(137, "CONNECT_NUM_OF_DEFINED_INTERFACES", kHigh, "connect:search_interfaces", Part::interfaces),
    served<&handlers::connect_list_defined_interfaces>(138, "CONNECT_LIST_DEFINED_INTERFACES", kHigh, "connect:search_interfaces", Part::interfaces),
    served<&handlers::interface_is_active>(156, "INTERFACE_IS_ACTIVE", kHigh, "interface:read", Part::interfaces),
    served<&handlers::interface_change_begin>(220, "INTERFACE_CHANGE_BEGIN", kLow | kWrite, "connect:interface_transaction", Part::interfaces),
    served<&handlers::interface_change_commit>(221, "INTERFACE_CHANGE_COMMIT", kLow | kWrite, "connect:interface_transaction", Part::interfaces),
    served<&handlers::interface_change_rollback>(222, "INTERFACE_CHANGE_ROLLBACK", kLow | kWrite, "connect:interface_transaction", Part::interfaces),
    served<&handlers::connect_list_all_interfaces>(284, "CONNECT_LIST_ALL_INTERFACES", kHigh, "connect:search_interfaces", Part::interfaces),
};

}  // namespace

std::span<const Procedure> interface_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
