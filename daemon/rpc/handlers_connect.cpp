#include "daemon/rpc/handlers_connect.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

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

// Who a proxy speaks for, as far as it matters here: what remains is names and labels of the same.
struct Identity {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::optional<pid_t> process;
};

template <class Wire, class Value>
void take(const TypedParam& parameter, std::optional<Value>& target) {
  const auto* value = std::get_if<Wire>(&parameter.value);
  if (value == nullptr || !std::in_range<Value>(*value) || target) {
    throw driver::invalid_argument(
        fmt::format("identity: '{}' occurs twice, or is of the wrong type or size", parameter.field));
  }
  target = static_cast<Value>(*value);
}

Identity read_identity(const Array<TypedParam, kConnectIdentityParamsMax>& parameters) {
  constexpr std::string_view kText[] = {
      VIR_CONNECT_IDENTITY_USER_NAME, VIR_CONNECT_IDENTITY_GROUP_NAME, VIR_CONNECT_IDENTITY_SASL_USER_NAME,
      VIR_CONNECT_IDENTITY_X509_DISTINGUISHED_NAME, VIR_CONNECT_IDENTITY_SELINUX_CONTEXT};
  Identity identity;
  std::optional<std::uint64_t> process_time;  // of a process that a client may outlive; not looked at
  for (const TypedParam& parameter : parameters) {
    const std::string& name = parameter.field;
    if (name == VIR_CONNECT_IDENTITY_UNIX_USER_ID) {
      take<std::uint64_t>(parameter, identity.user);
    } else if (name == VIR_CONNECT_IDENTITY_UNIX_GROUP_ID) {
      take<std::uint64_t>(parameter, identity.group);
    } else if (name == VIR_CONNECT_IDENTITY_PROCESS_ID) {
      take<std::int64_t>(parameter, identity.process);
    } else if (name == VIR_CONNECT_IDENTITY_PROCESS_TIME) {
      take<std::uint64_t>(parameter, process_time);
    } else if (std::ranges::find(kText, name) == std::end(kText)) {
      throw driver::Error(VIR_ERR_ARGUMENT_UNSUPPORTED, fmt::format("parameter '{}' not supported", name),
                          VIR_FROM_RPC);
    } else if (!std::holds_alternative<std::string>(parameter.value)) {
      throw driver::invalid_argument(fmt::format("identity: '{}' must be text", name));
    }
  }
  return identity;
}

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

void connect_register_close_callback(Call& call, const Nothing&) {
  call.session().announce_close(true);
}

void connect_unregister_close_callback(Call& call, const Nothing&) {
  call.session().announce_close(false);
}

// For a proxy (virtproxyd), which is root and speaks for clients that it has authenticated.
void connect_set_identity(Call& call, const ConnectSetIdentityArgs& arguments) {
  Session& session = call.session();
  driver::check_flags(arguments.flags, 0, "virConnectSetIdentity");
  const std::optional<uid_t> peer = session.peer().user_id;
  if (!peer || (*peer != 0 && *peer != ::geteuid())) {
    throw driver::Error(VIR_ERR_OPERATION_DENIED,
                        "only a client with the daemon's own privileges may speak for another", VIR_FROM_RPC);
  }
  const Identity identity = read_identity(arguments.params);
  session.set_identity(identity.user, identity.group, identity.process);
}

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
