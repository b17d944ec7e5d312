// Limits on the requests of a disk, or of a group of disks that share them: bytes and operations a second,
// for reads, writes and both, each with bursts.
//
// Any number of threads reserve at once, without a lock and without allocating. A bucket is one number, the
// time at which it will have drained (the "theoretical arrival time" of ITU-T I.371), so nothing ticks and
// nothing is lost to rounding but 1/16 ns a request.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace warren::vmm::block {

struct ThrottleLimit {
  std::uint64_t rate = 0;           // a second; 0: no limit
  std::uint64_t burst = 0;          // the rate while a burst lasts; 0: none
  std::uint64_t burst_seconds = 1;  // how long a burst from idle may last
  friend bool operator==(const ThrottleLimit&, const ThrottleLimit&) = default;
};

struct ThrottleLimits {
  ThrottleLimit total_bytes, read_bytes, write_bytes;
  ThrottleLimit total_operations, read_operations, write_operations;
  std::uint64_t operation_bytes = 0;  // a larger request counts as several operations; 0: as one
  friend bool operator==(const ThrottleLimits&, const ThrottleLimits&) = default;
};

inline constexpr std::uint64_t kMaximumThrottleRate = 1'000'000'000'000'000;  // as libvirt and QEMU have it

class Throttle {
 public:
  Throttle() noexcept = default;
  explicit Throttle(const ThrottleLimits& limits) noexcept { set(limits); }
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;

  // Other limits from now on; what the old ones had counted is forgotten. Places reserved before are to be
  // reserved anew: generation() tells. One thread at a time.
  void set(const ThrottleLimits& limits) noexcept;

  bool is_limited() const noexcept { return limited_.load(std::memory_order_acquire); }
  std::uint32_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

  // Puts a request in line; `now` is CLOCK_MONOTONIC in nanoseconds. Returns when it may begin: now or before
  // for at once. Whoever reserves begins his requests in this order, so threads take turns.
  std::uint64_t reserve(bool writes, std::uint64_t bytes, std::uint64_t now) noexcept;

 private:
  // Ticks of 1/16 ns: 2^64 of them are 36 years of uptime.
  static constexpr std::uint64_t kTicksPerNanosecond = 16;
  // Operations are counted in parts, for requests of one and a half.
  static constexpr std::uint64_t kOperation = 256;

  class Bucket {
   public:
    void set(std::uint64_t rate, std::uint64_t capacity) noexcept;
    // In ticks.
    std::uint64_t reserve(std::uint64_t amount, std::uint64_t now) noexcept;

   private:
    std::atomic<std::uint64_t> rate_{0};     // a second; 0: no limit
    std::atomic<std::uint64_t> span_{0};     // ticks that a full bucket takes to drain
    std::atomic<std::uint64_t> drained_{0};  // when it is empty
  };

  // The long-run rate, and the rate within a burst.
  struct Limiter {
    Bucket average, burst;
    // `unit`: how many of what reserve() is given make one of the limit.
    void set(const ThrottleLimit& limit, std::uint64_t unit) noexcept;
    std::uint64_t reserve(std::uint64_t amount, std::uint64_t now) noexcept;
  };

  std::array<Limiter, 3> bytes_;       // [0] total, [1] reads, [2] writes
  std::array<Limiter, 3> operations_;  // likewise
  std::atomic<std::uint64_t> operation_bytes_{0};
  std::atomic<bool> limited_{false};
  std::atomic<std::uint32_t> generation_{0};
};

}  // namespace warren::vmm::block
