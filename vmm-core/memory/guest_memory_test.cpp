#include "vmm-core/memory/guest_memory.h"

#include <array>
#include <limits>
#include <random>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMaximum = std::numeric_limits<std::uint64_t>::max();

// Two regions that touch at 0x4000, a hole from 0x8000 on and one more region at 4 GiB.
constexpr std::array<GuestMemory::Layout, 3> kLayouts = {{
    {GuestAddress{0}, 4 * kPage},
    {GuestAddress{4 * kPage}, 4 * kPage},
    {GuestAddress{0x1'0000'0000}, 2 * kPage},
}};

class GuestMemoryTest : public testing::Test {
 protected:
  GuestMemory memory_{kLayouts};
};

TEST_F(GuestMemoryTest, ObjectsComeBackAsWritten) {
  EXPECT_TRUE(memory_.write_object(GuestAddress{0x123}, std::uint64_t{0x0102030405060708}));
  EXPECT_EQ(memory_.read_object<std::uint64_t>(GuestAddress{0x123}), 0x0102030405060708);
  EXPECT_EQ(memory_.read_object<std::uint8_t>(GuestAddress{0x123}), 0x08);
}

TEST_F(GuestMemoryTest, HostAddressesAreFoundInIt) {
  const auto regions = memory_.regions();
  const auto first = reinterpret_cast<std::uintptr_t>(regions.front().host);
  const auto last = reinterpret_cast<std::uintptr_t>(regions.back().host);
  EXPECT_EQ(memory_.address_of(first + 5), GuestAddress{5});
  EXPECT_EQ(memory_.address_of(last + kPage), GuestAddress{0x1'0000'1000});
  EXPECT_EQ(memory_.address_of(reinterpret_cast<std::uintptr_t>(&regions)), std::nullopt);
  EXPECT_EQ(memory_.address_of(0), std::nullopt);
}

TEST_F(GuestMemoryTest, NewMemoryIsZero) {
  EXPECT_EQ(memory_.read_object<std::uint64_t>(GuestAddress{0x1'0000'1000}), 0);
}

TEST_F(GuestMemoryTest, RangesCrossRegionsThatTouch) {
  const GuestAddress across{4 * kPage - 4};
  EXPECT_TRUE(memory_.write_object(across, std::uint64_t{0x1122334455667788}));
  EXPECT_EQ(memory_.read_object<std::uint64_t>(across), 0x1122334455667788);
  EXPECT_EQ(memory_.read_object<std::uint32_t>(GuestAddress{4 * kPage}), 0x11223344);
}

// T1: a range that leaves RAM by one byte fails whole, and nothing of it is written.
TEST_F(GuestMemoryTest, T1RangesThatLeaveRamAreRefusedWhole) {
  const GuestAddress last{8 * kPage - 4};
  EXPECT_TRUE(memory_.write_object(last, std::uint32_t{7}));
  EXPECT_FALSE(memory_.write_object(GuestAddress{8 * kPage - 4}, ~std::uint64_t{0}));
  EXPECT_EQ(memory_.read_object<std::uint32_t>(last), 7);
  EXPECT_FALSE(memory_.read_object<std::uint64_t>(GuestAddress{8 * kPage - 4}));
  EXPECT_FALSE(memory_.contains(GuestAddress{0}, kMaximum));
  EXPECT_FALSE(memory_.contains(GuestAddress{0x1'0000'0000}, 2 * kPage + 1));
}

// T1: base + length overflow.
TEST_F(GuestMemoryTest, T1OverflowIsRefused) {
  std::array<std::byte, 16> bytes{};
  EXPECT_FALSE(memory_.read(GuestAddress{kMaximum - 3}, bytes));
  EXPECT_FALSE(memory_.write(GuestAddress{kMaximum - 3}, bytes));
  EXPECT_FALSE(memory_.contains(GuestAddress{kMaximum}, 2));
  std::vector<iovec> slices;
  EXPECT_FALSE(memory_.slices(GuestAddress{1}, kMaximum, slices, 16));
  EXPECT_TRUE(slices.empty());
}

// T6: what is not RAM (holes, registers of devices) cannot be reached by any access.
TEST_F(GuestMemoryTest, T6OnlyRamResolves) {
  for (std::uint64_t address : {std::uint64_t{0x8000}, std::uint64_t{0xfee0'0000}, std::uint64_t{0xc000'0000},
                                std::uint64_t{0x1'0000'2000}}) {
    EXPECT_FALSE(memory_.read_object<std::uint8_t>(GuestAddress{address})) << address;
    EXPECT_FALSE(memory_.write_object(GuestAddress{address}, std::uint8_t{1})) << address;
    EXPECT_FALSE(memory_.load_acquire_u16(GuestAddress{address})) << address;
    EXPECT_FALSE(memory_.store_release_u16(GuestAddress{address}, 1)) << address;
  }
}

