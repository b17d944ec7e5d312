// The drivers' coroutines (driver/loop/task.h), and how one waits for a worker's answer. Implementation
// header of domain/ (Asio is heavy): only its .cpp files include it.
#pragma once

#include <expected>
#include <functional>
#include <utility>

#include "driver/loop/task.h"
#include "vmm-core/os/error.h"

namespace warren::driver::domain {

namespace asio = boost::asio;

using loop::Abandonment;
using loop::await_completion;
using loop::Beginning;
using loop::Done;
using loop::error_of;
using loop::run_blocking;
using loop::run_task;
using loop::Task;

// Takes a handler for the worker's answer.
template <typename T>
using Request = std::move_only_function<void(std::move_only_function<void(std::expected<T, vmm::Error>)>)>;

// Resumes with what `request`, given a reply handler, is answered.
template <typename T>
Task<std::expected<T, vmm::Error>> await_reply(Request<T> request) {
  auto initiate = [](auto handler, auto ask) {
    ask([handler = std::move(handler)](std::expected<T, vmm::Error> answer) mutable {
      std::move(handler)(std::move(answer));
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::expected<T, vmm::Error>)>(
      initiate, asio::use_awaitable, std::move(request));
}

}  // namespace warren::driver::domain
