// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/nwfilter.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<NwfilterLookupByNameArgs, NwfilterLookupByNameResult>(175, "NWFILTER_LOOKUP_BY_NAME", kHigh, "nwfilter:getattr"),
    missing<NwfilterLookupByUuidArgs, NwfilterLookupByUuidResult>(176, "NWFILTER_LOOKUP_BY_UUID", kHigh, "nwfilter:getattr"),
    missing<NwfilterGetXmlDescArgs, NwfilterGetXmlDescResult>(177, "NWFILTER_GET_XML_DESC", kHigh, "nwfilter:read"),
    missing<Nothing, ConnectNumOfNwfiltersResult>(178, "CONNECT_NUM_OF_NWFILTERS", kHigh, "connect:search_nwfilters"),
    missing<ConnectListNwfiltersArgs, ConnectListNwfiltersResult>(179, "CONNECT_LIST_NWFILTERS", kHigh, "connect:search_nwfilters"),
    missing<NwfilterDefineXmlArgs, NwfilterDefineXmlResult>(180, "NWFILTER_DEFINE_XML", kHigh | kWrite, "nwfilter:write nwfilter:save"),
    missing<NwfilterUndefineArgs, Nothing>(181, "NWFILTER_UNDEFINE", kHigh | kWrite, "nwfilter:delete"),
    missing<ConnectListAllNwfiltersArgs, ConnectListAllNwfiltersResult>(286, "CONNECT_LIST_ALL_NWFILTERS", kHigh, "connect:search_nwfilters"),
    missing<NwfilterBindingLookupByPortDevArgs, NwfilterBindingLookupByPortDevResult>(397, "NWFILTER_BINDING_LOOKUP_BY_PORT_DEV", kHigh, "nwfilter_binding:getattr"),
    missing<NwfilterBindingGetXmlDescArgs, NwfilterBindingGetXmlDescResult>(398, "NWFILTER_BINDING_GET_XML_DESC", kHigh, "nwfilter_binding:read"),
    missing<NwfilterBindingCreateXmlArgs, NwfilterBindingCreateXmlResult>(399, "NWFILTER_BINDING_CREATE_XML", kHigh | kWrite, "nwfilter_binding:create"),
    missing<NwfilterBindingDeleteArgs, Nothing>(400, "NWFILTER_BINDING_DELETE", kHigh | kWrite, "nwfilter_binding:delete"),
    missing<ConnectListAllNwfilterBindingsArgs, ConnectListAllNwfilterBindingsResult>(401, "CONNECT_LIST_ALL_NWFILTER_BINDINGS", kHigh, "connect:search_nwfilter_bindings"),
    missing<NwfilterDefineXmlFlagsArgs, NwfilterDefineXmlFlagsResult>(431, "NWFILTER_DEFINE_XML_FLAGS", kHigh | kWrite, "nwfilter:write nwfilter:save"),
};

}  // namespace

std::span<const Procedure> nwfilter_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
