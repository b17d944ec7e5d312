// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/admin.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<AdminConnectOpenArgs, Nothing>(1, "CONNECT_OPEN", kHigh, "none"),
    missing<Nothing, Nothing>(2, "CONNECT_CLOSE", kHigh, "none"),
    missing<Nothing, AdminConnectGetLibVersionResult>(3, "CONNECT_GET_LIB_VERSION", kHigh, "none"),
    missing<AdminConnectListServersArgs, AdminConnectListServersResult>(4, "CONNECT_LIST_SERVERS", kHigh, "none"),
    missing<AdminConnectLookupServerArgs, AdminConnectLookupServerResult>(5, "CONNECT_LOOKUP_SERVER", kHigh, "none"),
    missing<AdminServerGetThreadpoolParametersArgs, AdminServerGetThreadpoolParametersResult>(6, "SERVER_GET_THREADPOOL_PARAMETERS", kHigh, "none"),
    missing<AdminServerSetThreadpoolParametersArgs, Nothing>(7, "SERVER_SET_THREADPOOL_PARAMETERS", kHigh, "none"),
    missing<AdminServerListClientsArgs, AdminServerListClientsResult>(8, "SERVER_LIST_CLIENTS", kHigh, "none"),
    missing<AdminServerLookupClientArgs, AdminServerLookupClientResult>(9, "SERVER_LOOKUP_CLIENT", kHigh, "none"),
    missing<AdminClientGetInfoArgs, AdminClientGetInfoResult>(10, "CLIENT_GET_INFO", kHigh, "none"),
    missing<AdminClientCloseArgs, Nothing>(11, "CLIENT_CLOSE", kHigh, "none"),
    missing<AdminServerGetClientLimitsArgs, AdminServerGetClientLimitsResult>(12, "SERVER_GET_CLIENT_LIMITS", kHigh, "none"),
    missing<AdminServerSetClientLimitsArgs, Nothing>(13, "SERVER_SET_CLIENT_LIMITS", kHigh, "none"),
    missing<AdminConnectGetLoggingOutputsArgs, AdminConnectGetLoggingOutputsResult>(14, "CONNECT_GET_LOGGING_OUTPUTS", kHigh, "none"),
    missing<AdminConnectGetLoggingFiltersArgs, AdminConnectGetLoggingFiltersResult>(15, "CONNECT_GET_LOGGING_FILTERS", kHigh, "none"),
    missing<AdminConnectSetLoggingOutputsArgs, Nothing>(16, "CONNECT_SET_LOGGING_OUTPUTS", kHigh, "none"),
    missing<AdminConnectSetLoggingFiltersArgs, Nothing>(17, "CONNECT_SET_LOGGING_FILTERS", kHigh, "none"),
    missing<AdminServerUpdateTlsFilesArgs, Nothing>(18, "SERVER_UPDATE_TLS_FILES", kHigh, "none"),
    missing<AdminConnectSetDaemonTimeoutArgs, Nothing>(19, "CONNECT_SET_DAEMON_TIMEOUT", kHigh, "none"),
};

}  // namespace

std::span<const Procedure> admin_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
