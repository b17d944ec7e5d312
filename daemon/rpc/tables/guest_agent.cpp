// clang-format off: one line per procedure
#include "daemon/rpc/handlers_domain_agent.h"
#include "daemon/rpc/handlers_domain_inspection.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/guest_agent.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_pm_suspend_for_duration>(261, "DOMAIN_PM_SUSPEND_FOR_DURATION", kLow | kWrite, "domain:pm_control"),
    served<&handlers::domain_pm_wakeup>(267, "DOMAIN_PM_WAKEUP", kLow | kWrite, "domain:pm_control"),
    served<&handlers::domain_get_hostname>(277, "DOMAIN_GET_HOSTNAME", kLow | kWrite, "domain:write"),
    served<&handlers::domain_fstrim>(294, "DOMAIN_FSTRIM", kLow | kWrite, "domain:fs_trim"),
    served<&handlers::domain_fsfreeze>(335, "DOMAIN_FSFREEZE", kLow | kWrite, "domain:fs_freeze"),
    served<&handlers::domain_fsthaw>(336, "DOMAIN_FSTHAW", kLow | kWrite, "domain:fs_freeze"),
    served<&handlers::domain_get_time>(337, "DOMAIN_GET_TIME", kLow | kWrite, "domain:write"),
    served<&handlers::domain_set_time>(338, "DOMAIN_SET_TIME", kLow | kWrite, "domain:set_time"),
    served<&handlers::domain_get_fsinfo>(349, "DOMAIN_GET_FSINFO", kLow | kWrite, "domain:fs_freeze"),
    served<&handlers::domain_interface_addresses>(353, "DOMAIN_INTERFACE_ADDRESSES", kLow, "domain:read domain:write::source:VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT"),
    served<&handlers::domain_set_user_password>(357, "DOMAIN_SET_USER_PASSWORD", kLow | kWrite | kSensitive, "domain:set_password"),
    served<&handlers::domain_get_guest_vcpus>(371, "DOMAIN_GET_GUEST_VCPUS", kLow | kWrite, "domain:write"),
    served<&handlers::domain_set_guest_vcpus>(372, "DOMAIN_SET_GUEST_VCPUS", kLow | kWrite, "domain:write"),
    served<&handlers::domain_get_guest_info>(418, "DOMAIN_GET_GUEST_INFO", kLow | kWrite, "domain:write"),
    served<&handlers::domain_agent_set_response_timeout>(420, "DOMAIN_AGENT_SET_RESPONSE_TIMEOUT", kLow | kWrite, "domain:write"),
    served<&handlers::domain_authorized_ssh_keys_get>(424, "DOMAIN_AUTHORIZED_SSH_KEYS_GET", kLow | kWrite, "domain:write"),
    served<&handlers::domain_authorized_ssh_keys_set>(425, "DOMAIN_AUTHORIZED_SSH_KEYS_SET", kLow | kWrite, "domain:write"),
};

}  // namespace

std::span<const Procedure> guest_agent_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
