#include "vmm-core/block/throttle.h"

#include <algorithm>
#include <limits>

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
// Without bursts a bucket holds a tenth of a second's worth, so that requests need not be evenly spaced.
constexpr std::uint64_t kSlackDivisor = 10;
// Nobody waits longer than this for one request, however slow the limit: a month.
constexpr std::uint64_t kLongestNanoseconds = 30ULL * 86'400 * kNanosecondsPerSecond;

__extension__ using Wide = unsigned __int128;

std::uint64_t scaled(std::uint64_t amount, std::uint64_t ticks_per_second, std::uint64_t rate,
                     std::uint64_t most) noexcept {
  const Wide ticks = (static_cast<Wide>(amount) * ticks_per_second + rate / 2) / rate;
  return ticks > most ? most : static_cast<std::uint64_t>(ticks);
}

}  // namespace

void Throttle::Bucket::set(std::uint64_t rate, std::uint64_t capacity) noexcept {
  rate_.store(0, std::memory_order_relaxed);
  if (rate == 0) return;
  span_.store(scaled(capacity, kNanosecondsPerSecond * kTicksPerNanosecond, rate,
                     kLongestNanoseconds * kTicksPerNanosecond),
              std::memory_order_relaxed);
  drained_.store(0, std::memory_order_relaxed);
  rate_.store(rate, std::memory_order_release);
}

std::uint64_t Throttle::Bucket::reserve(std::uint64_t amount, std::uint64_t now) noexcept {
  const std::uint64_t rate = rate_.load(std::memory_order_acquire);
  if (rate == 0) return 0;
  const std::uint64_t cost = scaled(amount, kNanosecondsPerSecond * kTicksPerNanosecond, rate,
                                    kLongestNanoseconds * kTicksPerNanosecond);
  const std::uint64_t span = span_.load(std::memory_order_relaxed);
  std::uint64_t drained = drained_.load(std::memory_order_relaxed);
  std::uint64_t from = 0;
  do {
    from = std::max(drained, now);
  } while (!drained_.compare_exchange_weak(drained, from + cost, std::memory_order_relaxed));
  // A request may begin as soon as the bucket is no more than full before it.
  return from > span ? from - span : 0;
}

void Throttle::Limiter::set(const ThrottleLimit& limit, std::uint64_t unit) noexcept {
  const std::uint64_t rate = std::min(limit.rate, kMaximumThrottleRate) * unit;
  const std::uint64_t peak = std::min(limit.burst, kMaximumThrottleRate) * unit;
  const std::uint64_t seconds =
      std::clamp<std::uint64_t>(limit.burst_seconds, 1, kLongestNanoseconds / kNanosecondsPerSecond);
  std::uint64_t capacity = 0;
  if (__builtin_mul_overflow(peak, seconds, &capacity)) capacity = std::numeric_limits<std::uint64_t>::max();
  average.set(rate, peak != 0 ? capacity : std::max<std::uint64_t>(rate / kSlackDivisor, 1));
  // A burst of one second is the bucket itself; a longer one has a rate of its own.
  burst.set(rate != 0 && seconds > 1 ? peak : 0, std::max<std::uint64_t>(peak / kSlackDivisor, 1));
}

std::uint64_t Throttle::Limiter::reserve(std::uint64_t amount, std::uint64_t now) noexcept {
  return std::max(average.reserve(amount, now), burst.reserve(amount, now));
}

void Throttle::set(const ThrottleLimits& limits) noexcept {
  const std::array<const ThrottleLimit*, 3> bytes = {&limits.total_bytes, &limits.read_bytes,
                                                     &limits.write_bytes};
  const std::array<const ThrottleLimit*, 3> operations = {&limits.total_operations, &limits.read_operations,
                                                          &limits.write_operations};
  bool limited = false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes_[i].set(*bytes[i], 1);
    operations_[i].set(*operations[i], kOperation);
    limited = limited || bytes[i]->rate != 0 || operations[i]->rate != 0;
  }
  operation_bytes_.store(limits.operation_bytes, std::memory_order_relaxed);
  limited_.store(limited, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
}

std::uint64_t Throttle::reserve(bool writes, std::uint64_t bytes, std::uint64_t now) noexcept {
  const std::uint64_t ticks = now * kTicksPerNanosecond;
  const std::uint64_t piece = operation_bytes_.load(std::memory_order_relaxed);
  std::uint64_t operations = kOperation;
  // A chain's bytes fit 32 bits, a zeroed range 31: the product cannot overflow.
  if (piece != 0) operations = std::max(operations, bytes * kOperation / piece);
  const std::size_t direction = writes ? 2 : 1;
  std::uint64_t due = std::max(bytes_[0].reserve(bytes, ticks), bytes_[direction].reserve(bytes, ticks));
  due = std::max(due, operations_[0].reserve(operations, ticks));
  due = std::max(due, operations_[direction].reserve(operations, ticks));
  return (due + kTicksPerNanosecond - 1) / kTicksPerNanosecond;
}

}  // namespace warren::vmm::block
