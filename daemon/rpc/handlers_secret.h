// Calls about secrets, and registration for their events.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/protocol/secret.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectNumOfSecretsResult connect_num_of_secrets(Call& call, const Nothing&);
ConnectListSecretsResult connect_list_secrets(Call& call, const ConnectListSecretsArgs& arguments);
ConnectListAllSecretsResult connect_list_all_secrets(Call& call, const ConnectListAllSecretsArgs& arguments);
SecretLookupByUuidResult secret_lookup_by_uuid(Call& call, const SecretLookupByUuidArgs& arguments);
SecretLookupByUsageResult secret_lookup_by_usage(Call& call, const SecretLookupByUsageArgs& arguments);
SecretGetXmlDescResult secret_get_xml_desc(Call& call, const SecretGetXmlDescArgs& arguments);
SecretGetValueResult secret_get_value(Call& call, const SecretGetValueArgs& arguments);
void secret_define_xml(Call& call, const SecretDefineXmlArgs& arguments, Reply<SecretDefineXmlResult> reply);
void secret_set_value(Call& call, const SecretSetValueArgs& arguments, Reply<Nothing> reply);
void secret_undefine(Call& call, const SecretUndefineArgs& arguments, Reply<Nothing> reply);

ConnectSecretEventRegisterAnyResult connect_secret_event_register_any(
    Call& call, const ConnectSecretEventRegisterAnyArgs& arguments);
void connect_secret_event_deregister_any(Call& call, const ConnectSecretEventDeregisterAnyArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
