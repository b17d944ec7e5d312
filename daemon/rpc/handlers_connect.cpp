#include "daemon/rpc/handlers_connect.h"

#include <fmt/format.h>

#include "daemon/rpc/connection_uri.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {
namespace {

// CONNECT_OPEN carries the client's internal bits, not virConnectFlags; the others do not concern the daemon.
constexpr std::uint32_t kOpenReadOnly = 1;

// What a client may ask of the protocol and the driver (libvirt's VIR_DRV_FEATURE_*).
enum Feature : std::int32_t {
  kFdPassing = 8,
  kTypedParamString = 9,
  kProgramKeepalive = 10,
  kEventCallback = 14,  // the server filters events by domain and id
  kCloseCallback = 15,
  kNetworkUpdateOrder = 16,
};

}  // namespace

AuthListResult auth_list(Call&, const Nothing&) {
  return {.types = {AuthType::none}};
}

void connect_open(Call& call, const ConnectOpenArgs& arguments) {
  Session& session = call.session();
  if (session.is_open()) throw driver::Error(VIR_ERR_INTERNAL_ERROR, "connection already open", VIR_FROM_RPC);
  ConnectionUri uri = resolve_connection_uri(arguments.name.value_or(""), session.services().session_mode);
  session.open(std::move(uri.uri), uri.flavour, (arguments.flags & kOpenReadOnly) != 0);
}

void connect_close(Call& call, const Nothing&) {
  call.session().close_when_sent();
}

// The hypervisor is this process: its end is the connection's end, of which no message could tell.
void connect_register_close_callback(Call&, const Nothing&) {}
void connect_unregister_close_callback(Call&, const Nothing&) {}

ConnectSupportsFeatureResult connect_supports_feature(Call& call,
                                                      const ConnectSupportsFeatureArgs& arguments) {
  Session& session = call.session();
  if (arguments.feature == kProgramKeepalive) {  // asked before the connection is opened
    session.enable_keepalive();
    return {.supported = 1};
  }
  if (!session.is_open()) throw driver::Error(VIR_ERR_INTERNAL_ERROR, "connection not open", VIR_FROM_RPC);
  switch (arguments.feature) {
    case kFdPassing:
      return {.supported = session.peer().passes_descriptors ? 1 : 0};
    case kTypedParamString:
    case kEventCallback:
    case kCloseCallback:
    case kNetworkUpdateOrder:
      return {.supported = 1};
    default:
      return {.supported = 0};
  }
}

ConnectGetTypeResult connect_get_type(Call& call, const Nothing&) {
  return {.type = call.session().host().type(call.session().caller())};
}

ConnectGetVersionResult connect_get_version(Call& call, const Nothing&) {
  return {.hv_ver = call.session().host().hypervisor_version(call.session().caller())};
}

ConnectGetLibVersionResult connect_get_lib_version(Call& call, const Nothing&) {
  return {.lib_ver = call.session().host().library_version(call.session().caller())};
}

ConnectGetHostnameResult connect_get_hostname(Call& call, const Nothing&) {
  return {.hostname = call.session().host().hostname(call.session().caller())};
}

ConnectGetUriResult connect_get_uri(Call& call, const Nothing&) {
  return {.uri = call.session().uri()};
}

// Whether the transport is safe from eavesdroppers: a unix socket is.
ConnectIsSecureResult connect_is_secure(Call& call, const Nothing&) {
  return {.secure = call.session().peer().passes_descriptors ? 1 : 0};
}

}  // namespace warren::daemon::rpc::handlers
