// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/secret.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<Nothing, ConnectNumOfSecretsResult>(139, "CONNECT_NUM_OF_SECRETS", kHigh, "connect:search_secrets"),
    missing<ConnectListSecretsArgs, ConnectListSecretsResult>(140, "CONNECT_LIST_SECRETS", kHigh, "connect:search_secrets"),
    missing<SecretLookupByUuidArgs, SecretLookupByUuidResult>(141, "SECRET_LOOKUP_BY_UUID", kHigh, "secret:getattr"),
    missing<SecretDefineXmlArgs, SecretDefineXmlResult>(142, "SECRET_DEFINE_XML", kHigh | kWrite, "secret:write secret:save"),
    missing<SecretGetXmlDescArgs, SecretGetXmlDescResult>(143, "SECRET_GET_XML_DESC", kHigh, "secret:read"),
    missing<SecretSetValueArgs, Nothing>(144, "SECRET_SET_VALUE", kHigh | kWrite, "secret:write"),
    missing<SecretGetValueArgs, SecretGetValueResult>(145, "SECRET_GET_VALUE", kHigh | kWrite, "secret:read_secure"),
    missing<SecretUndefineArgs, Nothing>(146, "SECRET_UNDEFINE", kHigh | kWrite, "secret:delete"),
    missing<SecretLookupByUsageArgs, SecretLookupByUsageResult>(147, "SECRET_LOOKUP_BY_USAGE", kHigh, "secret:getattr"),
    missing<ConnectListAllSecretsArgs, ConnectListAllSecretsResult>(287, "CONNECT_LIST_ALL_SECRETS", kHigh, "connect:search_secrets"),
};

}  // namespace

std::span<const Procedure> secret_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
