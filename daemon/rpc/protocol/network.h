// Arguments and results of the calls for virtual networks and their ports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectListDefinedNetworksArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListDefinedNetworksResult {
  Array<std::string, kNetworkListMax> names;
};

struct ConnectListNetworksArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListNetworksResult {
  Array<std::string, kNetworkListMax> names;
};

struct NetworkCreateArgs {
  Network net;
};

struct NetworkCreateXmlArgs {
  std::string xml;
};

struct NetworkCreateXmlResult {
  Network net;
};

struct NetworkDefineXmlArgs {
  std::string xml;
};

struct NetworkDefineXmlResult {
  Network net;
};

struct NetworkDestroyArgs {
  Network net;
};

struct NetworkGetXmlDescArgs {
  Network net;
  std::uint32_t flags = 0;
};

struct NetworkGetXmlDescResult {
  std::string xml;
};

struct NetworkGetAutostartArgs {
  Network net;
};

struct NetworkGetAutostartResult {
  std::int32_t autostart = 0;
};

struct NetworkGetBridgeNameArgs {
  Network net;
};

struct NetworkGetBridgeNameResult {
  std::string name;
};

struct NetworkLookupByNameArgs {
  std::string name;
};

struct NetworkLookupByNameResult {
  Network net;
};

struct NetworkLookupByUuidArgs {
  Uuid uuid{};
};

struct NetworkLookupByUuidResult {
  Network net;
};

struct NetworkSetAutostartArgs {
  Network net;
  std::int32_t autostart = 0;
};

struct NetworkUndefineArgs {
  Network net;
};

struct ConnectNumOfDefinedNetworksResult {
  std::int32_t num = 0;
};

struct ConnectNumOfNetworksResult {
  std::int32_t num = 0;
};

struct NetworkIsActiveArgs {
  Network net;
};

struct NetworkIsActiveResult {
  std::int32_t active = 0;
};

struct NetworkIsPersistentArgs {
  Network net;
};

struct NetworkIsPersistentResult {
  std::int32_t persistent = 0;
};

struct ConnectListAllNetworksArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllNetworksResult {
  Array<Network, kNetworkListMax> nets;
  std::uint32_t ret = 0;
};

struct NetworkUpdateArgs {
  Network net;
  std::uint32_t command = 0;
  std::uint32_t section = 0;
  std::int32_t parent_index = 0;
  std::string xml;
  std::uint32_t flags = 0;
};

struct NetworkGetDhcpLeasesArgs {
  Network net;
  std::optional<std::string> mac;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct NetworkDhcpLease {
  std::string iface;
  std::int64_t expirytime = 0;
  std::int32_t type = 0;
  std::optional<std::string> mac;
  std::optional<std::string> iaid;
  std::string ipaddr;
  std::uint32_t prefix = 0;
  std::optional<std::string> hostname;
  std::optional<std::string> clientid;
};

struct NetworkGetDhcpLeasesResult {
  Array<NetworkDhcpLease, kNetworkDhcpLeasesMax> leases;
  std::uint32_t ret = 0;
};

struct NetworkListAllPortsArgs {
  Network network;
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct NetworkListAllPortsResult {
  Array<NetworkPort, kNetworkPortListMax> ports;
  std::uint32_t ret = 0;
};

struct NetworkPortLookupByUuidArgs {
  Network network;
  Uuid uuid{};
};

struct NetworkPortLookupByUuidResult {
  NetworkPort port;
};

struct NetworkPortCreateXmlArgs {
  Network network;
  std::string xml;
  std::uint32_t flags = 0;
};

struct NetworkPortCreateXmlResult {
  NetworkPort port;
};

struct NetworkPortGetParametersArgs {
  NetworkPort port;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct NetworkPortGetParametersResult {
  Array<TypedParam, kNetworkPortParametersMax> params;
  std::int32_t nparams = 0;
};

struct NetworkPortSetParametersArgs {
  NetworkPort port;
  Array<TypedParam, kNetworkPortParametersMax> params;
  std::uint32_t flags = 0;
};

struct NetworkPortGetXmlDescArgs {
  NetworkPort port;
  std::uint32_t flags = 0;
};

struct NetworkPortGetXmlDescResult {
  std::string xml;
};

struct NetworkPortDeleteArgs {
  NetworkPort port;
  std::uint32_t flags = 0;
};

struct NetworkDefineXmlFlagsArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct NetworkDefineXmlFlagsResult {
  Network net;
};

struct NetworkCreateXmlFlagsArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct NetworkCreateXmlFlagsResult {
  Network net;
};

}  // namespace warren::daemon::rpc::protocol
