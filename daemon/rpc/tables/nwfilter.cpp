// clang-format off: one line per procedure
#include "daemon/rpc/handlers_nwfilter.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::nwfilter_lookup_by_name>(175, "NWFILTER_LOOKUP_BY_NAME", kHigh, "nwfilter:getattr", Part::network_filters),
    served<&handlers::nwfilter_lookup_by_uuid>(176, "NWFILTER_LOOKUP_BY_UUID", kHigh, "nwfilter:getattr", Part::network_filters),
    served<&handlers::nwfilter_get_xml_desc>(177, "NWFILTER_GET_XML_DESC", kHigh, "nwfilter:read", Part::network_filters),
    served<&handlers::connect_num_of_nwfilters>(178, "CONNECT_NUM_OF_NWFILTERS", kHigh, "connect:search_nwfilters", Part::network_filters),
    served<&handlers::connect_list_nwfilters>(179, "CONNECT_LIST_NWFILTERS", kHigh, "connect:search_nwfilters", Part::network_filters),
    served<&handlers::nwfilter_define_xml>(180, "NWFILTER_DEFINE_XML", kHigh | kWrite, "nwfilter:write nwfilter:save", Part::network_filters),
    served<&handlers::nwfilter_undefine>(181, "NWFILTER_UNDEFINE", kHigh | kWrite, "nwfilter:delete", Part::network_filters),
    served<&handlers::connect_list_all_nwfilters>(286, "CONNECT_LIST_ALL_NWFILTERS", kHigh, "connect:search_nwfilters", Part::network_filters),
    served<&handlers::nwfilter_binding_lookup_by_port_dev>(397, "NWFILTER_BINDING_LOOKUP_BY_PORT_DEV", kHigh, "nwfilter_binding:getattr", Part::network_filters),
    served<&handlers::nwfilter_binding_get_xml_desc>(398, "NWFILTER_BINDING_GET_XML_DESC", kHigh, "nwfilter_binding:read", Part::network_filters),
    served<&handlers::nwfilter_binding_create_xml>(399, "NWFILTER_BINDING_CREATE_XML", kHigh | kWrite, "nwfilter_binding:create", Part::network_filters),
    served<&handlers::nwfilter_binding_delete>(400, "NWFILTER_BINDING_DELETE", kHigh | kWrite, "nwfilter_binding:delete", Part::network_filters),
    served<&handlers::connect_list_all_nwfilter_bindings>(401, "CONNECT_LIST_ALL_NWFILTER_BINDINGS", kHigh, "connect:search_nwfilter_bindings", Part::network_filters),
    served<&handlers::nwfilter_define_xml_flags>(431, "NWFILTER_DEFINE_XML_FLAGS", kHigh | kWrite, "nwfilter:write nwfilter:save", Part::network_filters),
};

}  // namespace

std::span<const Procedure> nwfilter_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
