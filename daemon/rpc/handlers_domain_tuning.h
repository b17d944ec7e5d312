// Calls for what the host gives a domain: pins, shares and limits, IOThreads, perf events.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain_tuning.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void domain_pin_vcpu(Call& call, const DomainPinVcpuArgs& arguments, Reply<Nothing> reply);
void domain_pin_vcpu_flags(Call& call, const DomainPinVcpuFlagsArgs& arguments, Reply<Nothing> reply);
void domain_pin_emulator(Call& call, const DomainPinEmulatorArgs& arguments, Reply<Nothing> reply);
DomainGetEmulatorPinInfoResult domain_get_emulator_pin_info(Call& call,
                                                            const DomainGetEmulatorPinInfoArgs& arguments);

DomainGetSchedulerTypeResult domain_get_scheduler_type(Call& call,
                                                       const DomainGetSchedulerTypeArgs& arguments);
DomainGetSchedulerParametersResult domain_get_scheduler_parameters(
    Call& call, const DomainGetSchedulerParametersArgs& arguments);
DomainGetSchedulerParametersFlagsResult domain_get_scheduler_parameters_flags(
    Call& call, const DomainGetSchedulerParametersFlagsArgs& arguments);
void domain_set_scheduler_parameters(Call& call, const DomainSetSchedulerParametersArgs& arguments,
                                     Reply<Nothing> reply);
void domain_set_scheduler_parameters_flags(Call& call, const DomainSetSchedulerParametersFlagsArgs& arguments,
                                           Reply<Nothing> reply);
DomainGetMemoryParametersResult domain_get_memory_parameters(Call& call,
                                                             const DomainGetMemoryParametersArgs& arguments);
void domain_set_memory_stats_period(Call& call, const DomainSetMemoryStatsPeriodArgs& arguments,
                                    Reply<Nothing> reply);
void domain_set_memory_parameters(Call& call, const DomainSetMemoryParametersArgs& arguments,
                                  Reply<Nothing> reply);
DomainGetBlkioParametersResult domain_get_blkio_parameters(Call& call,
                                                           const DomainGetBlkioParametersArgs& arguments);
void domain_set_blkio_parameters(Call& call, const DomainSetBlkioParametersArgs& arguments,
                                 Reply<Nothing> reply);
DomainGetNumaParametersResult domain_get_numa_parameters(Call& call,
                                                         const DomainGetNumaParametersArgs& arguments);
void domain_set_numa_parameters(Call& call, const DomainSetNumaParametersArgs& arguments,
                                Reply<Nothing> reply);
DomainGetPerfEventsResult domain_get_perf_events(Call& call, const DomainGetPerfEventsArgs& arguments);
void domain_set_perf_events(Call& call, const DomainSetPerfEventsArgs& arguments, Reply<Nothing> reply);
DomainGetInterfaceParametersResult domain_get_interface_parameters(
    Call& call, const DomainGetInterfaceParametersArgs& arguments);
void domain_set_interface_parameters(Call& call, const DomainSetInterfaceParametersArgs& arguments,
                                     Reply<Nothing> reply);

DomainGetIothreadInfoResult domain_get_iothread_info(Call& call, const DomainGetIothreadInfoArgs& arguments);
void domain_pin_iothread(Call& call, const DomainPinIothreadArgs& arguments, Reply<Nothing> reply);
void domain_add_iothread(Call& call, const DomainAddIothreadArgs& arguments, Reply<Nothing> reply);
void domain_del_iothread(Call& call, const DomainDelIothreadArgs& arguments, Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
