// Arguments and results of the calls for the statistics and jobs of domains.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainGetVcpusArgs {
  Domain dom;
  std::int32_t maxinfo = 0;
  std::int32_t maplen = 0;
};

struct VcpuInfo {
  std::uint32_t number = 0;
  std::int32_t state = 0;
  std::uint64_t cpu_time = 0;
  std::int32_t cpu = 0;
};

struct DomainGetVcpusResult {
  Array<VcpuInfo, kVcpuinfoMax> info;
  Opaque<kCpumapsMax> cpumaps;
};

struct DomainBlockStatsArgs {
  Domain dom;
  std::string path;
};

struct DomainBlockStatsResult {
  std::int64_t rd_req = 0;
  std::int64_t rd_bytes = 0;
  std::int64_t wr_req = 0;
  std::int64_t wr_bytes = 0;
  std::int64_t errs = 0;
};

struct DomainInterfaceStatsArgs {
  Domain dom;
  std::string device;
};

struct DomainInterfaceStatsResult {
  std::int64_t rx_bytes = 0;
  std::int64_t rx_packets = 0;
  std::int64_t rx_errs = 0;
  std::int64_t rx_drop = 0;
  std::int64_t tx_bytes = 0;
  std::int64_t tx_packets = 0;
  std::int64_t tx_errs = 0;
  std::int64_t tx_drop = 0;
};

struct DomainBlockPeekArgs {
  Domain dom;
  std::string path;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockPeekResult {
  Opaque<kDomainBlockPeekBufferMax> buffer;
};

struct DomainMemoryPeekArgs {
  Domain dom;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};

struct DomainMemoryPeekResult {
  Opaque<kDomainMemoryPeekBufferMax> buffer;
};

struct DomainMemoryStatsArgs {
  Domain dom;
  std::uint32_t max_stats = 0;
  std::uint32_t flags = 0;
};

struct DomainMemoryStat {
  std::int32_t tag = 0;
  std::uint64_t val = 0;
};

struct DomainMemoryStatsResult {
  Array<DomainMemoryStat, kDomainMemoryStatsMax> stats;
};

struct DomainGetJobInfoArgs {
  Domain dom;
};

struct DomainGetJobInfoResult {
  std::int32_t type = 0;
  std::uint64_t time_elapsed = 0;
  std::uint64_t time_remaining = 0;
  std::uint64_t data_total = 0;
  std::uint64_t data_processed = 0;
  std::uint64_t data_remaining = 0;
  std::uint64_t mem_total = 0;
  std::uint64_t mem_processed = 0;
  std::uint64_t mem_remaining = 0;
  std::uint64_t file_total = 0;
  std::uint64_t file_processed = 0;
  std::uint64_t file_remaining = 0;
};

struct DomainAbortJobArgs {
  Domain dom;
};

struct DomainGetBlockInfoArgs {
  Domain dom;
  std::string path;
  std::uint32_t flags = 0;
};

struct DomainGetBlockInfoResult {
  std::uint64_t allocation = 0;
  std::uint64_t capacity = 0;
  std::uint64_t physical = 0;
};

struct DomainGetControlInfoArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetControlInfoResult {
  std::uint32_t state = 0;
  std::uint32_t details = 0;
  std::uint64_t state_time = 0;
};

struct DomainBlockStatsFlagsArgs {
  Domain dom;
  std::string path;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct DomainBlockStatsFlagsResult {
  Array<TypedParam, kDomainBlockStatsParametersMax> params;
  std::int32_t nparams = 0;
};

struct DomainGetCpuStatsArgs {
  Domain dom;
  std::uint32_t nparams = 0;
  std::int32_t start_cpu = 0;
  std::uint32_t ncpus = 0;
  std::uint32_t flags = 0;
};

struct DomainGetCpuStatsResult {
  Array<TypedParam, kDomainGetCpuStatsMax> params;
  std::int32_t nparams = 0;
};

struct DomainGetDiskErrorsArgs {
  Domain dom;
  std::uint32_t maxerrors = 0;
  std::uint32_t flags = 0;
};

struct DomainDiskError {
  std::string disk;
  std::int32_t error = 0;
};

struct DomainGetDiskErrorsResult {
  Array<DomainDiskError, kDomainDiskErrorsMax> errors;
  std::int32_t nerrors = 0;
};

struct DomainGetJobStatsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetJobStatsResult {
  std::int32_t type = 0;
  Array<TypedParam, kDomainJobStatsMax> params;
};

struct ConnectGetAllDomainStatsArgs {
  Array<Domain, kDomainListMax> doms;
  std::uint32_t stats = 0;
  std::uint32_t flags = 0;
};

struct DomainStatsRecord {
  Domain dom;
  Array<TypedParam, kConnectGetAllDomainStatsMax> params;
};

struct ConnectGetAllDomainStatsResult {
  Array<DomainStatsRecord, kDomainListMax> ret_stats;
};

struct DomainGetMessagesArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainGetMessagesResult {
  Array<std::string, kDomainMessagesMax> msgs;
};

struct DomainStartDirtyRateCalcArgs {
  Domain dom;
  std::int32_t seconds = 0;
  std::uint32_t flags = 0;
};

struct DomainAbortJobFlagsArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
