// How a call of the contract that takes time answers.
//
// Called exactly once, on the loop's thread: with the result, or with the Error. It may be called before the
// function that took it returns, and after the caller has gone away: whoever passes one guards what it
// captures. A function that takes a Completion does not throw.
#pragma once

#include <expected>
#include <functional>

#include "driver/contract/error.h"

namespace warren::driver {

template <typename T>
using Completion = std::move_only_function<void(std::expected<T, Error>)>;

}  // namespace warren::driver
