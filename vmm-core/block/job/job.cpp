#include "vmm-core/block/job/job.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <pthread.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {
namespace {

// How soon work that had nothing to do looks again.
constexpr std::chrono::milliseconds kIdle{20};
// How much of a time that was not used may be made up for.
constexpr std::chrono::milliseconds kMostCredit{100};

const char* name_of(State state) noexcept {
  switch (state) {
    case State::running:
      return "running";
    case State::ready:
      return "ready";
    case State::completing:
      return "completing";
    case State::completed:
      return "completed";
    case State::cancelled:
      return "cancelled";
    case State::failed:
      return "failed";
  }
  return "?";
}

}  // namespace

Job::Job(std::string name, std::unique_ptr<Work> work, std::uint64_t speed, std::function<void()> changed,
         const std::function<void()>& at_start)
    : name_(std::move(name)), work_(std::move(work)), changed_(std::move(changed)), speed_(speed) {
  try {
    thread_ = std::thread([this, at_start] { run(at_start); });
  } catch (const std::system_error& error) {
    work_->give_up();
    throw Error::from_errno(error.code().value(), name_ + ": thread of a block job");
  }
}

Job::~Job() {
  cancel();
  thread_.join();
}

Status Job::status() const {
  const std::lock_guard lock(mutex_);
  Status status{.state = state_,
                .pivoted = pivoted_,
                .speed = speed_,
                .current = work_ ? work_->current() : current_,
                .end = work_ ? work_->end() : end_,
                .error = error_,
                .message = message_};
  // The two are not read at once.
  status.end = std::max(status.end, status.current);
  return status;
}

bool Job::has_ended() const {
  const std::lock_guard lock(mutex_);
  return is_end(state_);
}

void Job::set_speed(std::uint64_t speed) {
  {
    const std::lock_guard lock(mutex_);
    speed_ = speed;
    due_ = {};
  }
  wanted_.notify_all();
}

void Job::complete(bool pivot) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::ready || cancelled_)
      throw Error(std::errc::operation_in_progress,
                  name_ + ": its block job is not ready to complete, but " + name_of(state_));
    state_ = State::completing;
    pivot_ = pivot;
  }
  wanted_.notify_all();
}

void Job::cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  wanted_.notify_all();
}

void Job::inspect(InspectNode& node) const {
  const Status now = status();
  node.add("state", std::string(name_of(now.state)));
  node.add("speed", now.speed);
  node.add("current", now.current);
  node.add("end", now.end);
  node.add("error", std::int64_t{now.error});
  const std::lock_guard lock(mutex_);
  node.add("moved_bytes", moved_);
  node.add("steps", steps_);
}

bool Job::begin(std::unique_lock<std::mutex>& lock, const std::function<void()>& at_start) {
  try {
    if (at_start) at_start();
    return true;
  } catch (const std::exception& failed) {
    give_up(lock, State::failed, EPERM, name_ + ": block job: " + failed.what());
    return false;
  }
}

void Job::run(const std::function<void()>& at_start) noexcept {
  // Itself: the name of another thread is a file, which nobody in a cage opens.
  ::pthread_setname_np(::pthread_self(), "block-job");
  std::unique_lock lock(mutex_);
  if (!begin(lock, at_start)) return;
  while (!is_end(state_)) {
    if (state_ == State::completing) {
      lock.unlock();
      changed_();
      lock.lock();
      finish(lock, pivot_);
    } else if (cancelled_) {
      give_up(lock, State::cancelled, 0, {});
    } else {
      work_on(lock);
    }
  }
}

void Job::work_on(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const Work::Step step = work_->step();
  lock.lock();
  ++steps_;
  moved_ += step.bytes;
  if (step.error != 0)
    return give_up(lock, State::failed, step.error,
                   Error::from_errno(step.error, name_ + ": block job").what());
  // Of a job that is cancelled nothing is finished any more.
  if (cancelled_ || state_ == State::completing) return;
  if (step.next == Work::Next::done) return finish(lock, false);
  if (work_->is_ready() && state_ == State::running) enter(lock, State::ready);
  wait(lock, step);
}

void Job::wait(std::unique_lock<std::mutex>& lock, const Work::Step& step) {
  const auto is_wanted = [this] { return cancelled_ || state_ == State::completing; };
  if (is_wanted()) return;
  if (step.next == Work::Next::idle) wanted_.wait_for(lock, kIdle, is_wanted);
  if (speed_ == 0 || step.bytes == 0) return;
  const auto now = Clock::now();
  due_ = std::max(due_, now - kMostCredit) +
         std::chrono::nanoseconds(
             static_cast<std::int64_t>(static_cast<double>(step.bytes) / static_cast<double>(speed_) * 1e9));
  // Another speed sets this back.
  wanted_.wait_until(lock, due_, [&] { return is_wanted() || due_ <= Clock::now(); });
}

void Job::finish(std::unique_lock<std::mutex>& lock, bool pivot) {
  std::string message;
  int error = 0;
  lock.unlock();
  try {
    work_->finish(pivot);
  } catch (const Error& failed) {
    error = static_cast<int>(failed.code());
    message = failed.what();
  } catch (const std::exception& failed) {
    error = ENOMEM;
    message = name_ + ": block job: " + failed.what();
  }
  lock.lock();
  if (!message.empty()) return give_up(lock, State::failed, error, std::move(message));
  pivoted_ = pivot;
  enter(lock, State::completed);
}

void Job::give_up(std::unique_lock<std::mutex>& lock, State state, int error, std::string message) {
  lock.unlock();
  work_->give_up();
  lock.lock();
  error_ = error;
  message_ = std::move(message);
  enter(lock, state);
}

void Job::enter(std::unique_lock<std::mutex>& lock, State state) {
  if (is_end(state)) {
    current_ = work_->current();
    end_ = work_->end();
    std::unique_ptr<Work> done = std::move(work_);
    // Who learns that it has ended may begin another at once, with the images and locks that this one had.
    lock.unlock();
    done.reset();
    lock.lock();
  }
  state_ = state;
  lock.unlock();
  changed_();
  lock.lock();
}

}  // namespace warren::vmm::block::job
