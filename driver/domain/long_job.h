// Work on a running domain that takes its time: what domjobinfo shows of it while it runs and afterwards, and
// how domjobabort ends it. A value on the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "driver/contract/domain_inspection.h"
#include "driver/contract/domain_registry.h"

namespace warren::driver::domain {

struct LongJob {
  int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;  // virDomainJobOperation
  std::chrono::steady_clock::time_point since{};
  std::uint64_t memory_total = 0, memory_processed = 0;  // bytes
  bool abort_requested = false;

  JobInfo info(int type, std::chrono::steady_clock::time_point now) const;
  // `type` is a virDomainJobType.
  JobStatistics statistics(int type, std::chrono::steady_clock::time_point now) const;
};

}  // namespace warren::driver::domain
