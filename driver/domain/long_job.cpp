#include "driver/domain/long_job.h"

#include <algorithm>

namespace warren::driver::domain {

JobInfo LongJob::info(int type, std::chrono::steady_clock::time_point now) const {
  JobInfo info;
  info.type = type;
  info.elapsed_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now - since).count());
  info.memory_total = memory_total;
  info.memory_processed = std::min(memory_processed, memory_total);
  info.memory_remaining = memory_total - info.memory_processed;
  return info;
}

JobStatistics LongJob::statistics(int type, std::chrono::steady_clock::time_point now) const {
  const JobInfo figures = info(type, now);
  return {type,
          {{VIR_DOMAIN_JOB_OPERATION, std::int32_t{operation}},
           {VIR_DOMAIN_JOB_TIME_ELAPSED, figures.elapsed_ms},
           {VIR_DOMAIN_JOB_MEMORY_TOTAL, figures.memory_total},
           {VIR_DOMAIN_JOB_MEMORY_PROCESSED, figures.memory_processed},
           {VIR_DOMAIN_JOB_MEMORY_REMAINING, figures.memory_remaining}}};
}

}  // namespace warren::driver::domain
