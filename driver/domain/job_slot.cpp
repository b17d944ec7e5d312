#include "driver/domain/job_slot.h"

#include <ctime>

#include <fmt/format.h>

namespace warren::driver::domain {

std::string format_time(std::chrono::system_clock::time_point time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::size_t length = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text, length};
}

std::string describe(const Caller& caller) {
  if (caller.connection_id == 0) return "the daemon";
  std::string text = fmt::format("connection {}", caller.connection_id);
  if (caller.user_id && caller.process_id) {
    text += fmt::format(" (uid {}, pid {})", *caller.user_id, *caller.process_id);
  }
  return text;
}

JobSlot::JobSlot(asio::io_context& loop, std::string domain_name, std::chrono::milliseconds patience)
    : loop_(loop), timer_(loop), domain_name_(std::move(domain_name)), patience_(patience) {}

JobSlot::~JobSlot() {
  for (auto& waiter : waiting_) {
    asio::post(loop_, [resume = std::move(waiter.resume)]() mutable {
      resume(std::make_exception_ptr(Error(VIR_ERR_OPERATION_ABORTED, "the domain is gone")));
    });
  }
}

void JobSlot::let_go() noexcept {
  const auto waiting = std::exchange(waiting_, {});
}

Error JobSlot::refusal(const Job& refused) const {
  std::string text =
      fmt::format("domain '{}' cannot take '{}' now: job '{}' of {} is at work since {}", domain_name_,
                  refused.name, current_->name, describe(current_->owner), format_time(current_->since_wall));
  if (waiting_.size() >= kMaximumWaiting) {
    text += fmt::format(", and {} others wait", waiting_.size());
  } else {
    const auto deadline =
        current_->since_wall + std::chrono::duration_cast<std::chrono::system_clock::duration>(patience_);
    text += fmt::format("; who waits behind it was refused at {} (job_timeout)", format_time(deadline));
  }
  return {VIR_ERR_OPERATION_TIMEOUT, std::move(text)};
}

void JobSlot::begin(Job job) {
  job.since = std::chrono::steady_clock::now();
  job.since_wall = std::chrono::system_clock::now();
  current_ = std::move(job);
}

Task<JobSlot::Hold> JobSlot::acquire(Job job, Urgency urgency) {
  if (!current_) {
    begin(std::move(job));
    co_return Hold(this);
  }
  if (urgency == Urgency::normal) {
    bool too_long = std::chrono::steady_clock::now() - current_->since >= patience_;
    if (too_long || waiting_.size() >= kMaximumWaiting) throw refusal(job);
  }
  auto initiate = [this, urgency](auto handler, Job wanted) {
    Waiter waiter{std::move(wanted), urgency, std::move(handler)};
    if (urgency == Urgency::urgent) {
      auto place = waiting_.begin();
      while (place != waiting_.end() && place->urgency == Urgency::urgent) ++place;
      waiting_.insert(place, std::move(waiter));
    } else {
      waiting_.push_back(std::move(waiter));
    }
    watch();
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
      initiate, asio::use_awaitable, std::move(job));
  co_return Hold(this);
}

void JobSlot::next() {
  current_.reset();
  timer_.cancel();
  if (waiting_.empty()) return;
  Waiter waiter = std::move(waiting_.front());
  waiting_.pop_front();
  begin(std::move(waiter.job));
  watch();
  asio::post(loop_, [resume = std::move(waiter.resume)]() mutable { resume(nullptr); });
}

// Refuses those that wait when the job at work has used up their patience.
void JobSlot::watch() {
  if (waiting_.empty() || !current_) return;
  timer_.expires_at(current_->since + patience_);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled || !current_) return;
    std::deque<Waiter> kept;
    for (auto& waiter : waiting_) {
      if (waiter.urgency == Urgency::urgent) {
        kept.push_back(std::move(waiter));
        continue;
      }
      asio::post(loop_, [resume = std::move(waiter.resume), error = refusal(waiter.job)]() mutable {
        resume(std::make_exception_ptr(error));
      });
    }
    waiting_ = std::move(kept);
  });
}

}  // namespace warren::driver::domain
