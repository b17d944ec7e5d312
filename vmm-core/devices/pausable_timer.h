// A timer that runs out once, on an event thread, and whose time stands still while it is paused: what
// watchdogs count with.
//
// The owner calls everything with a lock of its own held, which `look` must take: a timer that was set again
// between running out and being looked at has not run out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {

class PausableTimer final : private EventHandler {
 public:
  // `look` is called on `thread`, which outlives the timer, without the lock: take_expiry() tells. `name` is
  // for messages. Throws Error.
  PausableTimer(EventThread& thread, const std::string& name, std::function<void()> look);
  PausableTimer(const PausableTimer&) = delete;
  PausableTimer& operator=(const PausableTimer&) = delete;
  ~PausableTimer();

  // From now on; 0: it does not run.
  void set(std::uint64_t nanoseconds) noexcept;
  // 0: it does not run.
  std::uint64_t left() const noexcept;
  // True once for each time that it runs out; it does not run then.
  bool take_expiry() noexcept;

  // Nothing when it is so already.
  void pause() noexcept;
  void resume() noexcept;

 private:
  void on_event(std::uint32_t events) noexcept override;
  void arm(std::uint64_t nanoseconds) noexcept;

  EventThread& thread_;
  const std::function<void()> look_;
  FileDescriptor timer_;
  bool runs_ = false;
  bool paused_ = false;
  std::uint64_t rest_ = 0;  // while paused
};

}  // namespace warren::vmm
