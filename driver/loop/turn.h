// Whose turn it is: one Task after the other on one object, in the order in which they asked.
//
// The loop's thread. The Turn outlives its holds: whoever holds one keeps its object alive.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "driver/loop/task.h"

namespace warren::driver::loop {

class Turn {
 public:
  class Hold {
   public:
    explicit Hold(Turn* turn) : turn_(turn) {}
    Hold(Hold&& other) noexcept : turn_(std::exchange(other.turn_, nullptr)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() { release(); }
    void release() {
      if (turn_ != nullptr) std::exchange(turn_, nullptr)->pass_on();
    }

   private:
    Turn* turn_;
  };

  explicit Turn(asio::io_context& loop) : loop_(loop) {}

  Task<Hold> take() {
    if (!taken_) {
      taken_ = true;
      co_return Hold(this);
    }
    const auto waiter =
        std::make_shared<asio::steady_timer>(loop_, std::chrono::steady_clock::time_point::max());
    waiters_.push_back(waiter);
    boost::system::error_code ignored;
    co_await waiter->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return Hold(this);
  }

 private:
  void pass_on() {
    if (waiters_.empty()) {
      taken_ = false;
      return;
    }
    const auto next = waiters_.front();
    waiters_.pop_front();
    next->cancel();
  }

  asio::io_context& loop_;
  bool taken_ = false;
  std::deque<std::shared_ptr<asio::steady_timer>> waiters_;
};

}  // namespace warren::driver::loop
