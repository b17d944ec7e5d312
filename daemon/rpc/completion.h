// Replies as the completions that the contract's changes take. Any handler.
#pragma once

#include <utility>

#include "daemon/rpc/call.h"
#include "daemon/rpc/convert.h"
#include "driver/contract/completion.h"

namespace warren::daemon::rpc {

// A change without a result.
inline driver::Completion<void> when_done(Reply<Nothing> reply) {
  return [reply = std::move(reply)](std::expected<void, driver::Error> outcome) mutable {
    if (outcome) {
      reply(Nothing{});
    } else {
      reply(std::unexpected(outcome.error()));
    }
  };
}

// A change whose `Result` is made from what the driver gives.
template <class Result, class Value, class Make>
driver::Completion<Value> when_done(Reply<Result> reply, Make make) {
  return [reply = std::move(reply), make](std::expected<Value, driver::Error> outcome) mutable {
    if (outcome) {
      reply(make(*outcome));
    } else {
      reply(std::unexpected(outcome.error()));
    }
  };
}

// A change that gives the domain it worked on.
template <class Result>
driver::Completion<driver::DomainHandle> when_domain(Reply<Result> reply) {
  return when_done<Result, driver::DomainHandle>(std::move(reply), [](const driver::DomainHandle& handle) {
    return Result{.dom = to_protocol(handle)};
  });
}

}  // namespace warren::daemon::rpc
