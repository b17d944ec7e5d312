#include "vmm-core/memory/device_memory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "vmm-core/memory/fake_memory_slots.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kGibibyte = std::uint64_t{1} << 30, kMebibyte = std::uint64_t{1} << 20;
constexpr GuestAddress kStart{4 * kGibibyte};
constexpr GuestMemory::Layout kRam[] = {{GuestAddress{0}, kMebibyte}};

DeviceMemoryOptions whole(std::uint64_t size, std::optional<GuestAddress> address = std::nullopt) {
  return {.size = size, .address = address, .block_bytes = 0, .allocation = {}, .host_nodes = {}};
}
DeviceMemoryOptions blocks(std::uint64_t size, std::uint64_t block) {
  return {.size = size, .address = {}, .block_bytes = block, .allocation = {}, .host_nodes = {}};
}

class DeviceMemoryTest : public testing::Test {
 protected:
  GuestMemory memory_{kRam};
  FakeMemorySlots slots_;
  HotPlugWindow window_{kStart, 4 * kGibibyte};
};

TEST_F(DeviceMemoryTest, MemoryThatComesIsRamUntilItGoes) {
  auto dimm = std::make_unique<DeviceMemory>("dimm0", window_, slots_, whole(2 * kMebibyte));
  EXPECT_EQ(dimm->address(), kStart);
  EXPECT_EQ(memory_.size(), kMebibyte);
  EXPECT_FALSE(memory_.contains(kStart, 1));
  memory_.attach(dimm->region());
  dimm->connect();
  EXPECT_TRUE(slots_.has(kStart, 2 * kMebibyte));
  EXPECT_EQ(memory_.size(), 3 * kMebibyte);
  EXPECT_EQ(dimm->plugged_bytes(), 2 * kMebibyte);
  EXPECT_TRUE(memory_.contains(kStart, 2 * kMebibyte));
  EXPECT_FALSE(memory_.contains(kStart, 2 * kMebibyte + 1));
  ASSERT_TRUE(memory_.write_object({kStart.value + 8}, 42));
  EXPECT_EQ(memory_.read_object<int>({kStart.value + 8}), 42);
  EXPECT_EQ(memory_.discard(kStart, 4096), 4096U);
  EXPECT_EQ(memory_.read_object<int>({kStart.value + 8}), 0);
  memory_.detach(kStart);
  dimm.reset();
  EXPECT_EQ(slots_.count(), 0U);
  EXPECT_EQ(memory_.size(), kMebibyte);
  // T7: nobody gets there any more.
  EXPECT_FALSE(memory_.write_object({kStart.value + 8}, 42));
  memory_.detach(GuestAddress{0});
  EXPECT_EQ(memory_.regions().size(), 1U) << "RAM itself stays";
}

TEST_F(DeviceMemoryTest, PlacesAreAlignedAndGivenBack) {
  DeviceMemory first("first", window_, slots_, whole(2 * kMebibyte));
  auto second = std::make_unique<DeviceMemory>("second", window_, slots_, whole(2 * kGibibyte));
  DeviceMemory third("third", window_, slots_, whole(2 * kMebibyte));
  EXPECT_EQ(second->address().value, kStart.value + kGibibyte);
  EXPECT_EQ(third.address().value, kStart.value + 3 * kGibibyte);
  EXPECT_THROW(DeviceMemory("more", window_, slots_, whole(kGibibyte)), Error);
  second.reset();
  DeviceMemory again("again", window_, slots_, whole(kGibibyte));
  EXPECT_EQ(again.address().value, kStart.value + kGibibyte);
}

