// A block job: some work (work.h) on a thread of its own, at no more than a speed, steered and watched by
// others.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "vmm-core/block/job/work.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::block::job {

enum class State : std::uint8_t { running, ready, completing, completed, cancelled, failed };

struct Status {
  State state = State::running;
  bool pivoted = false;
  std::uint64_t speed = 0;             // bytes a second; 0: no limit
  std::uint64_t current = 0, end = 0;  // bytes
  int error = 0;                       // errno
  std::string message;
};

class Job final : public Inspectable {
 public:
  // Begins at once. `changed` is called on the job's thread after each change of state and must not wait for
  // it; `at_start`, or none, first thing there (to install its system call filter, which binds the threads of
  // the queues that it makes, too). `name` is for messages. Throws Error.
  Job(std::string name, std::unique_ptr<Work> work, std::uint64_t speed, std::function<void()> changed,
      const std::function<void()>& at_start = {});
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  // Cancels it, where it has not ended, and waits for that.
  ~Job();

  // The rest is any other thread's.
  Status status() const;
  bool has_ended() const;
  void set_speed(std::uint64_t speed);
  // Throws Error unless it is ready.
  void complete(bool pivot);
  // Nothing when it has ended, or is about to.
  void cancel();

  void inspect(InspectNode& node) const override;

 private:
  using Clock = std::chrono::steady_clock;

  void run(const std::function<void()>& at_start) noexcept;
  bool begin(std::unique_lock<std::mutex>& lock, const std::function<void()>& at_start);
  void work_on(std::unique_lock<std::mutex>& lock);
  void wait(std::unique_lock<std::mutex>& lock, const Work::Step& step);
  void finish(std::unique_lock<std::mutex>& lock, bool pivot);
  void give_up(std::unique_lock<std::mutex>& lock, State state, int error, std::string message);
  void enter(std::unique_lock<std::mutex>& lock, State state);
  static bool is_end(State state) noexcept { return state >= State::completed; }

  const std::string name_;
  std::unique_ptr<Work> work_;  // until it has ended
  const std::function<void()> changed_;
  mutable std::mutex mutex_;
  std::condition_variable wanted_;
  State state_ = State::running;
  bool cancelled_ = false, pivot_ = false, pivoted_ = false;
  std::uint64_t speed_, moved_ = 0, steps_ = 0;
  Clock::time_point due_{};              // when what was moved is paid for
  std::uint64_t current_ = 0, end_ = 0;  // of work that has ended
  int error_ = 0;
  std::string message_;
  std::thread thread_;
};

}  // namespace warren::vmm::block::job
