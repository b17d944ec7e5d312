// clang-format off: one line per procedure
#include "daemon/rpc/handlers_domain_agent.h"
#include "daemon/rpc/handlers_domain_inspection.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/qemu.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_monitor_command>(1, "DOMAIN_MONITOR_COMMAND", kLow | kWrite, "domain:write"),
    refused<DomainAttachArgs, DomainAttachResult>(2, "DOMAIN_ATTACH", kLow | kWrite, "domain:start domain:write"),
    served<&handlers::domain_agent_command>(3, "DOMAIN_AGENT_COMMAND", kLow | kWrite, "domain:write"),
    refused<ConnectDomainMonitorEventRegisterArgs, ConnectDomainMonitorEventRegisterResult>(4, "CONNECT_DOMAIN_MONITOR_EVENT_REGISTER", kHigh | kWrite, "connect:search_domains connect:write"),
    refused<ConnectDomainMonitorEventDeregisterArgs, Nothing>(5, "CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER", kHigh | kWrite, "connect:write"),
    refused_event<DomainMonitorEventMsg>(6, "DOMAIN_MONITOR_EVENT"),
    refused<DomainMonitorCommandWithFilesArgs, DomainMonitorCommandWithFilesResult>(7, "DOMAIN_MONITOR_COMMAND_WITH_FILES", kLow | kWrite | kReturnsFds, "domain:write"),
};

}  // namespace

std::span<const Procedure> qemu_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
