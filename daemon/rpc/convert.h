// Values of the contract as message structs, and back. Any thread.
#pragma once

#include "daemon/rpc/protocol/objects.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::daemon::rpc {

inline driver::Uuid to_driver(const Uuid& uuid) {
  return driver::Uuid{uuid};
}

inline protocol::Domain to_protocol(const driver::DomainHandle& handle) {
  return {.name = handle.name, .uuid = handle.uuid.bytes, .id = handle.id};
}

inline protocol::TypedParam to_protocol(const driver::TypedParameter& parameter) {
  return {.field = parameter.field, .value = parameter.value};
}

}  // namespace warren::daemon::rpc
