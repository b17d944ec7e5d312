#include "daemon/rpc/handlers_admin.h"

#include <optional>

#include <fmt/format.h>
#include <grp.h>
#include <libvirt/libvirt-admin.h>
#include <pwd.h>

#include "daemon/rpc/administration.h"
#include "daemon/rpc/session.h"
#include "vmm-core/os/error.h"

namespace warren::daemon::rpc::handlers {
namespace {

driver::Error admin_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_ADMIN};
}

void no_flags(std::uint32_t flags, std::string_view function) {
  driver::check_flags(flags, 0, function);
}

// The admin socket's sessions have one (Session refuses the program elsewhere).
Administration& administration(Call& call) {
  return *call.session().services().administration;
}

ManagedServer& find_server(Call& call, const std::string& name) {
  for (ManagedServer* server : administration(call).servers)
    if (server->name() == name) return *server;
  throw admin_error(VIR_ERR_NO_SERVER, fmt::format("No server named '{}'", name));
}

ClientDescription find_client(Call& call, const AdminServer& server, std::uint64_t id) {
  for (ClientDescription& client : find_server(call, server.name).clients())
    if (client.id == id) return client;
  throw admin_error(VIR_ERR_NO_CLIENT, fmt::format("No client with matching ID '{}'", id));
}

AdminClient to_protocol(const AdminServer& server, const ClientDescription& client) {
  auto since = std::chrono::duration_cast<std::chrono::seconds>(client.connected.time_since_epoch());
  return {.srv = server, .id = client.id, .timestamp = since.count(), .transport = VIR_CLIENT_TRANS_UNIX};
}

TypedParam parameter(const char* name, TypedValue value) {
  return {.field = name, .value = std::move(value)};
}

std::string user_name(uid_t user) {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  ::getpwuid_r(user, &entry, buffer, sizeof buffer, &found);
  return found != nullptr ? found->pw_name : std::to_string(user);
}

std::string group_name(gid_t number) {
  group entry{};
  group* found = nullptr;
  char buffer[4096];
  ::getgrgid_r(number, &entry, buffer, sizeof buffer, &found);
  return found != nullptr ? found->gr_name : std::to_string(number);
}

}  // namespace

void admin_connect_open(Call& call, const AdminConnectOpenArgs& arguments) {
  Session& session = call.session();
  no_flags(arguments.flags, "virAdmConnectOpen");
  if (session.is_open()) throw admin_error(VIR_ERR_INTERNAL_ERROR, "connection already open");
  session.open("virtwarrend:///system", driver::UriFlavour::warren, false);
}

void admin_connect_close(Call& call, const Nothing&) {
  call.session().close_when_sent();
}

AdminConnectGetLibVersionResult admin_connect_get_lib_version(Call&, const Nothing&) {
  return {.lib_ver = LIBVIR_VERSION_NUMBER};
}

AdminConnectListServersResult admin_connect_list_servers(Call& call,
                                                         const AdminConnectListServersArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectListServers");
  AdminConnectListServersResult result;
  const auto& servers = administration(call).servers;
  result.ret = static_cast<std::uint32_t>(servers.size());
  if (arguments.need_results != 0)
    for (const ManagedServer* server : servers) result.servers.push_back({.name = server->name()});
  return result;
}

AdminConnectLookupServerResult admin_connect_lookup_server(Call& call,
                                                           const AdminConnectLookupServerArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectLookupServer");
  return {.srv = {.name = find_server(call, arguments.name).name()}};
}

// One thread serves all clients, and never waits in doing so: the pool has that one worker, and no queue.
AdminServerGetThreadpoolParametersResult admin_server_get_threadpool_parameters(
    Call& call, const AdminServerGetThreadpoolParametersArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerGetThreadPoolParameters");
  find_server(call, arguments.srv.name);
  AdminServerGetThreadpoolParametersResult result;
  for (auto [name, value] :
       {std::pair(VIR_THREADPOOL_WORKERS_MIN, 1U), std::pair(VIR_THREADPOOL_WORKERS_MAX, 1U),
        std::pair(VIR_THREADPOOL_WORKERS_CURRENT, 1U), std::pair(VIR_THREADPOOL_WORKERS_FREE, 0U),
        std::pair(VIR_THREADPOOL_WORKERS_PRIORITY, 0U), std::pair(VIR_THREADPOOL_JOB_QUEUE_DEPTH, 0U)})
    result.params.push_back(parameter(name, value));
  return result;
}

