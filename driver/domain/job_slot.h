// The queue of a domain's changes: one at a time, in the order they came.
//
// A change waits behind short ones; behind one that has been at work for longer than the patience it is
// refused at once, and those that wait already are refused when that time is up, naming the job, its owner
// and its start (VIR_ERR_OPERATION_TIMEOUT). Nobody reads through here. Implementation header (Asio). One
// thread.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "driver/contract/caller.h"
#include "driver/domain/task.h"

namespace warren::driver::domain {

struct Job {
  std::string name;  // of the API, e.g. "create"
  Caller owner;
  std::chrono::steady_clock::time_point since{};
  std::chrono::system_clock::time_point since_wall{};
};

class JobSlot {
 public:
  static constexpr std::chrono::milliseconds kDefaultPatience{2000};
  static constexpr std::size_t kMaximumWaiting = 64;

  JobSlot(asio::io_context& loop, std::string domain_name,
          std::chrono::milliseconds patience = kDefaultPatience);
  JobSlot(const JobSlot&) = delete;
  JobSlot& operator=(const JobSlot&) = delete;
  ~JobSlot();

  // The slot while it lives. Empty when moved from.
  class Hold {
   public:
    Hold() = default;
    explicit Hold(JobSlot* slot) : slot_(slot) {}
    Hold(Hold&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        release();
        slot_ = std::exchange(other.slot_, nullptr);
      }
      return *this;
    }
    ~Hold() { release(); }
    void release() {
      if (auto* slot = std::exchange(slot_, nullptr)) slot->next();
    }

   private:
    JobSlot* slot_ = nullptr;
  };

  enum class Urgency {
    normal,
    urgent,  // goes before everybody and is never refused: destroy, and what the worker tells
  };

  // Throws the refusal. The slot must outlive the hold and the wait.
  Task<Hold> acquire(Job job, Urgency urgency = Urgency::normal);

  // The daemon ends: those that wait are destroyed where they stand.
  void let_go() noexcept;

  const std::optional<Job>& current() const noexcept { return current_; }
  void set_domain_name(std::string name) { domain_name_ = std::move(name); }

 private:
  struct Waiter {
    Job job;
    Urgency urgency;
    std::move_only_function<void(std::exception_ptr)> resume;
  };

  void next();
  void begin(Job job);
  void watch();
  Error refusal(const Job& refused) const;

  asio::io_context& loop_;
  asio::steady_timer timer_;
  std::string domain_name_;
  std::chrono::milliseconds patience_;
  std::optional<Job> current_;
  std::deque<Waiter> waiting_;
};

// "2026-01-31 12:00:00 UTC"
std::string format_time(std::chrono::system_clock::time_point time);
// "connection 4 (uid 0, pid 1234)" or "the daemon"
std::string describe(const Caller& caller);

}  // namespace warren::driver::domain
