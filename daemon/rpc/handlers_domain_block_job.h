// Calls for block jobs.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/block_job.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void domain_block_job_abort(Call& call, const DomainBlockJobAbortArgs& arguments, Reply<Nothing> reply);
DomainGetBlockJobInfoResult domain_get_block_job_info(Call& call, const DomainGetBlockJobInfoArgs& arguments);
void domain_block_job_set_speed(Call& call, const DomainBlockJobSetSpeedArgs& arguments,
                                Reply<Nothing> reply);
void domain_block_pull(Call& call, const DomainBlockPullArgs& arguments, Reply<Nothing> reply);
void domain_block_rebase(Call& call, const DomainBlockRebaseArgs& arguments, Reply<Nothing> reply);
void domain_block_commit(Call& call, const DomainBlockCommitArgs& arguments, Reply<Nothing> reply);
void domain_block_copy(Call& call, const DomainBlockCopyArgs& arguments, Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
