#include "vmm-core/bus/address_space.h"

#include <array>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// Answers reads with its letter and remembers the last offset.
class Recorder final : public IoHandler {
 public:
  explicit Recorder(std::uint8_t letter) : letter_(letter) {}
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    offset_ = offset;
    for (auto& byte : data) byte = std::byte{letter_};
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    offset_ = offset;
    written_ = data.size();
  }
  std::atomic<std::uint64_t> offset_{0};
  std::atomic<std::size_t> written_{0};

 private:
  const std::uint8_t letter_;
};

std::uint8_t read8(AddressSpace& space, std::uint64_t address) {
  std::array<std::byte, 1> data{};
  space.read(address, data);
  return std::to_integer<std::uint8_t>(data[0]);
}

TEST(AddressSpace, TheHandlerSeesOffsetsFromItsStart) {
  AddressSpace space("mmio", std::numeric_limits<std::uint64_t>::max());
  Recorder handler('a');
  const auto mapping = space.map(0x1000, 0x100, handler, "a");
  EXPECT_EQ(read8(space, 0x10ff), 'a');
  EXPECT_EQ(handler.offset_, 0xffU);
  const std::array<std::byte, 4> data{};
  space.write(0x1010, data);
  EXPECT_EQ(handler.offset_, 0x10U);
  EXPECT_EQ(handler.written_, 4U);
  EXPECT_EQ(space.unclaimed_reads() + space.unclaimed_writes(), 0U);
}

// T5: accesses that hit nothing or straddle the end of a mapping, of every width.
TEST(AddressSpace, T5UnclaimedAccessesReadAllOnesAndAreCounted) {
  AddressSpace space("ports", 0xffff);
  Recorder handler('a');
  const auto mapping = space.map(0x100, 8, handler, "a");
  std::uint64_t misses = 0;
  for (std::size_t size = 1; size <= 8; ++size) {
    for (std::uint64_t address = 0xf0; address < 0x118; ++address) {
      std::array<std::byte, 8> data{};
      const std::span<std::byte> bytes(data.data(), size);
      space.read(address, bytes);
      const bool hit = address >= 0x100 && address + size <= 0x108;
      EXPECT_EQ(bytes.front(), hit ? std::byte{'a'} : std::byte{0xff}) << address << " " << size;
      EXPECT_EQ(bytes.back(), hit ? std::byte{'a'} : std::byte{0xff}) << address << " " << size;
      space.write(address, bytes);
      if (!hit) ++misses;
    }
  }
  EXPECT_EQ(space.unclaimed_reads(), misses);
  EXPECT_EQ(space.unclaimed_writes(), misses);
}

TEST(AddressSpace, T5AccessesAtTheTopDoNotWrapAround) {
  AddressSpace space("mmio", std::numeric_limits<std::uint64_t>::max());
  Recorder top('t');
  Recorder bottom('b');
  const auto last = space.map(std::numeric_limits<std::uint64_t>::max() - 7, 8, top, "top");
  const auto first = space.map(0, 8, bottom, "bottom");
  std::array<std::byte, 8> data{};
  space.read(std::numeric_limits<std::uint64_t>::max() - 3, data);
  EXPECT_EQ(data[0], std::byte{0xff});
  space.read(std::numeric_limits<std::uint64_t>::max() - 7, data);
  EXPECT_EQ(data[7], std::byte{'t'});
}

TEST(AddressSpace, OverlapsAreRefusedAndNameTheOwner) {
  AddressSpace space("ports", 0xffff);
  Recorder handler('a');
  const auto mapping = space.map(0x100, 0x10, handler, "a");
  for (std::uint64_t start : {0xf1U, 0x100U, 0x108U, 0x10fU}) {
    EXPECT_FALSE(space.try_map(start, 0x10, handler, "b")) << start;
  }
  EXPECT_FALSE(space.try_map(0xf0, 0x100, handler, "b"));
  EXPECT_FALSE(space.try_map(0x200, 0, handler, "b"));
  EXPECT_FALSE(space.try_map(0xfff8, 0x10, handler, "b"));
  EXPECT_FALSE(space.try_map(0x100, std::numeric_limits<std::uint64_t>::max(), handler, "b"));
  EXPECT_TRUE(space.try_map(0xf0, 0x10, handler, "b"));
  try {
    (void)space.map(0x10f, 1, handler, "serial0");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what())
                  .find("ports: 0x1 bytes at 0x10f for serial0 leave the address space or "
                        "overlap another mapping"),
              0U)
        << error.what();
  }
}

TEST(AddressSpace, MappingsEndWithTheirObject) {
  AddressSpace space("ports", 0xffff);
  Recorder handler('a');
  {
    auto mapping = space.map(0x100, 0x10, handler, "a");
    auto moved = std::move(mapping);
    EXPECT_FALSE(mapping);  // NOLINT(bugprone-use-after-move): what a move leaves is part of the contract
    EXPECT_EQ(read8(space, 0x100), 'a');
  }
  EXPECT_EQ(read8(space, 0x100), 0xff);
}

TEST(AddressSpace, HoldsManyMappings) {
  AddressSpace space("mmio", std::numeric_limits<std::uint64_t>::max());
  Recorder handler('a');
  std::vector<AddressSpace::Mapping> mappings;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    mappings.push_back(space.map((i * 7919 % 1000) * 0x1000, 0x800, handler, "a"));
  }
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(read8(space, i * 0x1000 + 0x7ff), 'a');
    EXPECT_EQ(read8(space, i * 0x1000 + 0x800), 0xff);
  }
}

// A guest moves BARs while other vCPUs access registers: every access finds the right handler or nobody.
TEST(AddressSpace, LookupsAreRightWhileMappingsChange) {
  AddressSpace space("mmio", std::numeric_limits<std::uint64_t>::max());
  Recorder still('s');
  Recorder moving('m');
  const auto fixed = space.map(0x5000, 0x1000, still, "still");
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        if (read8(space, 0x5800) != 's') ++wrong;
        const auto other = read8(space, 0x1800);
        if (other != 'm' && other != 0xff) ++wrong;
      }
    });
  }
  std::vector<AddressSpace::Mapping> mappings;
  for (int i = 0; i < 20'000; ++i) {
    auto mapping = space.map(i % 2 == 0 ? 0x1000 : 0x9000, 0x1000, moving, "moving");
    // Makes the table grow under the readers once.
    if (i < 200) mappings.push_back(space.map(0x100000 + 0x1000 * static_cast<unsigned>(i), 16, moving, "x"));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(AddressSpace, InspectShowsWhoAnswersWhere) {
  AddressSpace space("ports", 0xffff);
  Recorder handler('a');
  const auto mapping = space.map(0x3f8, 8, handler, "serial0");
  InspectNode node;
  space.inspect(node);
  ASSERT_EQ(node.children().size(), 1U);
  EXPECT_EQ(node.children()[0].second.values()[0].first, "0x3f8-0x3ff");
}

}  // namespace
}  // namespace warren::vmm
