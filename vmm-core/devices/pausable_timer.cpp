#include "vmm-core/devices/pausable_timer.h"

#include <algorithm>
#include <utility>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

PausableTimer::PausableTimer(EventThread& thread, const std::string& name, std::function<void()> look)
    : thread_(thread),
      look_(std::move(look)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!timer_) throw_errno(name + ": timer");
  bool added = true;
  thread_.run([&] {
    try {
      thread_.add(timer_.get(), EPOLLIN, *this);
    } catch (const Error&) {
      added = false;
    }
  });
  if (!added) throw Error(std::errc::not_enough_memory, name + ": timer");
}

PausableTimer::~PausableTimer() {
  thread_.run([this] { thread_.remove(timer_.get()); });
}

void PausableTimer::on_event(std::uint32_t) noexcept {
  look_();
}

void PausableTimer::arm(std::uint64_t nanoseconds) noexcept {
  itimerspec time{};
  time.it_value.tv_sec = static_cast<time_t>(nanoseconds / kNanosecondsPerSecond);
  time.it_value.tv_nsec = static_cast<long>(nanoseconds % kNanosecondsPerSecond);
  // Cannot fail: the descriptor is a timer and the times are sound. What had run out has not any more.
  (void)::timerfd_settime(timer_.get(), 0, &time, nullptr);
}

void PausableTimer::set(std::uint64_t nanoseconds) noexcept {
  runs_ = nanoseconds != 0;
  rest_ = nanoseconds;
  if (!paused_) arm(nanoseconds);
}

std::uint64_t PausableTimer::left() const noexcept {
  if (!runs_) return 0;
  if (paused_) return rest_;
  itimerspec time{};
  (void)::timerfd_gettime(timer_.get(), &time);
  // One that has run out and was not looked at yet runs out at once when it goes on.
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(time.it_value.tv_sec) * kNanosecondsPerSecond +
                                        static_cast<std::uint64_t>(time.it_value.tv_nsec));
}

bool PausableTimer::take_expiry() noexcept {
  std::uint64_t count = 0;
  if (::read(timer_.get(), &count, sizeof(count)) != sizeof(count) || paused_) return false;
  return std::exchange(runs_, false);
}

void PausableTimer::pause() noexcept {
  if (paused_) return;
  rest_ = left();
  paused_ = true;
  arm(0);
}

void PausableTimer::resume() noexcept {
  if (!paused_) return;
  paused_ = false;
  arm(rest_);
}

}  // namespace warren::vmm
