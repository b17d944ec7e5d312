// clang-format off: one line per procedure
#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/handlers_domain_inspection.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/domain_statistics.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_get_vcpus>(20, "DOMAIN_GET_VCPUS", kHigh, "domain:read"),
    served<&handlers::domain_block_stats>(64, "DOMAIN_BLOCK_STATS", kLow, "domain:read"),
    served<&handlers::domain_interface_stats>(65, "DOMAIN_INTERFACE_STATS", kHigh, "domain:read"),
    served<&handlers::domain_block_peek>(103, "DOMAIN_BLOCK_PEEK", kLow | kWrite, "domain:block_read"),
    served<&handlers::domain_memory_peek>(104, "DOMAIN_MEMORY_PEEK", kLow | kWrite, "domain:mem_read"),
    served<&handlers::domain_memory_stats>(159, "DOMAIN_MEMORY_STATS", kLow, "domain:read"),
    served<&handlers::domain_get_job_info>(163, "DOMAIN_GET_JOB_INFO", kLow, "domain:read"),
    served<&handlers::domain_abort_job>(164, "DOMAIN_ABORT_JOB", kLow | kWrite, "domain:write"),
    served<&handlers::domain_get_block_info>(194, "DOMAIN_GET_BLOCK_INFO", kLow, "domain:read"),
    served<&handlers::domain_get_control_info>(229, "DOMAIN_GET_CONTROL_INFO", kHigh, "domain:read"),
    served<&handlers::domain_block_stats_flags>(243, "DOMAIN_BLOCK_STATS_FLAGS", kLow, "domain:read"),
    served<&handlers::domain_get_cpu_stats>(262, "DOMAIN_GET_CPU_STATS", kLow, "domain:read"),
    served<&handlers::domain_get_disk_errors>(263, "DOMAIN_GET_DISK_ERRORS", kLow, "domain:read"),
    served<&handlers::domain_get_job_stats>(298, "DOMAIN_GET_JOB_STATS", kLow, "domain:read"),
    served<&handlers::connect_get_all_domain_stats>(344, "CONNECT_GET_ALL_DOMAIN_STATS", kLow, "connect:search_domains"),
    served<&handlers::domain_get_messages>(426, "DOMAIN_GET_MESSAGES", kLow, "domain:read"),
    served<&handlers::domain_start_dirty_rate_calc>(427, "DOMAIN_START_DIRTY_RATE_CALC", kLow | kWrite, "domain:write"),
    served<&handlers::domain_abort_job_flags>(442, "DOMAIN_ABORT_JOB_FLAGS", kLow | kWrite, "domain:write"),
};

}  // namespace

std::span<const Procedure> domain_statistics_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
