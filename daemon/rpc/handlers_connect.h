// Calls about the connection itself.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/authentication.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

AuthListResult auth_list(Call& call, const Nothing&);
void connect_open(Call& call, const ConnectOpenArgs& arguments);
void connect_close(Call& call, const Nothing&);
void connect_register_close_callback(Call& call, const Nothing&);
void connect_unregister_close_callback(Call& call, const Nothing&);
void connect_set_identity(Call& call, const ConnectSetIdentityArgs& arguments);
ConnectSupportsFeatureResult connect_supports_feature(Call& call,
                                                      const ConnectSupportsFeatureArgs& arguments);
ConnectGetTypeResult connect_get_type(Call& call, const Nothing&);
ConnectGetVersionResult connect_get_version(Call& call, const Nothing&);
ConnectGetLibVersionResult connect_get_lib_version(Call& call, const Nothing&);
ConnectGetHostnameResult connect_get_hostname(Call& call, const Nothing&);
ConnectGetUriResult connect_get_uri(Call& call, const Nothing&);
ConnectIsSecureResult connect_is_secure(Call& call, const Nothing&);

}  // namespace warren::daemon::rpc::handlers
