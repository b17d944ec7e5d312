// Nanoseconds of guest time: run while the machine runs and stand still while it is paused.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace warren::vmm::machine {

// now() from any thread; pause() and resume() from one, while no vCPU runs.
class GuestClock {
 public:
  std::uint64_t now() const noexcept {
    const auto stopped = stopped_at_.load(std::memory_order_acquire);
    return (stopped != kRunning ? stopped : host()) - behind_.load(std::memory_order_acquire);
  }

  void pause() noexcept {
    if (stopped_at_.load(std::memory_order_relaxed) == kRunning) {
      stopped_at_.store(host(), std::memory_order_release);
    }
  }
  void resume() noexcept {
    const auto stopped = stopped_at_.load(std::memory_order_relaxed);
    if (stopped == kRunning) return;
    behind_.fetch_add(host() - stopped, std::memory_order_acq_rel);
    stopped_at_.store(kRunning, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t kRunning = ~std::uint64_t{0};

  static std::uint64_t host() noexcept {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  }

  std::atomic<std::uint64_t> stopped_at_{kRunning};
  std::atomic<std::uint64_t> behind_{0};
};

}  // namespace warren::vmm::machine
