// What a block job does, a piece at a time.
#pragma once

#include <atomic>
#include <cstdint>

namespace warren::vmm::block::job {

class Work {
 public:
  virtual ~Work() = default;

  enum class Next : std::uint8_t {
    more,  // at once
    idle,  // nothing to do now; there may be later
    done,  // all of it: finish()
  };
  struct Step {
    Next next = Next::more;
    std::uint64_t bytes = 0;  // that were moved, for the speed
    int error = 0;            // errno: nothing but give_up() makes sense then
  };

  // These wait, and are called on one thread that is none of the disk's streams'.
  virtual Step step() noexcept = 0;
  // Makes the chain what it is to be. `pivot`: to the target, of work that becomes ready. Throws Error: then
  // give_up().
  virtual void finish(bool pivot) = 0;
  // The chain stays, or becomes again, what it was.
  virtual void give_up() noexcept = 0;

  // Any thread. Whether finish() is nothing but a moment's work, and somebody is to say when.
  bool is_ready() const noexcept { return ready_.load(std::memory_order_relaxed); }
  std::uint64_t current() const noexcept { return current_.load(std::memory_order_relaxed); }
  std::uint64_t end() const noexcept { return end_.load(std::memory_order_relaxed); }

 protected:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  void tell(std::uint64_t current, std::uint64_t end) noexcept {
    current_.store(current, std::memory_order_relaxed);
    end_.store(end, std::memory_order_relaxed);
  }
  void become_ready() noexcept { ready_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> current_{0}, end_{0};
  std::atomic<bool> ready_{false};
};

}  // namespace warren::vmm::block::job
