// What a client may open: the URI of CONNECT_OPEN, and the identity that the connection gets from it (DESIGN
// §1).
#pragma once

#include <string>
#include <string_view>

#include "driver/contract/caller.h"

namespace warren::daemon::rpc {

struct ConnectionUri {
  std::string uri;  // as virConnectGetURI shows it
  driver::UriFlavour flavour = driver::UriFlavour::warren;
};

// `name` as the client sent it; empty asks for our default. `session_mode`: this is a user's own daemon.
// Schemes other than warren and qemu, and names with a host, are not ours: VIR_ERR_NO_CONNECT. A path that
// this daemon does not serve is VIR_ERR_INTERNAL_ERROR as libvirt's drivers say it. Throws driver::Error.
ConnectionUri resolve_connection_uri(std::string_view name, bool session_mode);

}  // namespace warren::daemon::rpc
