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

template <class List>
driver::TypedParameters to_driver(const List& parameters)
  requires requires { parameters.front().field; }
{
  driver::TypedParameters result;
  for (const auto& parameter : parameters) result.push_back({parameter.field, parameter.value});
  return result;
}

}  // namespace warren::daemon::rpc
