// clang-format off: one line per procedure
#include "daemon/rpc/handlers_connect.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/authentication.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::auth_list>(66, "AUTH_LIST", kHigh | kPreAuth, "none"),
    missing<Nothing, AuthSaslInitResult>(67, "AUTH_SASL_INIT", kHigh | kPreAuth, "none"),
    missing<AuthSaslStartArgs, AuthSaslStartResult>(68, "AUTH_SASL_START", kHigh | kPreAuth, "none"),
    missing<AuthSaslStepArgs, AuthSaslStepResult>(69, "AUTH_SASL_STEP", kHigh | kPreAuth, "none"),
    missing<Nothing, AuthPolkitResult>(70, "AUTH_POLKIT", kHigh | kPreAuth, "none"),
};

}  // namespace

std::span<const Procedure> authentication_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
