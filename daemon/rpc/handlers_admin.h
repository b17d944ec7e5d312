// Calls of the ADMIN program, on the admin socket: virAdm*.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/admin.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void admin_connect_open(Call& call, const AdminConnectOpenArgs& arguments);
void admin_connect_close(Call& call, const Nothing&);
AdminConnectGetLibVersionResult admin_connect_get_lib_version(Call& call, const Nothing&);
AdminConnectListServersResult admin_connect_list_servers(Call& call,
                                                         const AdminConnectListServersArgs& arguments);
AdminConnectLookupServerResult admin_connect_lookup_server(Call& call,
                                                           const AdminConnectLookupServerArgs& arguments);
AdminServerGetThreadpoolParametersResult admin_server_get_threadpool_parameters(
    Call& call, const AdminServerGetThreadpoolParametersArgs& arguments);
void admin_server_set_threadpool_parameters(Call& call,
                                            const AdminServerSetThreadpoolParametersArgs& arguments);
AdminServerListClientsResult admin_server_list_clients(Call& call,
                                                       const AdminServerListClientsArgs& arguments);
AdminServerLookupClientResult admin_server_lookup_client(Call& call,
                                                         const AdminServerLookupClientArgs& arguments);
AdminClientGetInfoResult admin_client_get_info(Call& call, const AdminClientGetInfoArgs& arguments);
void admin_client_close(Call& call, const AdminClientCloseArgs& arguments);
AdminServerGetClientLimitsResult admin_server_get_client_limits(
    Call& call, const AdminServerGetClientLimitsArgs& arguments);
void admin_server_set_client_limits(Call& call, const AdminServerSetClientLimitsArgs& arguments);
void admin_server_update_tls_files(Call& call, const AdminServerUpdateTlsFilesArgs& arguments);
AdminConnectGetLoggingOutputsResult admin_connect_get_logging_outputs(
    Call& call, const AdminConnectGetLoggingOutputsArgs& arguments);
AdminConnectGetLoggingFiltersResult admin_connect_get_logging_filters(
    Call& call, const AdminConnectGetLoggingFiltersArgs& arguments);
void admin_connect_set_logging_outputs(Call& call, const AdminConnectSetLoggingOutputsArgs& arguments);
void admin_connect_set_logging_filters(Call& call, const AdminConnectSetLoggingFiltersArgs& arguments);
void admin_connect_set_daemon_timeout(Call& call, const AdminConnectSetDaemonTimeoutArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