void admin_server_set_threadpool_parameters(Call& call,
                                            const AdminServerSetThreadpoolParametersArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerSetThreadPoolParameters");
  find_server(call, arguments.srv.name);
  throw admin_error(VIR_ERR_OPERATION_UNSUPPORTED,
                    "one thread serves all clients of this daemon and never waits: there is no pool to size");
}

AdminServerListClientsResult admin_server_list_clients(Call& call,
                                                       const AdminServerListClientsArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerListClients");
  auto clients = find_server(call, arguments.srv.name).clients();
  AdminServerListClientsResult result;
  result.ret = static_cast<std::uint32_t>(clients.size());
  if (arguments.need_results != 0)
    for (const ClientDescription& client : clients)
      result.clients.push_back(to_protocol(arguments.srv, client));
  return result;
}

AdminServerLookupClientResult admin_server_lookup_client(Call& call,
                                                         const AdminServerLookupClientArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerLookupClient");
  return {.clnt = to_protocol(arguments.srv, find_client(call, arguments.srv, arguments.id))};
}

AdminClientGetInfoResult admin_client_get_info(Call& call, const AdminClientGetInfoArgs& arguments) {
  no_flags(arguments.flags, "virAdmClientGetInfo");
  const ClientDescription client = find_client(call, arguments.clnt.srv, arguments.clnt.id);
  AdminClientGetInfoResult result;
  result.params.push_back(parameter(VIR_CLIENT_INFO_READONLY, client.read_only));
  if (client.peer.user_id) {
    result.params.push_back(
        parameter(VIR_CLIENT_INFO_UNIX_USER_ID, static_cast<std::int32_t>(*client.peer.user_id)));
    result.params.push_back(parameter(VIR_CLIENT_INFO_UNIX_USER_NAME, user_name(*client.peer.user_id)));
  }
  if (client.peer.group_id) {
    result.params.push_back(
        parameter(VIR_CLIENT_INFO_UNIX_GROUP_ID, static_cast<std::int32_t>(*client.peer.group_id)));
    result.params.push_back(parameter(VIR_CLIENT_INFO_UNIX_GROUP_NAME, group_name(*client.peer.group_id)));
  }
  if (client.peer.process_id) {
    result.params.push_back(
        parameter(VIR_CLIENT_INFO_UNIX_PROCESS_ID, static_cast<std::int32_t>(*client.peer.process_id)));
  }
  return result;
}

void admin_client_close(Call& call, const AdminClientCloseArgs& arguments) {
  no_flags(arguments.flags, "virAdmClientClose");
  find_client(call, arguments.clnt.srv, arguments.clnt.id);
  find_server(call, arguments.clnt.srv.name).disconnect(arguments.clnt.id);
}

AdminServerGetClientLimitsResult admin_server_get_client_limits(
    Call& call, const AdminServerGetClientLimitsArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerGetClientLimits");
  const ManagedServer& server = find_server(call, arguments.srv.name);
  const ClientLimits limits = server.limits();
  AdminServerGetClientLimitsResult result;
  result.params.push_back(parameter(VIR_SERVER_CLIENTS_MAX, limits.most));
  result.params.push_back(
      parameter(VIR_SERVER_CLIENTS_CURRENT, static_cast<std::uint32_t>(server.clients().size())));
  result.params.push_back(parameter(VIR_SERVER_CLIENTS_UNAUTH_MAX, limits.most_anonymous));
  result.params.push_back(parameter(VIR_SERVER_CLIENTS_UNAUTH_CURRENT, server.anonymous_count()));
  return result;
}

