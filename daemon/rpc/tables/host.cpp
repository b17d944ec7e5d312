// clang-format off: one line per procedure
#include "daemon/rpc/handlers_host.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/host.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::node_get_info>(6, "NODE_GET_INFO", kHigh, "connect:read"),
    served<&handlers::node_get_cells_free_memory>(101, "NODE_GET_CELLS_FREE_MEMORY", kHigh, "connect:read"),
    served<&handlers::node_get_free_memory>(102, "NODE_GET_FREE_MEMORY", kHigh, "connect:read"),
    served<&handlers::node_get_security_model>(122, "NODE_GET_SECURITY_MODEL", kHigh, "connect:read"),
    served<&handlers::node_get_cpu_stats>(227, "NODE_GET_CPU_STATS", kHigh, "connect:read"),
    served<&handlers::node_get_memory_stats>(228, "NODE_GET_MEMORY_STATS", kHigh, "connect:read"),
    served<&handlers::node_suspend_for_duration>(250, "NODE_SUSPEND_FOR_DURATION", kLow | kWrite, "connect:pm_control"),
    served<&handlers::node_set_memory_parameters>(288, "NODE_SET_MEMORY_PARAMETERS", kLow | kWrite, "connect:write"),
    served<&handlers::node_get_memory_parameters>(289, "NODE_GET_MEMORY_PARAMETERS", kLow, "connect:read"),
    served<&handlers::node_get_cpu_map>(293, "NODE_GET_CPU_MAP", kLow, "connect:read"),
    served<&handlers::node_get_free_pages>(340, "NODE_GET_FREE_PAGES", kHigh, "connect:read"),
    served<&handlers::node_alloc_pages>(347, "NODE_ALLOC_PAGES", kLow | kWrite, "connect:write"),
    served<&handlers::node_get_sev_info>(395, "NODE_GET_SEV_INFO", kLow | kWrite, "connect:read"),
};

}  // namespace

std::span<const Procedure> host_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
