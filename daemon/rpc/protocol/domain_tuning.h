// Arguments and results of the calls that tune a domain: vCPU pinning, scheduler, memory, block and network
// limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainPinVcpuArgs {
  Domain dom;
  std::uint32_t vcpu = 0;
  Opaque<kCpumapMax> cpumap;
};

struct DomainGetSchedulerTypeArgs {
  Domain dom;
};

struct DomainGetSchedulerTypeResult {
  std::string type;
  std::int32_t nparams = 0;
};

struct DomainGetSchedulerParametersArgs {
  Domain dom;
  std::int32_t nparams = 0;
};

struct DomainGetSchedulerParametersResult {
  Array<TypedParam, kDomainSchedulerParametersMax> params;
};

struct DomainSetSchedulerParametersArgs {
  Domain dom;
  Array<TypedParam, kDomainSchedulerParametersMax> params;
};

struct DomainSetMemoryParametersArgs {
  Domain dom;
  Array<TypedParam, kDomainMemoryParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetMemoryParametersArgs {
  Domain dom;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetMemoryParametersResult {
  Array<TypedParam, kDomainMemoryParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainSetBlkioParametersArgs {
  Domain dom;
  Array<TypedParam, kDomainBlkioParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetBlkioParametersArgs {
  Domain dom;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetBlkioParametersResult {
  Array<TypedParam, kDomainBlkioParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainSetSchedulerParametersFlagsArgs {
  Domain dom;
  Array<TypedParam, kDomainSchedulerParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetSchedulerParametersFlagsArgs {
  Domain dom;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetSchedulerParametersFlagsResult {
  Array<TypedParam, kDomainSchedulerParametersMax> params;
};

struct DomainPinVcpuFlagsArgs {
  Domain dom;
  std::uint32_t vcpu = 0;
  Opaque<kCpumapMax> cpumap;
  std::uint32_t flags = 0;
};

struct DomainGetVcpuPinInfoArgs {
  Domain dom;
  std::int32_t ncpumaps = 0;
  std::int32_t maplen = 0;
  std::uint32_t flags = 0;
};

struct DomainGetVcpuPinInfoResult {
  Opaque<kCpumapsMax> cpumaps;
  std::int32_t num = 0;
};

struct DomainSetBlockIoTuneArgs {
  Domain dom;
  std::string disk;
  Array<TypedParam, kDomainBlockIoTuneParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetBlockIoTuneArgs {
  Domain dom;
  std::optional<std::string> disk;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetBlockIoTuneResult {
  Array<TypedParam, kDomainBlockIoTuneParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainSetNumaParametersArgs {
  Domain dom;
  Array<TypedParam, kDomainNumaParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetNumaParametersArgs {
  Domain dom;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetNumaParametersResult {
  Array<TypedParam, kDomainNumaParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainSetInterfaceParametersArgs {
  Domain dom;
  std::string device;
  Array<TypedParam, kDomainInterfaceParametersMax> params;
  std::uint32_t flags = 0;
};

struct DomainGetInterfaceParametersArgs {
  Domain dom;
  std::string device;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainGetInterfaceParametersResult {
  Array<TypedParam, kDomainInterfaceParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainPinEmulatorArgs {
  Domain dom;
  Opaque<kCpumapMax> cpumap;
  std::uint32_t flags = 0;
};

struct DomainGetEmulatorPinInfoArgs {
  Domain dom;
  std::int32_t maplen = 0;
  std::uint32_t flags = 0;
};

struct DomainGetEmulatorPinInfoResult {
  Opaque<kCpumapsMax> cpumaps;
  std::int32_t ret = 0;
};

struct DomainSetMemoryStatsPeriodArgs {
  Domain dom;
  std::int32_t period = 0;
  std::uint32_t flags = 0;
};

struct DomainGetIothreadInfoArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainIothreadInfo {
  std::uint32_t iothread_id = 0;
  Opaque<kCpumapMax> cpumap;
};

struct DomainGetIothreadInfoResult {
  Array<DomainIothreadInfo, kIothreadInfoMax> info;
  std::uint32_t ret = 0;
};

struct DomainPinIothreadArgs {
  Domain dom;
  std::uint32_t iothreads_id = 0;
  Opaque<kCpumapMax> cpumap;
  std::uint32_t flags = 0;
};

struct DomainAddIothreadArgs {
  Domain dom;
  std::uint32_t iothread_id = 0;
  std::uint32_t flags = 0;
};

struct DomainDelIothreadArgs {
  Domain dom;
  std::uint32_t iothread_id = 0;
  std::uint32_t flags = 0;
};

struct DomainSetBlockThresholdArgs {
  Domain dom;
  std::string dev;
  std::uint64_t threshold = 0;
  std::uint32_t flags = 0;
};

struct DomainSetIothreadParamsArgs {
  Domain dom;
  std::uint32_t iothread_id = 0;
  Array<TypedParam, kDomainIothreadParamsMax> params;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
