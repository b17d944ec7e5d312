// Arguments and results of the calls about the host.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct NodeGetInfoResult {
  FixedCharArray<32> model{};
  std::uint64_t memory = 0;
  std::int32_t cpus = 0;
  std::int32_t mhz = 0;
  std::int32_t nodes = 0;
  std::int32_t sockets = 0;
  std::int32_t cores = 0;
  std::int32_t threads = 0;
};

struct NodeGetCellsFreeMemoryArgs {
  std::int32_t start_cell = 0;
  std::int32_t maxcells = 0;
};

struct NodeGetCellsFreeMemoryResult {
  Array<std::uint64_t, kNodeMaxCells> cells;
};

struct NodeGetFreeMemoryResult {
  std::uint64_t free_mem = 0;
};

struct NodeGetSecurityModelResult {
  CharArray<kSecurityModelMax> model;
  CharArray<kSecurityDoiMax> doi;
};

struct NodeGetCpuStatsArgs {
  std::int32_t cpu_num = 0;
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct NodeGetCpuStats {
  std::string field;
  std::uint64_t value = 0;
};

struct NodeGetCpuStatsResult {
  Array<NodeGetCpuStats, kNodeCpuStatsMax> params;
  std::int32_t nparams = 0;
};

struct NodeGetMemoryStatsArgs {
  std::int32_t nparams = 0;
  std::int32_t cell_num = 0;
  std::uint32_t flags = 0;
};

struct NodeGetMemoryStats {
  std::string field;
  std::uint64_t value = 0;
};

struct NodeGetMemoryStatsResult {
  Array<NodeGetMemoryStats, kNodeMemoryStatsMax> params;
  std::int32_t nparams = 0;
};

struct NodeSuspendForDurationArgs {
  std::uint32_t target = 0;
  std::uint64_t duration = 0;
  std::uint32_t flags = 0;
};

struct NodeSetMemoryParametersArgs {
  Array<TypedParam, kNodeMemoryParametersMax> params;
  std::uint32_t flags = 0;
};

struct NodeGetMemoryParametersArgs {
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct NodeGetMemoryParametersResult {
  Array<TypedParam, kNodeMemoryParametersMax> params;
  std::int32_t nparams = 0;
};

struct NodeGetCpuMapArgs {
  std::int32_t need_map = 0;
  std::int32_t need_online = 0;
  std::uint32_t flags = 0;
};

struct NodeGetCpuMapResult {
  Opaque<kCpumapMax> cpumap;
  std::uint32_t online = 0;
  std::int32_t ret = 0;
};

struct NodeGetFreePagesArgs {
  Array<std::uint32_t, kNodeMaxCells> pages;
  std::int32_t start_cell = 0;
  std::uint32_t cell_count = 0;
  std::uint32_t flags = 0;
};

struct NodeGetFreePagesResult {
  Array<std::uint64_t, kNodeMaxCells> counts;
};

struct NodeAllocPagesArgs {
  Array<std::uint32_t, kNodeMaxCells> page_sizes;
  Array<std::uint64_t, kNodeMaxCells> page_counts;
  std::int32_t start_cell = 0;
  std::uint32_t cell_count = 0;
  std::uint32_t flags = 0;
};

struct NodeAllocPagesResult {
  std::int32_t ret = 0;
};

struct NodeGetSevInfoArgs {
  std::int32_t nparams = 0;
  std::uint32_t flags = 0;
};

struct NodeGetSevInfoResult {
  Array<TypedParam, kNodeSevInfoMax> params;
  std::int32_t nparams = 0;
};

}  // namespace warren::daemon::rpc::protocol
