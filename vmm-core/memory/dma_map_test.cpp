// What devices of the host reach of guest memory follows what is there, and nothing of it is discarded under
// them (classes T6, T24).
#include "vmm-core/memory/dma_map.h"

#include <array>
#include <cerrno>

#include <gtest/gtest.h>

#include "vmm-core/memory/device_memory.h"
#include "vmm-core/memory/fake_memory_slots.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t kWindow = std::uint64_t{8} << 30;

class FakeTarget final : public DmaTarget {
 public:
  bool map(GuestAddress start, std::uint64_t size, std::byte*) noexcept override {
    if (ranges.size() >= limit) {
      errno = ENOMEM;
      return false;
    }
    return ranges.emplace(start.value, size).second;
  }
  void unmap(GuestAddress start, std::uint64_t size) noexcept override {
    const auto found = ranges.find(start.value);
    if (found == ranges.end() || found->second != size) {
      ++wrong;
      return;
    }
    ranges.erase(found);
  }

  std::map<std::uint64_t, std::uint64_t> ranges;
  std::size_t limit = 1000;
  int wrong = 0;
};

class DmaMapTest : public testing::Test {
 protected:
  GuestMemory memory_{std::array<GuestMemory::Layout, 2>{
      {{GuestAddress{0}, 2 * kMebibyte}, {GuestAddress{std::uint64_t{4} << 30}, kMebibyte}}}};
  DmaMap dma_{memory_};
  FakeTarget target_;
};

TEST_F(DmaMapTest, MapsAllThereIsAndTakesItBack) {
  dma_.set_target(&target_);
  EXPECT_EQ(target_.ranges.size(), 2u);
  EXPECT_EQ(target_.ranges.at(0), 2 * kMebibyte);
  dma_.set_target(nullptr);
  EXPECT_TRUE(target_.ranges.empty());
  EXPECT_EQ(target_.wrong, 0);
}

TEST_F(DmaMapTest, DiscardsNothingUnderADevice) {
  ASSERT_TRUE(memory_.write_object(GuestAddress{4096}, std::uint32_t{7}));
  dma_.set_target(&target_);
  EXPECT_EQ(memory_.discard(GuestAddress{4096}, 4096), 0u);
  EXPECT_EQ(memory_.read_object<std::uint32_t>(GuestAddress{4096}), 7u);
  dma_.set_target(nullptr);
  EXPECT_EQ(memory_.discard(GuestAddress{4096}, 4096), 4096u);
}

TEST_F(DmaMapTest, LeavesNothingWhenTheHostRefusesARange) {
  target_.limit = 1;
  EXPECT_THROW(dma_.set_target(&target_), Error);
  EXPECT_TRUE(target_.ranges.empty());
  EXPECT_FALSE(dma_.has_target());
  EXPECT_EQ(memory_.discard(GuestAddress{4096}, 4096), 4096u);
}

TEST_F(DmaMapTest, FollowsTheBlocksOfAMemoryDevice) {
  HotPlugWindow window(GuestAddress{kWindow}, std::uint64_t{1} << 30);
  FakeMemorySlots slots;
  dma_.set_target(&target_);
  const std::size_t before = target_.ranges.size();
  {
    DeviceMemory device("mem0", window, slots, {.size = 64 * kMebibyte, .block_bytes = 2 * kMebibyte}, &dma_);
    EXPECT_EQ(target_.ranges.size(), before);
    ASSERT_TRUE(device.plug(0, 4));
    EXPECT_EQ(target_.ranges.size(), before + 4);
    device.unplug(1, 2);
    EXPECT_EQ(target_.ranges.size(), before + 2);
    EXPECT_FALSE(target_.ranges.contains(kWindow + 2 * kMebibyte));
    // One that the host has no more room for is not plugged at all.
    target_.limit = target_.ranges.size() + 1;
    EXPECT_FALSE(device.plug(8, 3));
    EXPECT_EQ(target_.ranges.size(), before + 2);
    EXPECT_EQ(device.plugged_bytes(), 4 * kMebibyte);
  }
  EXPECT_EQ(target_.ranges.size(), before);
  EXPECT_EQ(target_.wrong, 0);
}

TEST_F(DmaMapTest, FollowsAModule) {
  HotPlugWindow window(GuestAddress{kWindow}, std::uint64_t{2} << 30);
  FakeMemorySlots slots;
  {
    DeviceMemory module("dimm0", window, slots, {.size = 64 * kMebibyte}, &dma_);
    module.connect();
    dma_.set_target(&target_);
    EXPECT_EQ(target_.ranges.at(kWindow), 64 * kMebibyte);
    target_.limit = target_.ranges.size();
    DeviceMemory another("dimm1", window, slots, {.size = 2 * kMebibyte}, &dma_);
    EXPECT_THROW(another.connect(), Error);
    EXPECT_EQ(slots.count(), 1u);
  }
  EXPECT_FALSE(target_.ranges.contains(kWindow));
  EXPECT_EQ(target_.wrong, 0);
}

}  // namespace
}  // namespace warren::vmm
