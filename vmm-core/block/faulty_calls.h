// For tests: the calls by which the block layer reaches the host, which fail as a test says (class T12).
//
// What is linked with faulty_calls.cpp (block_faults of meson.build) has these in front of libc's calls and
// of io_uring_submit(): a read, write or sync of a ring is one of them like any other. The plans are the
// program's: one test at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace warren::vmm::block {

// What the next calls of one kind do, in order; then they work again. Any thread asks, the test plans.
class Faults {
 public:
  struct Step {
    int error = 0;                // errno, or 0
    std::size_t most = SIZE_MAX;  // bytes transferred at most
  };
  void plan(std::vector<Step> steps) {
    steps_ = std::move(steps);
    next_ = 0;
  }
  // The call after `works` others.
  void plan_after(std::size_t works, Step step) {
    std::vector<Step> steps(works);
    steps.push_back(step);
    plan(std::move(steps));
  }
  Step next() noexcept {
    const std::size_t at = next_.fetch_add(1);
    return at < steps_.size() ? steps_[at] : Step{};
  }
  bool all_met() const noexcept { return next_ >= steps_.size(); }
  std::size_t calls() const noexcept { return next_; }  // since the last plan

 private:
  std::vector<Step> steps_;
  std::atomic<std::size_t> next_{0};
};

extern Faults reads, writes, syncs, allocations, truncations;
extern Faults submissions;  // io_uring_enter
extern Faults waits;        // epoll_ctl, where it adds

inline void plan_no_faults() {
  for (Faults* faults : {&reads, &writes, &syncs, &allocations, &truncations, &submissions, &waits})
    faults->plan({});
}

// What was asked of the host since the last look, in order: 'r', 'w', 's', 'a' (fallocate), 't'.
std::string take_trace();

}  // namespace warren::vmm::block