TEST_F(GuestMemoryTest, EmptyRangesAreRamInOrAtTheEndOfARegion) {
  EXPECT_TRUE(memory_.contains(GuestAddress{0x10}, 0));
  EXPECT_TRUE(memory_.contains(GuestAddress{8 * kPage}, 0));
  EXPECT_FALSE(memory_.contains(GuestAddress{8 * kPage + 1}, 0));
  EXPECT_TRUE(memory_.read(GuestAddress{0x10}, {}));
}

TEST_F(GuestMemoryTest, RingIndexesMustBeAligned) {
  EXPECT_TRUE(memory_.store_release_u16(GuestAddress{0x20}, 0x1234));
  EXPECT_EQ(memory_.load_acquire_u16(GuestAddress{0x20}), 0x1234);
  EXPECT_FALSE(memory_.store_release_u16(GuestAddress{0x21}, 1));
  EXPECT_FALSE(memory_.load_acquire_u16(GuestAddress{0x21}));
}

TEST_F(GuestMemoryTest, SlicesPointAtTheSameBytes) {
  ASSERT_TRUE(memory_.write_object(GuestAddress{4 * kPage}, std::uint8_t{0xab}));
  std::vector<iovec> slices;
  ASSERT_TRUE(memory_.slices(GuestAddress{4 * kPage - 16}, 32, slices, 2));
  ASSERT_EQ(slices.size(), 2U);
  EXPECT_EQ(slices[0].iov_len, 16U);
  EXPECT_EQ(slices[1].iov_len, 16U);
  EXPECT_EQ(*static_cast<std::uint8_t*>(slices[1].iov_base), 0xab);
}

TEST_F(GuestMemoryTest, T1SlicesBeyondTheLimitLeaveTheListAsItWas) {
  std::vector<iovec> slices;
  ASSERT_TRUE(memory_.slices(GuestAddress{0}, 8, slices, 2));
  EXPECT_FALSE(memory_.slices(GuestAddress{4 * kPage - 16}, 32, slices, 2));
  EXPECT_EQ(slices.size(), 1U);
  EXPECT_FALSE(memory_.slices(GuestAddress{0x8000}, 1, slices, 2));
  EXPECT_EQ(slices.size(), 1U);
}

// T1, T6: contains(), read(), write() and slices() agree with a plain model on random ranges.
TEST_F(GuestMemoryTest, T1AccessesAgreeWithAModel) {
  std::mt19937_64 random(20);
  const auto is_ram = [](std::uint64_t address) {
    return address < 8 * kPage || (address >= 0x1'0000'0000 && address < 0x1'0000'0000 + 2 * kPage);
  };
  constexpr std::array<std::uint64_t, 6> kEdges = {
      0, 4 * kPage, 8 * kPage, 0x1'0000'0000, 0x1'0000'0000 + 2 * kPage, kMaximum};
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t address = kEdges[random() % kEdges.size()] + random() % 64 - 32;
    std::array<std::byte, 64> buffer{};
    const std::size_t size = 1 + random() % buffer.size();
    std::uint64_t end = 0;
    bool expected = !__builtin_add_overflow(address, size, &end);
    for (std::uint64_t i = 0; expected && i < size; ++i) expected = is_ram(address + i);
    const std::span<std::byte> bytes(buffer.data(), size);
    std::vector<iovec> slices;
    ASSERT_EQ(memory_.contains(GuestAddress{address}, size), expected) << address << "+" << size;
    ASSERT_EQ(memory_.write(GuestAddress{address}, bytes), expected) << address << "+" << size;
    ASSERT_EQ(memory_.read(GuestAddress{address}, bytes), expected) << address << "+" << size;
    ASSERT_EQ(memory_.slices(GuestAddress{address}, size, slices, 4), expected) << address << "+" << size;
  }
}

