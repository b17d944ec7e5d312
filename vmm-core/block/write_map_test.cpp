#include "vmm-core/block/write_map.h"

#include <atomic>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kPart = WriteMap::kSmallestPart;

TEST(WriteMap, GivesWhatWasMarkedOnce) {
  WriteMap map(200 * kPart + 512);
  map.mark(3 * kPart + 1, kPart);
  map.mark(130 * kPart, 1);
  map.mark(200 * kPart, 10 * kPart);  // beyond the end
  EXPECT_EQ(map.marked_bytes(), 4 * kPart);
  const auto one = map.take(1 << 30);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->offset, 3 * kPart);
  EXPECT_EQ(one->length, 2 * kPart);
  EXPECT_EQ(map.take(1 << 30)->offset, 130 * kPart);
  const auto last = map.take(1 << 30);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->offset, 200 * kPart);
  EXPECT_EQ(last->length, 512u);
  EXPECT_FALSE(map.take(1 << 30));
  EXPECT_EQ(map.marked_bytes(), 0u);
}

TEST(WriteMap, TakesNoMoreThanWasAskedFor) {
  WriteMap map(100 * kPart);
  map.mark(0, 100 * kPart);
  std::uint64_t at = 0;
  while (const auto range = map.take(7 * kPart)) {
    EXPECT_EQ(range->offset, at);
    EXPECT_LE(range->length, 7 * kPart);
    at += range->length;
  }
  EXPECT_EQ(at, 100 * kPart);
}

// An image says how large its disk is, and that may be anything.
TEST(WriteMap, IsNoLargerForADiskOfAnySize) {
  for (const std::uint64_t bytes : {(std::uint64_t{4} << 40) + 512, std::uint64_t{1} << 61,
                                    std::uint64_t{std::numeric_limits<std::int64_t>::max()} / 512 * 512}) {
    WriteMap map(bytes);
    EXPECT_LE(bytes / map.part(), WriteMap::kMostParts);
    map.mark(bytes - 512, 512);
    map.mark(0, 1);
    const auto first = map.take(512);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->offset, 0u);
    EXPECT_EQ(first->length, map.part());
    const auto last = map.take(512);
    ASSERT_TRUE(last);
    EXPECT_EQ(last->offset + last->length, bytes);
    EXPECT_FALSE(map.take(512));
    map.mark(0, bytes);
    EXPECT_GE(map.marked_bytes(), bytes);
  }
}

// What is left is told to users while a guest writes: it is never more than the disk.
TEST(WriteMap, TellsNoMoreThanThereIs) {
  WriteMap map(3 * kPart);
  std::atomic<bool> ends = false;
  std::thread guest([&] {
    while (!ends) map.mark(0, 3 * kPart);
  });
  std::thread taker([&] {
    while (!ends) map.take(kPart);
  });
  std::uint64_t most = 0;
  for (int i = 0; i < 20'000'000 && most <= 3 * kPart; ++i) most = std::max(most, map.marked_bytes());
  ends = true;
  guest.join();
  taker.join();
  EXPECT_LE(most, 3 * kPart);
}

}  // namespace
}  // namespace warren::vmm::block
