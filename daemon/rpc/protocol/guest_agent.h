// Arguments and results of the calls answered by the agent inside a guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainPmSuspendForDurationArgs {
  Domain dom;
  std::uint32_t target = 0;
  std::uint64_t duration = 0;
  std::uint32_t flags = 0;
};

struct DomainPmWakeupArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetHostnameArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetHostnameResult {
  std::string hostname;
};

struct DomainFstrimArgs {
  Domain dom;
  std::optional<std::string> mount_point;
  std::uint64_t minimum = 0;
  std::uint32_t flags = 0;
};

struct DomainFsfreezeArgs {
  Domain dom;
  Array<std::string, kDomainFsfreezeMountpointsMax> mountpoints;
  std::uint32_t flags = 0;
};

struct DomainFsfreezeResult {
  std::int32_t filesystems = 0;
};

struct DomainFsthawArgs {
  Domain dom;
  Array<std::string, kDomainFsfreezeMountpointsMax> mountpoints;
  std::uint32_t flags = 0;
};

struct DomainFsthawResult {
  std::int32_t filesystems = 0;
};

struct DomainGetTimeArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetTimeResult {
  std::int64_t seconds = 0;
  std::uint32_t nseconds = 0;
};

struct DomainSetTimeArgs {
  Domain dom;
  std::int64_t seconds = 0;
  std::uint32_t nseconds = 0;
  std::uint32_t flags = 0;
};

struct DomainGetFsinfoArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainFsinfo {
  std::string mountpoint;
  std::string name;
  std::string fstype;
  Array<std::string, kDomainFsinfoDisksMax> dev_aliases;
};

struct DomainGetFsinfoResult {
  Array<DomainFsinfo, kDomainFsinfoMax> info;
  std::uint32_t ret = 0;
};

struct DomainInterfaceAddressesArgs {
  Domain dom;
  std::uint32_t source = 0;
  std::uint32_t flags = 0;
};

struct DomainIpAddr {
  std::int32_t type = 0;
  std::string addr;
  std::uint32_t prefix = 0;
};

struct DomainInterface {
  std::string name;
  std::optional<std::string> hwaddr;
  Array<DomainIpAddr, kDomainIpAddrMax> addrs;
};

struct DomainInterfaceAddressesResult {
  Array<DomainInterface, kDomainInterfaceMax> ifaces;
};

struct DomainSetUserPasswordArgs {
  Domain dom;
  std::optional<std::string> user;
  std::optional<std::string> password;
  std::uint32_t flags = 0;
};

struct DomainGetGuestVcpusArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetGuestVcpusResult {
  Array<TypedParam, kDomainGuestVcpuParamsMax> params;
};

struct DomainSetGuestVcpusArgs {
  Domain dom;
  std::string cpumap;
  std::int32_t state = 0;
  std::uint32_t flags = 0;
};

struct DomainGetGuestInfoArgs {
  Domain dom;
  std::uint32_t types = 0;
  std::uint32_t flags = 0;
};

struct DomainGetGuestInfoResult {
  Array<TypedParam, kDomainGuestInfoParamsMax> params;
};

struct DomainAgentSetResponseTimeoutArgs {
  Domain dom;
  std::int32_t timeout = 0;
  std::uint32_t flags = 0;
};

struct DomainAgentSetResponseTimeoutResult {
  std::int32_t result = 0;
};

struct DomainAuthorizedSshKeysGetArgs {
  Domain dom;
  std::string user;
  std::uint32_t flags = 0;
};

struct DomainAuthorizedSshKeysGetResult {
  Array<std::string, kDomainAuthorizedSshKeysMax> keys;
};

struct DomainAuthorizedSshKeysSetArgs {
  Domain dom;
  std::string user;
  Array<std::string, kDomainAuthorizedSshKeysMax> keys;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
