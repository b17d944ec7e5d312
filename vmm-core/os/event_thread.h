// A thread that waits for descriptors and serves them: where virtqueues, taps and images are worked on. No
// Asio in the data path.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

struct epoll_event;

namespace warren::vmm {

// Called on the event thread when its descriptor has something (EPOLLIN, EPOLLOUT … as registered).
class EventHandler {
 public:
  virtual void on_event(std::uint32_t events) noexcept = 0;

 protected:
  ~EventHandler() = default;
};

// What the thread looks at by itself for a moment before it sleeps: what comes soon is seen sooner than
// anybody could tell of it, and nobody needs to. Called on the thread.
class Polled {
 public:
  // Nobody needs to tell of what comes from here on.
  virtual void polling_begins() noexcept = 0;
  // Does what has come; whether anything had.
  virtual bool poll() noexcept = 0;
  // The thread is going to sleep. Does what has come, and is told of what comes later.
  virtual void polling_ends() noexcept = 0;

 protected:
  ~Polled() = default;
};

class EventThread {
 public:
  // Runs until destroyed. `at_start` is called first thing on the new thread (to install its system call
  // filter). `name` is at most 15 characters. Throws Error.
  explicit EventThread(const std::string& name, std::function<void()> at_start = {});
  EventThread(const EventThread&) = delete;
  EventThread& operator=(const EventThread&) = delete;
  ~EventThread();

  // Runs `work` on the thread between two events and returns when it is done; at once when called on the
  // thread itself. `work` must not throw.
  void run(const std::function<void()>& work);

  // Level-triggered registration; `events` 0 keeps the descriptor known but quiet. Only on the thread itself
  // (use run()), and the handler outlives the registration. Throws Error.
  void add(int descriptor, std::uint32_t events, EventHandler& handler);
  void change(int descriptor, std::uint32_t events) noexcept;
  void remove(int descriptor) noexcept;

  // Polls it for up to kMostPolling before each sleep, as long as that finds something; and tries now and
  // then whether it would. Likewise on the thread itself; it outlives that. Throws Error.
  void add(Polled& polled);
  void remove(Polled& polled) noexcept;
  static constexpr std::chrono::microseconds kMostPolling{32};

  bool is_current() const noexcept { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  static std::uint64_t tag(int descriptor, std::uint32_t number) noexcept;
  using Clock = std::chrono::steady_clock;

  void loop() noexcept;
  void run_waiting() noexcept;
  // Each returns how many events there are.
  int wait(std::span<epoll_event> events) noexcept;
  int poll(std::span<epoll_event> events, Clock::time_point& idle_since) noexcept;
  int look(std::span<epoll_event> events, int milliseconds) noexcept;
  void adapt(std::chrono::nanoseconds idle) noexcept;
  void set_polling(bool polls) noexcept;

  FileDescriptor poll_;
  FileDescriptor wake_;
  struct Registration {
    EventHandler* handler = nullptr;
    std::uint32_t number = 0;  // no other has it: a descriptor that was closed comes back as another file's
  };
  std::unordered_map<int, Registration> registrations_;
  std::uint32_t next_number_ = 1;
  std::vector<Polled*> polled_;
  std::chrono::nanoseconds polls_for_{0};
  bool polling_ = false;        // those know of it
  std::uint8_t misses_ = 0xff;  // how often in a row polling has found nothing
  std::uint8_t sleeps_ = 0;
  std::mutex mutex_;
  std::condition_variable done_;
  const std::function<void()>* waiting_ = nullptr;  // one piece of work at a time
  bool stopping_ = false;
  std::mutex callers_;  // lets one caller of run() in at a time
  std::thread thread_;
};

}  // namespace warren::vmm
