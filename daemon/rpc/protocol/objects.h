// The handles by which calls name objects, typed parameters, and the error of a failed call (virError).
//
// A handle is looked up by its uuid, never by the name or id that travels beside it: those may be stale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct Domain {
  std::string name;
  Uuid uuid{};
  std::int32_t id = 0;
};

struct Network {
  std::string name;
  Uuid uuid{};
};

struct NetworkPort {
  Network net;
  Uuid uuid{};
};

struct Nwfilter {
  std::string name;
  Uuid uuid{};
};

struct NwfilterBinding {
  std::string portdev;
  std::string filtername;
};

struct Interface {
  std::string name;
  std::string mac;
};

struct StoragePool {
  std::string name;
  Uuid uuid{};
};

struct StorageVol {
  std::string pool;
  std::string name;
  std::string key;
};

struct NodeDevice {
  std::string name;
};

struct Secret {
  Uuid uuid{};
  std::int32_t usage_type = 0;
  std::string usage_id;
};

struct DomainCheckpoint {
  std::string name;
  Domain dom;
};

struct DomainSnapshot {
  std::string name;
  Domain dom;
};

struct Error {
  std::int32_t code = 0;
  std::int32_t domain = 0;
  std::optional<std::string> message;
  std::int32_t level = 0;
  std::optional<Domain> dom;
  std::optional<std::string> str1;
  std::optional<std::string> str2;
  std::optional<std::string> str3;
  std::int32_t int1 = 0;
  std::int32_t int2 = 0;
  std::optional<Network> net;
};

struct TypedParam {
  std::string field;
  TypedValue value;
};

}  // namespace warren::daemon::rpc::protocol
