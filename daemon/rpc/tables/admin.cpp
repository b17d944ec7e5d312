// clang-format off: one line per procedure
#include "daemon/rpc/handlers_admin.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/admin.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::admin_connect_open>(1, "CONNECT_OPEN", kHigh | kPreOpen, "none"),
    served<&handlers::admin_connect_close>(2, "CONNECT_CLOSE", kHigh | kPreOpen, "none"),
    served<&handlers::admin_connect_get_lib_version>(3, "CONNECT_GET_LIB_VERSION", kHigh, "none"),
    served<&handlers::admin_connect_list_servers>(4, "CONNECT_LIST_SERVERS", kHigh, "none"),
    served<&handlers::admin_connect_lookup_server>(5, "CONNECT_LOOKUP_SERVER", kHigh, "none"),
    served<&handlers::admin_server_get_threadpool_parameters>(6, "SERVER_GET_THREADPOOL_PARAMETERS", kHigh, "none"),
    served<&handlers::admin_server_set_threadpool_parameters>(7, "SERVER_SET_THREADPOOL_PARAMETERS", kHigh, "none"),
    served<&handlers::admin_server_list_clients>(8, "SERVER_LIST_CLIENTS", kHigh, "none"),
    served<&handlers::admin_server_lookup_client>(9, "SERVER_LOOKUP_CLIENT", kHigh, "none"),
    served<&handlers::admin_client_get_info>(10, "CLIENT_GET_INFO", kHigh, "none"),
    served<&handlers::admin_client_close>(11, "CLIENT_CLOSE", kHigh, "none"),
    served<&handlers::admin_server_get_client_limits>(12, "SERVER_GET_CLIENT_LIMITS", kHigh, "none"),
    served<&handlers::admin_server_set_client_limits>(13, "SERVER_SET_CLIENT_LIMITS", kHigh, "none"),
    served<&handlers::admin_connect_get_logging_outputs>(14, "CONNECT_GET_LOGGING_OUTPUTS", kHigh, "none"),
    served<&handlers::admin_connect_get_logging_filters>(15, "CONNECT_GET_LOGGING_FILTERS", kHigh, "none"),
    served<&handlers::admin_connect_set_logging_outputs>(16, "CONNECT_SET_LOGGING_OUTPUTS", kHigh, "none"),
    served<&handlers::admin_connect_set_logging_filters>(17, "CONNECT_SET_LOGGING_FILTERS", kHigh, "none"),
    served<&handlers::admin_server_update_tls_files>(18, "SERVER_UPDATE_TLS_FILES", kHigh, "none"),
    served<&handlers::admin_connect_set_daemon_timeout>(19, "CONNECT_SET_DAEMON_TIMEOUT", kHigh, "none"),
};

}  // namespace

std::span<const Procedure> admin_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
