// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/lxc.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    refused<DomainOpenNamespaceArgs, Nothing>(1, "DOMAIN_OPEN_NAMESPACE", kLow | kWrite | kReturnsFds, "domain:open_namespace"),
};

}  // namespace

std::span<const Procedure> lxc_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
