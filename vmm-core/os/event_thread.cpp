#include "vmm-core/os/event_thread.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <future>
#include <new>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {

EventThread::EventThread(const std::string& name, std::function<void()> at_start)
    : poll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!poll_ || !wake_) throw_errno("event thread " + name);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag(wake_.get(), 0);
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) throw_errno("event thread " + name);
  std::promise<void> started;
  auto result = started.get_future();
  thread_ = std::thread([this, name, at_start = std::move(at_start), started = std::move(started)]() mutable {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    try {
      if (at_start) at_start();
      started.set_value();
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    loop();
  });
  try {
    result.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

EventThread::~EventThread() {
  run([this] { stopping_ = true; });
  thread_.join();
}

void EventThread::run(const std::function<void()>& work) {
  if (is_current()) return work();
  const std::lock_guard turn(callers_);
  std::unique_lock lock(mutex_);
  waiting_ = &work;
  const std::uint64_t one = 1;
  // A counter that is full wakes just as well.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  done_.wait(lock, [this] { return waiting_ == nullptr; });
}

void EventThread::run_waiting() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
  const std::lock_guard lock(mutex_);
  if (waiting_ == nullptr) return;
  (*waiting_)();
  waiting_ = nullptr;
  done_.notify_all();
}

std::uint64_t EventThread::tag(int descriptor, std::uint32_t number) noexcept {
  return std::uint64_t{number} << 32 | static_cast<std::uint32_t>(descriptor);
}

void EventThread::add(int descriptor, std::uint32_t events, EventHandler& handler) {
  const std::uint32_t number = next_number_;
  next_number_ = std::max(next_number_ + 1, 1u);  // 0 is the wake-up's
  const auto [place, is_new] = registrations_.try_emplace(descriptor);
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(descriptor, number);
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
    const int error = errno;
    if (is_new) registrations_.erase(place);
    throw Error::from_errno(error, "wait for a descriptor");
  }
  place->second = {&handler, number};
}

void EventThread::change(int descriptor, std::uint32_t events) noexcept {
  const auto found = registrations_.find(descriptor);
  if (found == registrations_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(descriptor, found->second.number);
  ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, descriptor, &event);
}

void EventThread::remove(int descriptor) noexcept {
  if (registrations_.erase(descriptor) != 0) ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void EventThread::add(Polled& polled) {
  try {
    polled_.push_back(&polled);
  } catch (const std::bad_alloc&) {
    throw Error(std::errc::not_enough_memory, "poll");
  }
  if (polling_) polled.polling_begins();
}

void EventThread::remove(Polled& polled) noexcept {
  std::erase(polled_, &polled);
}

int EventThread::look(std::span<epoll_event> events, int milliseconds) noexcept {
  return ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
}

int EventThread::wait(std::span<epoll_event> events) noexcept {
  if (polled_.empty()) return look(events, -1);
  auto idle_since = Clock::now();
  if (polling_) {
    if (const int count = poll(events, idle_since)) return count;
    set_polling(false);
    ++misses_;  // adapt() keeps it small
  }
  const int count = look(events, -1);
  adapt(Clock::now() - idle_since);
  if (polls_for_ != polls_for_.zero()) set_polling(true);
  return count;
}

// None: nothing came for as long as is worth polling.
int EventThread::poll(std::span<epoll_event> events, Clock::time_point& idle_since) noexcept {
  // How often is looked before descriptors have their turn, which costs a system call.
  constexpr int kLooks = 64, kFinds = 4;
  auto now = idle_since;
  do {
    int finds = 0;
    for (int i = 0; i < kLooks && finds < kFinds; ++i) {
      bool found = false;
      // One of them may remove another.
      for (std::size_t each = 0; each < polled_.size(); ++each) found = polled_[each]->poll() || found;
      finds += found;
      if (!found) __builtin_ia32_pause();
    }
    const int count = look(events, 0);
    if (finds != 0 || count != 0) {
      misses_ = 0;
      polls_for_ = kMostPolling;
    }
    if (count != 0) return count;
    now = Clock::now();
    if (finds != 0) idle_since = now;
  } while (now - idle_since < polls_for_);
  return 0;
}

// How long a sleep was says little where waking up takes longer than polling would have: so polling is tried
// now and then, and kept up as long as it finds something.
void EventThread::adapt(std::chrono::nanoseconds idle) noexcept {
  constexpr std::uint8_t kMostMisses = 4, kSleepsToATrial = 16;
  constexpr std::chrono::microseconds kTrial{8};
  if (idle <= kMostPolling) misses_ = 0;
  if (misses_ < kMostMisses) {
    polls_for_ = kMostPolling;
  } else {
    misses_ = kMostMisses;
    polls_for_ = ++sleeps_ % kSleepsToATrial == 0 ? kTrial : std::chrono::microseconds(0);
  }
}

void EventThread::set_polling(bool polls) noexcept {
  polling_ = polls;
  for (std::size_t each = 0; each < polled_.size(); ++each) {
    if (polls) {
      polled_[each]->polling_begins();
    } else {
      polled_[each]->polling_ends();
    }
  }
}

void EventThread::loop() noexcept {
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    const int count = wait(events);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto number = static_cast<std::uint32_t>(event.data.u64 >> 32);
      if (number == 0) {
        run_waiting();
        continue;
      }
      // An earlier event of this batch may have removed the handler, and its descriptor may be another's now.
      const auto found = registrations_.find(static_cast<int>(event.data.u64 & 0xffff'ffff));
      if (found != registrations_.end() && found->second.number == number) {
        found->second.handler->on_event(event.events);
      }
    }
  }
}

}  // namespace warren::vmm