void admin_server_set_client_limits(Call& call, const AdminServerSetClientLimitsArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerSetClientLimits");
  ManagedServer& server = find_server(call, arguments.srv.name);
  std::optional<std::uint32_t> most, most_anonymous;
  for (const TypedParam& entry : arguments.params) {
    std::optional<std::uint32_t>* target = entry.field == VIR_SERVER_CLIENTS_MAX          ? &most
                                           : entry.field == VIR_SERVER_CLIENTS_UNAUTH_MAX ? &most_anonymous
                                                                                          : nullptr;
    if (target == nullptr)
      throw admin_error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                        fmt::format("parameter '{}' not supported", entry.field));
    if (*target)
      throw admin_error(VIR_ERR_INVALID_ARG,
                        fmt::format("parameter '{}' occurs multiple times", entry.field));
    const auto* value = std::get_if<std::uint32_t>(&entry.value);
    if (value == nullptr || *value == 0)
      throw admin_error(VIR_ERR_INVALID_ARG,
                        fmt::format("parameter '{}' must be an unsigned int above 0", entry.field));
    *target = *value;
  }
  ClientLimits limits = server.limits();
  limits.most = most.value_or(limits.most);
  limits.most_anonymous = most_anonymous.value_or(limits.most_anonymous);
  if (limits.most_anonymous > limits.most)
    throw admin_error(
        VIR_ERR_INVALID_ARG,
        fmt::format("of {} clients at most there cannot be {} that have not opened a connection", limits.most,
                    limits.most_anonymous));
  server.set_limits(limits);
}

void admin_server_update_tls_files(Call& call, const AdminServerUpdateTlsFilesArgs& arguments) {
  no_flags(arguments.flags, "virAdmServerUpdateTlsFiles");
  find_server(call, arguments.srv.name);
  throw admin_error(VIR_ERR_OPERATION_UNSUPPORTED,
                    fmt::format("server '{}' does not serve TLS: it has no certificates to read again",
                                arguments.srv.name));
}

AdminConnectGetLoggingOutputsResult admin_connect_get_logging_outputs(
    Call& call, const AdminConnectGetLoggingOutputsArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectGetLoggingOutputs");
  const auto outputs = administration(call).log.outputs();
  return {.outputs = to_string(outputs), .noutputs = static_cast<std::uint32_t>(outputs.size())};
}

AdminConnectGetLoggingFiltersResult admin_connect_get_logging_filters(
    Call& call, const AdminConnectGetLoggingFiltersArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectGetLoggingFilters");
  const auto filters = administration(call).log.filters();
  AdminConnectGetLoggingFiltersResult result{.nfilters = static_cast<std::uint32_t>(filters.size())};
  if (!filters.empty()) result.filters = to_string(filters);
  return result;
}

void admin_connect_set_logging_outputs(Call& call, const AdminConnectSetLoggingOutputsArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectSetLoggingOutputs");
  try {
    administration(call).log.set_outputs(parse_log_outputs(arguments.outputs.value_or("")));
  } catch (const LogSettingsError& error) {
    throw admin_error(VIR_ERR_INVALID_ARG, error.what());
  } catch (const vmm::Error& error) {
    throw admin_error(VIR_ERR_OPERATION_FAILED, error.what());
  }
}

void admin_connect_set_logging_filters(Call& call, const AdminConnectSetLoggingFiltersArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectSetLoggingFilters");
  try {
    administration(call).log.set_filters(parse_log_filters(arguments.filters.value_or("")));
  } catch (const LogSettingsError& error) {
    throw admin_error(VIR_ERR_INVALID_ARG, error.what());
  }
}

void admin_connect_set_daemon_timeout(Call& call, const AdminConnectSetDaemonTimeoutArgs& arguments) {
  no_flags(arguments.flags, "virAdmConnectSetDaemonTimeout");
  administration(call).set_timeout(std::chrono::seconds(arguments.timeout));
}

}  // namespace warren::daemon::rpc::handlers
