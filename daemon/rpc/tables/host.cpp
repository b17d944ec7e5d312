// clang-format off: one line per procedure
#include "daemon/rpc/handlers_connect.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/host.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::node_get_info>(6, "NODE_GET_INFO", kHigh, "connect:read"),
    missing<NodeGetCellsFreeMemoryArgs, NodeGetCellsFreeMemoryResult>(101, "NODE_GET_CELLS_FREE_MEMORY", kHigh, "connect:read"),
    served<&handlers::node_get_free_memory>(102, "NODE_GET_FREE_MEMORY", kHigh, "connect:read"),
    missing<Nothing, NodeGetSecurityModelResult>(122, "NODE_GET_SECURITY_MODEL", kHigh, "connect:read"),
    missing<NodeGetCpuStatsArgs, NodeGetCpuStatsResult>(227, "NODE_GET_CPU_STATS", kHigh, "connect:read"),
    missing<NodeGetMemoryStatsArgs, NodeGetMemoryStatsResult>(228, "NODE_GET_MEMORY_STATS", kHigh, "connect:read"),
    missing<NodeSuspendForDurationArgs, Nothing>(250, "NODE_SUSPEND_FOR_DURATION", kLow | kWrite, "connect:pm_control"),
    missing<NodeSetMemoryParametersArgs, Nothing>(288, "NODE_SET_MEMORY_PARAMETERS", kLow | kWrite, "connect:write"),
    missing<NodeGetMemoryParametersArgs, NodeGetMemoryParametersResult>(289, "NODE_GET_MEMORY_PARAMETERS", kLow, "connect:read"),
    served<&handlers::node_get_cpu_map>(293, "NODE_GET_CPU_MAP", kLow, "connect:read"),
    missing<NodeGetFreePagesArgs, NodeGetFreePagesResult>(340, "NODE_GET_FREE_PAGES", kHigh, "connect:read"),
    missing<NodeAllocPagesArgs, NodeAllocPagesResult>(347, "NODE_ALLOC_PAGES", kLow | kWrite, "connect:write"),
    missing<NodeGetSevInfoArgs, NodeGetSevInfoResult>(395, "NODE_GET_SEV_INFO", kLow | kWrite, "connect:read"),
};

}  // namespace

std::span<const Procedure> host_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
