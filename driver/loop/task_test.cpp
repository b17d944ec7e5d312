// Tasks that wait for pool threads.

#include "driver/loop/task.h"

#include <optional>

#include <gtest/gtest.h>
#include <unistd.h>

namespace warren::driver::loop {
namespace {

TEST(RunBlocking, ComesBackAndCanBeAbandoned) {
  asio::io_context loop;
  asio::thread_pool pool(1);
  std::string seen;
  auto good = [](asio::thread_pool& threads, std::string& out) -> Task<> {
    out = co_await run_blocking<std::string>(threads, [] { return std::string("result"); });
  };
  run_task<void>(loop, good(pool, seen), [](auto result) { EXPECT_TRUE(result); });
  loop.run();
  EXPECT_EQ(seen, "result");

  Abandonment abandonment;
  std::optional<Error> failure;
  auto slow = [](asio::thread_pool& threads, Abandonment& wait) -> Task<> {
    co_await run_blocking<Done>(
        threads,
        [] {
          ::usleep(200'000);
          return Done{};
        },
        &wait);
  };
  run_task<void>(loop, slow(pool, abandonment), [&](auto result) { failure = result.error(); });
  loop.restart();
  loop.poll();
  abandonment.abandon(Error(VIR_ERR_OPERATION_ABORTED, "the domain was destroyed"));
  loop.poll();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), VIR_ERR_OPERATION_ABORTED);
  EXPECT_EQ(failure->detail(), "the domain was destroyed");
  pool.join();
  loop.restart();
  loop.run();
}

// The thread has let go of all that the task gets before the task goes on.
TEST(RunBlocking, WhatItThrowsComesBack) {
  asio::io_context loop;
  asio::thread_pool pool(1);
  std::optional<Error> failure;
  auto bad = [](asio::thread_pool& threads) -> Task<std::shared_ptr<int>> {
    std::move_only_function<std::shared_ptr<int>()> work = []() -> std::shared_ptr<int> {
      throw Error(VIR_ERR_NO_DOMAIN, "thrown on a thread");
    };
    co_return co_await run_blocking<std::shared_ptr<int>>(threads, std::move(work));
  };
  run_task<std::shared_ptr<int>>(loop, bad(pool), [&](auto result) { failure = result.error(); });
  loop.run();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), VIR_ERR_NO_DOMAIN);
  EXPECT_EQ(failure->detail(), "thrown on a thread");
}

}  // namespace
}  // namespace warren::driver::loop
