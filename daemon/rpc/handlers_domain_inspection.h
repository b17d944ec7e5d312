// Calls that look into a domain, and the small things done to one: jobs, keys, NMIs, peeks, cores, security,
// the QEMU monitor.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/domain_statistics.h"
#include "daemon/rpc/protocol/guest_agent.h"
#include "daemon/rpc/protocol/qemu.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

DomainGetCpuStatsResult domain_get_cpu_stats(Call& call, const DomainGetCpuStatsArgs& arguments);
DomainGetDiskErrorsResult domain_get_disk_errors(Call& call, const DomainGetDiskErrorsArgs& arguments);
DomainGetJobStatsResult domain_get_job_stats(Call& call, const DomainGetJobStatsArgs& arguments);
void domain_abort_job_flags(Call& call, const DomainAbortJobFlagsArgs& arguments, Reply<Nothing> reply);

void domain_start_dirty_rate_calc(Call& call, const DomainStartDirtyRateCalcArgs& arguments,
                                  Reply<Nothing> reply);
void domain_set_lifecycle_action(Call& call, const DomainSetLifecycleActionArgs& arguments,
                                 Reply<Nothing> reply);
void domain_inject_nmi(Call& call, const DomainInjectNmiArgs& arguments, Reply<Nothing> reply);
void domain_send_key(Call& call, const DomainSendKeyArgs& arguments, Reply<Nothing> reply);
void domain_pm_suspend_for_duration(Call& call, const DomainPmSuspendForDurationArgs& arguments,
                                    Reply<Nothing> reply);
void domain_pm_wakeup(Call& call, const DomainPmWakeupArgs& arguments, Reply<Nothing> reply);

void domain_block_peek(Call& call, const DomainBlockPeekArgs& arguments, Reply<DomainBlockPeekResult> reply);
void domain_memory_peek(Call& call, const DomainMemoryPeekArgs& arguments,
                        Reply<DomainMemoryPeekResult> reply);
void domain_core_dump(Call& call, const DomainCoreDumpArgs& arguments, Reply<Nothing> reply);
void domain_core_dump_with_format(Call& call, const DomainCoreDumpWithFormatArgs& arguments,
                                  Reply<Nothing> reply);

// There is no security model and no launch security: what libvirt's driver answers then.
DomainGetSecurityLabelResult domain_get_security_label(Call& call,
                                                       const DomainGetSecurityLabelArgs& arguments);
DomainGetSecurityLabelListResult domain_get_security_label_list(
    Call& call, const DomainGetSecurityLabelListArgs& arguments);
DomainGetLaunchSecurityInfoResult domain_get_launch_security_info(
    Call& call, const DomainGetLaunchSecurityInfoArgs& arguments);

// The QEMU program.
void domain_monitor_command(Call& call, const DomainMonitorCommandArgs& arguments,
                            Reply<DomainMonitorCommandResult> reply);

}  // namespace warren::daemon::rpc::handlers
