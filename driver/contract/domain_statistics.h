// Figures of domains: read from the worker's counters page and procfs, so that a worker that hangs stalls
// nobody. Those that look at image files ask a pool thread (a file system may hang) and so complete later.
// Loop's thread; throws Error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct BlockInfo {  // virDomainBlockInfo, in bytes
  std::uint64_t capacity = 0;
  std::uint64_t allocation = 0;
  std::uint64_t physical = 0;
};

struct BlockStatistics {  // virDomainBlockStatsStruct; -1: not known
  std::int64_t read_requests = -1;
  std::int64_t read_bytes = -1;
  std::int64_t write_requests = -1;
  std::int64_t write_bytes = -1;
  std::int64_t errors = -1;
};

struct InterfaceStatistics {  // virDomainInterfaceStatsStruct, seen from the guest; -1: not known
  std::int64_t receive_bytes = -1;
  std::int64_t receive_packets = -1;
  std::int64_t receive_errors = -1;
  std::int64_t receive_drops = -1;
  std::int64_t transmit_bytes = -1;
  std::int64_t transmit_packets = -1;
  std::int64_t transmit_errors = -1;
  std::int64_t transmit_drops = -1;
};

struct MemoryStatistic {  // virDomainMemoryStatStruct
  int tag = 0;            // virDomainMemoryStatTags
  std::uint64_t value = 0;
};

struct DomainStatistics {
  DomainHandle domain;
  TypedParameters parameters;
};

class DomainStatisticsSource {
 public:
  // `path` is a target ("vda") or the source of one of its disks.
  virtual void block_info(const Caller& caller, const Uuid& domain, const std::string& path,
                          unsigned int flags, Completion<BlockInfo> completion) = 0;
  // An empty path means the sum of all disks.
  virtual BlockStatistics block_statistics(const Caller& caller, const Uuid& domain,
                                           const std::string& path) const = 0;
  virtual TypedParameters block_statistics_parameters(const Caller& caller, const Uuid& domain,
                                                      const std::string& path, unsigned int flags) const = 0;
  // `device` is the target ("vnet0") or the MAC address.
  virtual InterfaceStatistics interface_statistics(const Caller& caller, const Uuid& domain,
                                                   const std::string& device) const = 0;
  virtual std::vector<MemoryStatistic> memory_statistics(const Caller& caller, const Uuid& domain,
                                                         unsigned int flags) const = 0;
  // virConnectGetAllDomainStats and virDomainListGetStats: `groups` is a virDomainStatsTypes mask, `flags`
  // are VIR_CONNECT_GET_ALL_DOMAINS_STATS_*; an empty list of domains means all that the flags select.
  virtual void domain_statistics(const Caller& caller, std::vector<Uuid> domains, unsigned int groups,
                                 unsigned int flags,
                                 Completion<std::vector<DomainStatistics>> completion) = 0;

 protected:
  ~DomainStatisticsSource() = default;
};

}  // namespace warren::driver