TEST_F(DeviceMemoryTest, T6PlacesThatCannotBeAreRefused) {
  const auto at = [&](std::uint64_t address, std::uint64_t size) {
    DeviceMemory("at", window_, slots_, whole(size, GuestAddress{address}));
  };
  EXPECT_NO_THROW(at(kStart.value + 6 * kMebibyte, 2 * kMebibyte));
  EXPECT_THROW(at(0, kMebibyte), Error);
  EXPECT_THROW(at(kStart.value - kMebibyte, 2 * kMebibyte), Error);
  EXPECT_THROW(at(kStart.value + 4 * kGibibyte - kMebibyte, 2 * kMebibyte), Error);
  EXPECT_THROW(at(~std::uint64_t{0} - 4095, kMebibyte), Error);
  EXPECT_THROW(at(kStart.value + 100, kMebibyte), Error);
  DeviceMemory taken("taken", window_, slots_, whole(2 * kMebibyte));
  EXPECT_THROW(at(kStart.value + kMebibyte, 2 * kMebibyte), Error);
}

TEST_F(DeviceMemoryTest, SizesThatCannotBeAreRefused) {
  EXPECT_THROW(DeviceMemory("zero", window_, slots_, whole(0)), Error);
  EXPECT_THROW(DeviceMemory("odd", window_, slots_, whole(4097)), Error);
  EXPECT_THROW(DeviceMemory("block", window_, slots_, blocks(4 * kMebibyte, 3 * kMebibyte)), Error);
  EXPECT_THROW(DeviceMemory("part", window_, slots_, blocks(3 * kMebibyte, 2 * kMebibyte)), Error);
  EXPECT_THROW(DeviceMemory("small", window_, slots_, blocks(kMebibyte, 2048)), Error);
  auto nodes = whole(kMebibyte);
  nodes.host_nodes = {100'000};
  EXPECT_THROW(DeviceMemory("nodes", window_, slots_, nodes), Error);
  DeviceMemory whole_window("window", window_, slots_, whole(4 * kGibibyte));
}

TEST_F(DeviceMemoryTest, OnlyPluggedBlocksAreRam) {
  DeviceMemory memory("memory", window_, slots_, blocks(8 * kMebibyte, kMebibyte));
  memory_.attach(memory.region());
  EXPECT_EQ(memory_.size(), kMebibyte) << "a balloon takes nothing of it";
  unsigned changes = 0;
  memory.set_listener([&] { ++changes; });
  ASSERT_TRUE(memory.plug(2, 2));
  EXPECT_EQ(memory.plugged_bytes(), 2 * kMebibyte);
  const auto address = [](std::uint64_t block) { return GuestAddress{kStart.value + block * kMebibyte}; };
  EXPECT_TRUE(memory_.contains(address(2), 2 * kMebibyte));
  EXPECT_FALSE(memory_.contains(address(1), 2 * kMebibyte));
  EXPECT_FALSE(memory_.contains(address(2), 3 * kMebibyte));
  std::vector<iovec> slices;
  EXPECT_FALSE(memory_.slices(GuestAddress{address(4).value - 8}, 16, slices, 4));
  EXPECT_TRUE(memory_.slices(GuestAddress{address(3).value - 8}, 16, slices, 4));
  EXPECT_FALSE(memory_.store_release_u16(address(4), 1));
  EXPECT_FALSE(memory_.write_object(GuestAddress{address(4).value - 4}, std::uint64_t{1}));
  ASSERT_TRUE(memory_.write_object(address(3), std::uint64_t{1}));
  memory.unplug(3, 1);
  EXPECT_FALSE(memory_.read_object<std::uint64_t>(address(3)));
  struct stat status{};
  ASSERT_EQ(::fstat(memory.region().file->get(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
  memory.unplug_all();
  memory.unplug_all();
  EXPECT_EQ(changes, 3U);
  memory_.detach(kStart);
}

TEST_F(DeviceMemoryTest, PopulatedBlocksTakeTheirMemoryAtOnce) {
  auto options = blocks(8 * kMebibyte, kMebibyte);
  options.allocation.populate = true;
  DeviceMemory memory("memory", window_, slots_, options);
  struct stat status{};
  ASSERT_EQ(::fstat(memory.region().file->get(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
  ASSERT_TRUE(memory.plug(0, 3));
  ASSERT_EQ(::fstat(memory.region().file->get(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, 3 * static_cast<int>(kMebibyte));
}

}  // namespace
}  // namespace warren::vmm
