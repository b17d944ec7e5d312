// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/block_job.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<DomainBlockJobAbortArgs, Nothing>(237, "DOMAIN_BLOCK_JOB_ABORT", kLow | kWrite, "domain:write"),
    missing<DomainGetBlockJobInfoArgs, DomainGetBlockJobInfoResult>(238, "DOMAIN_GET_BLOCK_JOB_INFO", kLow, "domain:read"),
    missing<DomainBlockJobSetSpeedArgs, Nothing>(239, "DOMAIN_BLOCK_JOB_SET_SPEED", kLow | kWrite, "domain:write"),
    missing<DomainBlockPullArgs, Nothing>(240, "DOMAIN_BLOCK_PULL", kLow | kWrite, "domain:block_write"),
    missing<DomainBlockRebaseArgs, Nothing>(266, "DOMAIN_BLOCK_REBASE", kLow | kWrite, "domain:block_write"),
    missing<DomainBlockCommitArgs, Nothing>(290, "DOMAIN_BLOCK_COMMIT", kLow | kWrite, "domain:block_write"),
    missing<DomainBlockCopyArgs, Nothing>(345, "DOMAIN_BLOCK_COPY", kLow | kWrite, "domain:block_write"),
};

}  // namespace

std::span<const Procedure> block_job_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