TEST_F(GuestMemoryTest, TheBackingFileHoldsAllOfRamAndCannotChangeItsSize) {
  struct stat status{};
  ASSERT_EQ(::fstat(memory_.backing().get(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), memory_.size());
  EXPECT_NE(::ftruncate(memory_.backing().get(), 0), 0);
  ASSERT_TRUE(memory_.write_object(GuestAddress{0x1'0000'0000}, std::uint32_t{0xfeedface}));
  std::uint32_t value = 0;
  const auto offset = static_cast<off_t>(memory_.regions()[2].file_offset);
  ASSERT_EQ(::pread(memory_.backing().get(), &value, sizeof value, offset), 4);
  EXPECT_EQ(value, 0xfeedface);
}

TEST(GuestMemoryLayout, MalformedLayoutsAreRefused) {
  using Layout = GuestMemory::Layout;
  const std::array<std::vector<Layout>, 6> malformed = {{
      {},
      {{GuestAddress{1}, kPage}},
      {{GuestAddress{0}, kPage + 1}},
      {{GuestAddress{0}, 0}},
      {{GuestAddress{0}, 2 * kPage}, {GuestAddress{kPage}, kPage}},
      {{GuestAddress{kMaximum - kPage + 1}, 2 * kPage}},
  }};
  for (const auto& layouts : malformed) EXPECT_THROW(GuestMemory{layouts}, Error);
}

TEST(GuestMemoryLayout, UntouchedMemoryCostsNothing) {
  const std::array<GuestMemory::Layout, 1> layouts = {{{GuestAddress{0}, std::uint64_t{64} << 30}}};
  const GuestMemory memory(layouts);
  struct stat status{};
  ASSERT_EQ(::fstat(memory.backing().get(), &status), 0);
  EXPECT_EQ(status.st_blocks, 0);
}

TEST(GuestMemoryLayout, DiscardedPagesAreTheHostsAgain) {
  const std::array<GuestMemory::Layout, 2> layouts = {
      {{GuestAddress{0}, 4 * kPage}, {GuestAddress{8 * kPage}, 4 * kPage}}};
  GuestMemory memory(layouts, {.populate = true});
  for (const std::uint64_t page : {0u, 1u, 2u, 3u, 8u})
    ASSERT_TRUE(memory.write_object(GuestAddress{page * kPage + 8}, std::uint64_t{page + 1}));
  EXPECT_EQ(memory.discard(GuestAddress{kPage - 1}, 2 * kPage), kPage) << "whole pages only";
  EXPECT_EQ(memory.read_object<std::uint64_t>(GuestAddress{8}), 1u);
  EXPECT_EQ(memory.read_object<std::uint64_t>(GuestAddress{kPage + 8}), 0u);
  EXPECT_EQ(memory.read_object<std::uint64_t>(GuestAddress{2 * kPage + 8}), 3u);
  EXPECT_EQ(memory.discard(GuestAddress{3 * kPage}, 2 * kPage), 0u) << "into the hole";
  EXPECT_EQ(memory.discard(GuestAddress{~std::uint64_t{0} - kPage}, 2 * kPage), 0u);
  EXPECT_EQ(memory.discard(GuestAddress{8 * kPage}, 4 * kPage), 4 * kPage);
  struct stat status{};
  ASSERT_EQ(::fstat(memory.backing().get(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_blocks) * 512, 4 * kPage)
      << "the first region's, with the page that was looked at since";
}

TEST(GuestMemoryLayout, PopulatedMemoryIsThereAtOnce) {
  const std::array<GuestMemory::Layout, 1> layouts = {{{GuestAddress{0}, std::uint64_t{4} << 20}}};
  const GuestMemory memory(layouts, {.populate = true});
  struct stat status{};
  ASSERT_EQ(::fstat(memory.backing().get(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, 4 << 20);
}

TEST(GuestMemoryLayout, PrivateMemoryIsNoFileAndIsGivenBack) {
  constexpr std::uint64_t kHugePage = 2 << 20;
  const std::array<GuestMemory::Layout, 2> layouts = {
      {{GuestAddress{0}, 2 * kHugePage}, {GuestAddress{0x1'0000'0000}, kHugePage}}};
  GuestMemory memory(layouts, {.is_private = true});
  EXPECT_FALSE(memory.backing());
  EXPECT_EQ(memory.size(), 3 * kHugePage);
  for (const MemoryRegion& region : memory.regions()) {
    EXPECT_EQ(region.file, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.host) % kHugePage, 0u);
    ASSERT_TRUE(memory.write_object(GuestAddress{region.start.value + kPage}, std::uint32_t{0xfeedface}));
  }
  EXPECT_EQ(memory.discard(GuestAddress{kPage}, kPage), kPage);
  EXPECT_EQ(memory.read_object<std::uint32_t>(GuestAddress{kPage}), 0u);
  EXPECT_EQ(memory.read_object<std::uint32_t>(GuestAddress{0x1'0000'0000 + kPage}), 0xfeedfaceu);
  EXPECT_THROW(GuestMemory(layouts, {.huge_page_bytes = kHugePage, .is_private = true}), Error);
}

// Where huge pages of the host and of the guest lie over each other, whatever the memory is made of.
TEST(GuestMemoryLayout, HugePagesOfTheHostFitThoseOfTheGuest) {
  constexpr std::uint64_t kHugePage = 2 << 20;
  const std::array<GuestMemory::Layout, 2> layouts = {
      {{GuestAddress{3 * kPage}, kHugePage}, {GuestAddress{0x1'0000'0000}, 8 * kPage}}};
  for (const bool is_private : {false, true}) {
    const GuestMemory memory(layouts, {.is_private = is_private});
    for (const MemoryRegion& region : memory.regions())
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.host) % kHugePage, region.start.value % kHugePage);
  }
}

// A pool of huge pages that is too small is an error that says so, before the guest starts; one that suffices
// is used.
TEST(GuestMemoryLayout, HugePagesAreReservedOrRefused) {
  constexpr std::uint64_t kHugePage = 2 << 20;
  const std::array<GuestMemory::Layout, 1> unaligned = {{{GuestAddress{0}, kHugePage + kPage}}};
  EXPECT_THROW(GuestMemory(unaligned, {.huge_page_bytes = kHugePage}), Error);
  const std::array<GuestMemory::Layout, 1> endless = {{{GuestAddress{0}, std::uint64_t{1} << 45}}};
  try {
    const GuestMemory memory(endless, {.huge_page_bytes = kHugePage});
    FAIL() << "no host has 32 TiB of them";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("huge pages"));
  }
}

}  // namespace
}  // namespace warren::vmm
