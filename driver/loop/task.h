// Coroutines of the drivers: a Task runs on the loop's thread and waits for pool threads and other processes.
// DEVNOTE: functions handed to run_blocking() and await_reply() are named variables, never lambdas written
// within the co_await expression: g++ 12 destroys the captures of such temporaries twice. Implementation
// header of the drivers (Asio is heavy): only their .cpp files include it.
#pragma once

#include <exception>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "driver/contract/completion.h"
#include "vmm-core/os/error.h"

namespace warren::driver::loop {

namespace asio = boost::asio;

template <typename T = void>
using Task = asio::awaitable<T>;

// Takes whatever a Task may throw into the layer's own exception.
inline Error error_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error;
  } catch (const vmm::Error& error) {
    return operation_failed(error.what());
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

// Runs a task from here on and tells its end.
template <typename T>
void run_task(asio::io_context& loop, Task<T> task, Completion<T> completion) {
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(loop, std::move(task),
                   [completion = std::move(completion)](const std::exception_ptr& failure) mutable {
                     if (failure) return completion(std::unexpected(error_of(failure)));
                     completion({});
                   });
  } else {
    asio::co_spawn(loop, std::move(task),
                   [completion = std::move(completion)](const std::exception_ptr& failure, T value) mutable {
                     if (failure) return completion(std::unexpected(error_of(failure)));
                     completion(std::move(value));
                   });
  }
}

// Lets a task give up waiting for a pool thread that may hang (an image on a dead file server): the task goes
// on with an error, and what the thread returns one day is destroyed. One thread.
class Abandonment {
 public:
  void abandon(Error reason) {
    if (auto action = std::exchange(action_, nullptr)) action(std::move(reason));
  }
  void set(std::move_only_function<void(Error)> action) { action_ = std::move(action); }
  void clear() { action_ = nullptr; }

 private:
  std::move_only_function<void(Error)> action_;
};

namespace detail {

template <typename T, typename Handler>
struct BlockingWait {
  std::move_only_function<void(std::exception_ptr, T)> handler;
  explicit BlockingWait(Handler taken) : handler(std::move(taken)) {}
  void finish(std::exception_ptr failure, T value) {
    if (auto resume = std::exchange(handler, nullptr)) resume(std::move(failure), std::move(value));
  }
};

}  // namespace detail

// Runs `function` on a thread of `pool` and resumes on the caller's executor with what it returns or throws.
template <typename T>
Task<T> run_blocking(asio::thread_pool& pool, std::move_only_function<T()> function,
                     Abandonment* abandonment = nullptr) {
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [&pool, executor, abandonment](auto handler, std::move_only_function<T()> work) {
    using Wait = detail::BlockingWait<T, decltype(handler)>;
    auto wait = std::make_shared<Wait>(std::move(handler));
    if (abandonment != nullptr) {
      abandonment->set([wait, executor](Error reason) {
        asio::post(executor, [wait, reason = std::make_exception_ptr(std::move(reason))]() mutable {
          wait->finish(std::move(reason), T{});
        });
      });
    }
    asio::post(pool, [wait = std::move(wait), executor, guard = asio::make_work_guard(executor),
                      work = std::move(work)]() mutable {
      std::exception_ptr failure;
      T value{};
      try {
        value = work();
      } catch (...) {
        failure = std::current_exception();
      }
      work = nullptr;
      // Moved: this thread lets go of the exception, and of the task, before another one looks at them.
      asio::post(executor,
                 [wait = std::move(wait), failure = std::move(failure), value = std::move(value)]() mutable {
                   wait->finish(std::move(failure), std::move(value));
                 });
    });
  };
  std::exception_ptr failed;
  T result{};
  try {
    result = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, T)>(
        std::move(initiate), asio::use_awaitable, std::move(function));
  } catch (...) {
    failed = std::current_exception();
  }
  if (abandonment != nullptr) abandonment->clear();
  if (failed) std::rethrow_exception(failed);
  co_return result;
}

// For work without a result.
struct Done {};

// Begins something that calls back, from the loop and never before it returns.
template <typename T>
using Beginning = std::move_only_function<void(Completion<T>)>;

// Resumes with what the completion is given; throws its Error.
template <typename T>
Task<T> await_completion(Beginning<T> begin) {
  auto initiate = [](auto handler, auto start) {
    start([handler = std::move(handler)](std::expected<T, Error> outcome) mutable {
      std::move(handler)(std::move(outcome));
    });
  };
  std::expected<T, Error> outcome =
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::expected<T, Error>)>(
          initiate, asio::use_awaitable, std::move(begin));
  if (!outcome) throw Error(outcome.error());
  if constexpr (!std::is_void_v<T>) co_return std::move(*outcome);
}

}  // namespace warren::driver::loop
