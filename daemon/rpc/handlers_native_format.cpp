#include "daemon/rpc/handlers_native_format.h"

#include "daemon/rpc/completion.h"
#include "daemon/rpc/session.h"
#include "driver/contract/native_format.h"

namespace warren::daemon::rpc::handlers {

void connect_domain_xml_to_native(Call& call, const ConnectDomainXmlToNativeArgs& arguments,
                                  Reply<ConnectDomainXmlToNativeResult> reply) {
  Session& session = call.session();
  session.native_formats().to_native(
      session.caller(), arguments.native_format, arguments.domain_xml, arguments.flags,
      when_done<ConnectDomainXmlToNativeResult, std::string>(std::move(reply), [](std::string& text) {
        return ConnectDomainXmlToNativeResult{std::move(text)};
      }));
}

ConnectDomainXmlFromNativeResult connect_domain_xml_from_native(
    Call& call, const ConnectDomainXmlFromNativeArgs& arguments) {
  Session& session = call.session();
  return {session.native_formats().from_native(session.caller(), arguments.native_format,
                                               arguments.native_config, arguments.flags)};
}

}  // namespace warren::daemon::rpc::handlers
