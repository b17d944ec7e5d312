// Handles as the calls that list them return them. Any handler.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::daemon::rpc {

// The calls of libvirt 0.3: names only, and no more than the client has room for.
template <class Names, class Handle>
void take_names(const std::vector<Handle>& handles, std::int32_t most, Names& names) {
  for (const Handle& handle : handles) {
    if (names.size() == static_cast<std::size_t>(std::max(most, 0))) break;
    names.push_back(handle.name);
  }
}

// The LIST_ALL calls: their number, and all of them if they are wanted. Throws driver::Error when there are
// more `objects` than a message can hold.
template <class Result, class List, class Handle>
Result list_all(const std::vector<Handle>& handles, std::int32_t need_results, List Result::* list,
                typename List::value_type (*make)(const Handle&), std::string_view objects) {
  Result result;
  result.ret = static_cast<std::uint32_t>(handles.size());
  if (need_results == 0) return result;
  if (handles.size() > List::kMax) {
    throw driver::Error(VIR_ERR_RPC,
                        fmt::format("Too many {} '{}' for limit '{}'", objects, handles.size(), List::kMax),
                        VIR_FROM_RPC);
  }
  for (const Handle& handle : handles) (result.*list).push_back(make(handle));
  return result;
}

}  // namespace warren::daemon::rpc
