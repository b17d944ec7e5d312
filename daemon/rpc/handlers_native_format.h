// Domains in the worker's own words, and back.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void connect_domain_xml_to_native(Call& call, const ConnectDomainXmlToNativeArgs& arguments,
                                  Reply<ConnectDomainXmlToNativeResult> reply);
ConnectDomainXmlFromNativeResult connect_domain_xml_from_native(
    Call& call, const ConnectDomainXmlFromNativeArgs& arguments);

}  // namespace warren::daemon::rpc::handlers
