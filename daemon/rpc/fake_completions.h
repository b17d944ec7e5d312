// Answers that a fake driver gives at once, or when the test says so.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "driver/contract/completion.h"

namespace warren::daemon::rpc {

class FakeCompletions {
 public:
  bool immediate = true;

  template <class T>
  void answer(driver::Completion<T> done, std::expected<T, driver::Error> outcome) {
    if (immediate) return done(std::move(outcome));
    waiting_.push_back([done = std::move(done), outcome = std::move(outcome)](bool well) mutable {
      done(well ? std::move(outcome) : std::unexpected(driver::operation_failed("no")));
    });
  }

  std::size_t size() const { return waiting_.size(); }
  // Ends the one at `at`: as the driver meant to, or with VIR_ERR_OPERATION_FAILED.
  void finish(std::size_t at, bool well = true) {
    auto chosen = std::move(waiting_.at(at));
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
    chosen(well);
  }
  void finish_all() {
    while (size() > 0) finish(0);
  }

 private:
  std::vector<std::move_only_function<void(bool)>> waiting_;
};

}  // namespace warren::daemon::rpc
