// Arguments and results of the ADMIN program (libvirt-admin.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct AdminServer {
  std::string name;
};

struct AdminClient {
  AdminServer srv;
  std::uint64_t id = 0;
  std::int64_t timestamp = 0;
  std::uint32_t transport = 0;
};

struct AdminConnectOpenArgs {
  std::uint32_t flags = 0;
};

struct AdminConnectGetLibVersionResult {
  std::uint64_t lib_ver = 0;
};

struct AdminConnectListServersArgs {
  std::uint32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct AdminConnectListServersResult {
  Array<AdminServer, kAdminServerListMax> servers;
  std::uint32_t ret = 0;
};

struct AdminConnectLookupServerArgs {
  std::string name;
  std::uint32_t flags = 0;
};

struct AdminConnectLookupServerResult {
  AdminServer srv;
};

struct AdminServerGetThreadpoolParametersArgs {
  AdminServer srv;
  std::uint32_t flags = 0;
};

struct AdminServerGetThreadpoolParametersResult {
  Array<TypedParam, kAdminServerThreadpoolParametersMax> params;
};

struct AdminServerSetThreadpoolParametersArgs {
  AdminServer srv;
  Array<TypedParam, kAdminServerThreadpoolParametersMax> params;
  std::uint32_t flags = 0;
};

struct AdminServerListClientsArgs {
  AdminServer srv;
  std::uint32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct AdminServerListClientsResult {
  Array<AdminClient, kAdminClientListMax> clients;
  std::uint32_t ret = 0;
};

struct AdminServerLookupClientArgs {
  AdminServer srv;
  std::uint64_t id = 0;
  std::uint32_t flags = 0;
};

struct AdminServerLookupClientResult {
  AdminClient clnt;
};

struct AdminClientGetInfoArgs {
  AdminClient clnt;
  std::uint32_t flags = 0;
};

struct AdminClientGetInfoResult {
  Array<TypedParam, kAdminClientInfoParametersMax> params;
};

struct AdminClientCloseArgs {
  AdminClient clnt;
  std::uint32_t flags = 0;
};

struct AdminServerGetClientLimitsArgs {
  AdminServer srv;
  std::uint32_t flags = 0;
};

struct AdminServerGetClientLimitsResult {
  Array<TypedParam, kAdminServerClientLimitsMax> params;
};

struct AdminServerSetClientLimitsArgs {
  AdminServer srv;
  Array<TypedParam, kAdminServerClientLimitsMax> params;
  std::uint32_t flags = 0;
};

struct AdminServerUpdateTlsFilesArgs {
  AdminServer srv;
  std::uint32_t flags = 0;
};

struct AdminConnectGetLoggingOutputsArgs {
  std::uint32_t flags = 0;
};

struct AdminConnectGetLoggingOutputsResult {
  std::string outputs;
  std::uint32_t noutputs = 0;
};

struct AdminConnectGetLoggingFiltersArgs {
  std::uint32_t flags = 0;
};

struct AdminConnectGetLoggingFiltersResult {
  std::optional<std::string> filters;
  std::uint32_t nfilters = 0;
};

struct AdminConnectSetLoggingOutputsArgs {
  std::optional<std::string> outputs;
  std::uint32_t flags = 0;
};

struct AdminConnectSetLoggingFiltersArgs {
  std::optional<std::string> filters;
  std::uint32_t flags = 0;
};

struct AdminConnectSetDaemonTimeoutArgs {
  std::uint32_t timeout = 0;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
