// Calls about the host: what it is, what it does, its memory, its CPU models.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/host.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectGetMaxVcpusResult connect_get_max_vcpus(Call& call, const ConnectGetMaxVcpusArgs& arguments);
ConnectGetCapabilitiesResult connect_get_capabilities(Call& call, const Nothing&);
ConnectGetDomainCapabilitiesResult connect_get_domain_capabilities(
    Call& call, const ConnectGetDomainCapabilitiesArgs& arguments);
ConnectGetSysinfoResult connect_get_sysinfo(Call& call, const ConnectGetSysinfoArgs& arguments);

ConnectGetCpuModelNamesResult connect_get_cpu_model_names(Call& call,
                                                          const ConnectGetCpuModelNamesArgs& arguments);
ConnectCompareCpuResult connect_compare_cpu(Call& call, const ConnectCompareCpuArgs& arguments);
ConnectBaselineCpuResult connect_baseline_cpu(Call& call, const ConnectBaselineCpuArgs& arguments);
ConnectCompareHypervisorCpuResult connect_compare_hypervisor_cpu(
    Call& call, const ConnectCompareHypervisorCpuArgs& arguments);
ConnectBaselineHypervisorCpuResult connect_baseline_hypervisor_cpu(
    Call& call, const ConnectBaselineHypervisorCpuArgs& arguments);

NodeGetInfoResult node_get_info(Call& call, const Nothing&);
NodeGetSecurityModelResult node_get_security_model(Call& call, const Nothing&);
NodeGetCpuMapResult node_get_cpu_map(Call& call, const NodeGetCpuMapArgs& arguments);
NodeGetCpuStatsResult node_get_cpu_stats(Call& call, const NodeGetCpuStatsArgs& arguments);
NodeGetMemoryStatsResult node_get_memory_stats(Call& call, const NodeGetMemoryStatsArgs& arguments);
NodeGetFreeMemoryResult node_get_free_memory(Call& call, const Nothing&);
NodeGetCellsFreeMemoryResult node_get_cells_free_memory(Call& call,
                                                        const NodeGetCellsFreeMemoryArgs& arguments);
NodeGetFreePagesResult node_get_free_pages(Call& call, const NodeGetFreePagesArgs& arguments);
void node_alloc_pages(Call& call, const NodeAllocPagesArgs& arguments, Reply<NodeAllocPagesResult> reply);
NodeGetMemoryParametersResult node_get_memory_parameters(Call& call,
                                                         const NodeGetMemoryParametersArgs& arguments);
void node_set_memory_parameters(Call& call, const NodeSetMemoryParametersArgs& arguments,
                                Reply<Nothing> reply);
void node_suspend_for_duration(Call& call, const NodeSuspendForDurationArgs& arguments);
NodeGetSevInfoResult node_get_sev_info(Call& call, const NodeGetSevInfoArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
