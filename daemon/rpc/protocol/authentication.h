// Arguments and results of the calls made before a client is authenticated.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

// How a client may prove who it is.
enum class AuthType : std::int32_t { none = 0, sasl = 1, polkit = 2 };

struct AuthListResult {
  Array<AuthType, kAuthTypeListMax> types;
};

struct AuthSaslInitResult {
  std::string mechlist;
};

struct AuthSaslStartArgs {
  std::string mech;
  std::int32_t nil = 0;
  CharArray<kAuthSaslDataMax> data;
};

struct AuthSaslStartResult {
  std::int32_t complete = 0;
  std::int32_t nil = 0;
  CharArray<kAuthSaslDataMax> data;
};

struct AuthSaslStepArgs {
  std::int32_t nil = 0;
  CharArray<kAuthSaslDataMax> data;
};

struct AuthSaslStepResult {
  std::int32_t complete = 0;
  std::int32_t nil = 0;
  CharArray<kAuthSaslDataMax> data;
};

struct AuthPolkitResult {
  std::int32_t complete = 0;
};

}  // namespace warren::daemon::rpc::protocol
