// Limits are kept within 5 % over 10 s (T9), against a clock of the test's own and against the real one.
#include "vmm-core/block/throttle.h"

#include <algorithm>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <time.h>

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Load {
  bool writes = false;
  std::uint64_t bytes = 4096;
};

// What a queue that always has a request gets through in `seconds`, after the burst of the first second.
std::uint64_t requests_in(Throttle& throttle, Load load, std::uint64_t from, std::uint64_t seconds) {
  std::uint64_t now = from, count = 0;
  while (true) {
    now = std::max(now, throttle.reserve(load.writes, load.bytes, now));
    if (now >= from + seconds * kSecond) return count;
    ++count;
  }
}

void expect_within(std::uint64_t measured, std::uint64_t wanted, double part) {
  EXPECT_NEAR(static_cast<double>(measured), static_cast<double>(wanted), static_cast<double>(wanted) * part);
}

TEST(Throttle, T9KeepsEachRateWithin5Percent) {
  for (const std::uint64_t rate : {100ULL, 4'096ULL, 1'000'000ULL, 200'000'000ULL, 10'000'000'000ULL}) {
    for (const std::uint64_t bytes : {512ULL, 4096ULL, 65536ULL}) {
      if (rate * 100 / bytes < 20 || rate / bytes > 1'000'000) continue;
      ThrottleLimits limits;
      limits.total_bytes.rate = rate;
      Throttle throttle(limits);
      const std::uint64_t seconds = rate / bytes > 10'000 ? 2 : 100;
      requests_in(throttle, {.bytes = bytes}, kSecond, 1);
      const std::uint64_t counted = requests_in(throttle, {.bytes = bytes}, 2 * kSecond, seconds);
      SCOPED_TRACE(std::to_string(rate) + " bytes/s by " + std::to_string(bytes));
      expect_within(counted * bytes, rate * seconds, 0.05);
    }
  }
}

TEST(Throttle, OperationsReadsAndWritesHaveLimitsOfTheirOwn) {
  ThrottleLimits limits;
  limits.read_operations.rate = 100;
  limits.write_operations.rate = 300;
  Throttle throttle(limits);
  requests_in(throttle, {}, kSecond, 1);
  requests_in(throttle, {.writes = true}, kSecond, 1);
  expect_within(requests_in(throttle, {}, 2 * kSecond, 10), 1000, 0.05);
  expect_within(requests_in(throttle, {.writes = true}, 2 * kSecond, 10), 3000, 0.05);
}

TEST(Throttle, LargeRequestsCountAsSeveralOperations) {
  ThrottleLimits limits;
  limits.total_operations.rate = 1000;
  limits.operation_bytes = 4096;
  Throttle throttle(limits);
  requests_in(throttle, {.bytes = 6144}, kSecond, 1);
  expect_within(requests_in(throttle, {.bytes = 6144}, 2 * kSecond, 10), 10'000 * 2 / 3, 0.05);
  expect_within(requests_in(throttle, {.bytes = 512}, 12 * kSecond, 10), 10'000, 0.05);
}

TEST(Throttle, ABurstLastsAsLongAsItMay) {
  ThrottleLimits limits;
  limits.total_operations = {.rate = 100, .burst = 1000, .burst_seconds = 5};
  Throttle throttle(limits);
  // Five seconds at the burst's rate need (1000 - 100) * t = 5000 more than drains: t = 5.56 s.
  expect_within(requests_in(throttle, {}, kSecond, 5), 5'100, 0.05);
  requests_in(throttle, {}, 6 * kSecond, 2);
  expect_within(requests_in(throttle, {}, 8 * kSecond, 10), 1000, 0.05);
  // Idle for a minute, it may again.
  expect_within(requests_in(throttle, {}, 78 * kSecond, 5), 5'100, 0.05);
}

TEST(Throttle, NewLimitsForgetWhatWasReserved) {
  ThrottleLimits limits;
  limits.total_bytes.rate = 1;
  Throttle throttle(limits);
  const auto generation = throttle.generation();
  throttle.reserve(true, 1 << 20, kSecond);
  EXPECT_GT(throttle.reserve(true, 1 << 20, kSecond), 1000 * kSecond);
  limits.total_bytes.rate = 1 << 30;
  throttle.set(limits);
  EXPECT_NE(throttle.generation(), generation);
  EXPECT_LE(throttle.reserve(true, 1 << 20, kSecond), kSecond);
  throttle.set({});
  EXPECT_FALSE(throttle.is_limited());
  EXPECT_LE(throttle.reserve(true, 1 << 20, kSecond), kSecond);
}

TEST(Throttle, T9ExtremesDoNotOverflow) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t rate : {std::uint64_t{1}, kMaximumThrottleRate, kMost}) {
    for (const std::uint64_t burst : {std::uint64_t{0}, std::uint64_t{1}, kMaximumThrottleRate, kMost}) {
      for (const std::uint64_t seconds : {std::uint64_t{0}, std::uint64_t{1}, kMost}) {
        for (const std::uint64_t piece : {std::uint64_t{0}, std::uint64_t{1}, kMost}) {
          ThrottleLimits limits;
          limits.total_bytes = limits.write_operations = {rate, burst, seconds};
          limits.operation_bytes = piece;
          Throttle throttle(limits);
          std::uint64_t before = 0;
          for (int i = 0; i < 20; ++i) {
            const std::uint64_t due = throttle.reserve(true, 0xffff'ffff, 1000 * kSecond);
            EXPECT_GE(due, before);  // never earlier than the one before, however slow
            before = due;
          }
        }
      }
    }
  }
}

TEST(Throttle, ThreadsThatShareLimitsShareThemEvenly) {
  ThrottleLimits limits;
  limits.total_operations.rate = 4000;
  Throttle throttle(limits);
  auto clock = [] {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * kSecond + static_cast<std::uint64_t>(time.tv_nsec);
  };
  auto wait_until = [&](std::uint64_t due) {
    timespec time{.tv_sec = static_cast<time_t>(due / kSecond), .tv_nsec = static_cast<long>(due % kSecond)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
  };
  // The slack of a bucket that was idle goes first.
  for (std::uint64_t now = clock(); throttle.reserve(true, 512, now) <= now;) {
  }
  const std::uint64_t end = clock() + 2 * kSecond;
  std::array<std::uint64_t, 3> counts{};
  {
    std::vector<std::jthread> threads;
    for (auto& count : counts) {
      threads.emplace_back([&] {
        for (std::uint64_t due; (due = throttle.reserve(true, 512, clock())) < end; ++count) wait_until(due);
      });
    }
  }
  expect_within(counts[0] + counts[1] + counts[2], 8000, 0.05);
  for (const auto count : counts) expect_within(count, 8000 / 3, 0.2);
}

}  // namespace
}  // namespace warren::vmm::block
