// clang-format off: one line per procedure
#include "daemon/rpc/handlers_domain_block_job.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/block_job.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_block_job_abort>(237, "DOMAIN_BLOCK_JOB_ABORT", kLow | kWrite, "domain:write"),
    served<&handlers::domain_get_block_job_info>(238, "DOMAIN_GET_BLOCK_JOB_INFO", kLow, "domain:read"),
    served<&handlers::domain_block_job_set_speed>(239, "DOMAIN_BLOCK_JOB_SET_SPEED", kLow | kWrite, "domain:write"),
    served<&handlers::domain_block_pull>(240, "DOMAIN_BLOCK_PULL", kLow | kWrite, "domain:block_write"),
    served<&handlers::domain_block_rebase>(266, "DOMAIN_BLOCK_REBASE", kLow | kWrite, "domain:block_write"),
    served<&handlers::domain_block_commit>(290, "DOMAIN_BLOCK_COMMIT", kLow | kWrite, "domain:block_write"),
    served<&handlers::domain_block_copy>(345, "DOMAIN_BLOCK_COPY", kLow | kWrite, "domain:block_write"),
};

}  // namespace

std::span<const Procedure> block_job_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
