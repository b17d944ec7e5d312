// Registration for events of domains, and the messages that carry them.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/event.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

ConnectDomainEventCallbackRegisterAnyResult connect_domain_event_callback_register_any(
    Call& call, const ConnectDomainEventCallbackRegisterAnyArgs& arguments);
void connect_domain_event_callback_deregister_any(
    Call& call, const ConnectDomainEventCallbackDeregisterAnyArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
