#include "daemon/rpc/handlers_domain_block_job.h"

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {

void domain_block_job_abort(Call& call, const DomainBlockJobAbortArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().abort_block_job(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                       arguments.flags, when_done(std::move(reply)));
}

DomainGetBlockJobInfoResult domain_get_block_job_info(Call& call,
                                                      const DomainGetBlockJobInfoArgs& arguments) {
  Session& session = call.session();
  const auto info = session.hypervisor().block_job_info(session.caller(), to_driver(arguments.dom.uuid),
                                                        arguments.path, arguments.flags);
  if (!info) return {};
  return {
      .found = 1, .type = info->type, .bandwidth = info->bandwidth, .cur = info->current, .end = info->end};
}

void domain_block_job_set_speed(Call& call, const DomainBlockJobSetSpeedArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_block_job_speed(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                           arguments.bandwidth, arguments.flags, when_done(std::move(reply)));
}

void domain_block_pull(Call& call, const DomainBlockPullArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().block_pull(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                  arguments.bandwidth, arguments.flags, when_done(std::move(reply)));
}

void domain_block_rebase(Call& call, const DomainBlockRebaseArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().block_rebase(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                    arguments.base, arguments.bandwidth, arguments.flags,
                                    when_done(std::move(reply)));
}

void domain_block_commit(Call& call, const DomainBlockCommitArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().block_commit(session.caller(), to_driver(arguments.dom.uuid),
                                    {.disk = arguments.disk,
                                     .base = arguments.base,
                                     .top = arguments.top,
                                     .bandwidth = arguments.bandwidth},
                                    arguments.flags, when_done(std::move(reply)));
}

void domain_block_copy(Call& call, const DomainBlockCopyArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().block_copy(session.caller(), to_driver(arguments.dom.uuid), arguments.path,
                                  arguments.destxml, to_driver(arguments.params), arguments.flags,
                                  when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
