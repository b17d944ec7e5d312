#include "vmm-core/block/write_map.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kPart = WriteMap::kPart;

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
