// clang-format off: one line per procedure
#include "daemon/rpc/handlers_secret.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::connect_num_of_secrets>(139, "CONNECT_NUM_OF_SECRETS", kHigh, "connect:search_secrets", Part::secrets),
    served<&handlers::connect_list_secrets>(140, "CONNECT_LIST_SECRETS", kHigh, "connect:search_secrets", Part::secrets),
    served<&handlers::secret_lookup_by_uuid>(141, "SECRET_LOOKUP_BY_UUID", kHigh, "secret:getattr", Part::secrets),
    served<&handlers::secret_define_xml>(142, "SECRET_DEFINE_XML", kHigh | kWrite, "secret:write secret:save", Part::secrets),
    served<&handlers::secret_get_xml_desc>(143, "SECRET_GET_XML_DESC", kHigh, "secret:read", Part::secrets),
    served<&handlers::secret_set_value>(144, "SECRET_SET_VALUE", kHigh | kWrite | kSensitive, "secret:write", Part::secrets),
    served<&handlers::secret_get_value>(145, "SECRET_GET_VALUE", kHigh | kWrite | kSensitive, "secret:read_secure", Part::secrets),
    served<&handlers::secret_undefine>(146, "SECRET_UNDEFINE", kHigh | kWrite, "secret:delete", Part::secrets),
    served<&handlers::secret_lookup_by_usage>(147, "SECRET_LOOKUP_BY_USAGE", kHigh, "secret:getattr", Part::secrets),
    served<&handlers::connect_list_all_secrets>(287, "CONNECT_LIST_ALL_SECRETS", kHigh, "connect:search_secrets", Part::secrets),
};

}  // namespace

std::span<const Procedure> secret_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
