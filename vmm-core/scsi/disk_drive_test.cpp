#include "vmm-core/scsi/disk_drive.h"

#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::scsi {
namespace {

using Kind = Answer::Kind;
using Bytes = std::vector<std::uint8_t>;

class DiskDriveTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kBlocks = 1000;

  void make(DiskDriveOptions options, std::uint64_t blocks = kBlocks) {
    drive_.emplace(options, blocks * options.logical_block);
    EXPECT_EQ(run({0}).sense, kReset);
  }
  static DiskDriveOptions thin() {
    DiskDriveOptions options;
    options.unmaps = true;
    options.identification.serial = "serial-1";
    options.identification.name = "serial-1";
    options.identification.wwn = 0x5000'c500'1234'5678;
    return options;
  }
  Answer run(const Bytes& command, const Bytes& parameters = {}) {
    parameters_.assign(parameters.size(), std::byte{0});
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters_[i] = std::byte{parameters[i]};
    const auto bytes = std::as_bytes(std::span(command));
    EXPECT_LE(drive_->parameter_bytes(bytes), kMaximumParameters);
    return drive_->execute(bytes, parameters_);
  }
  Bytes data(const Bytes& command) {
    const Answer answer = run(command);
    EXPECT_EQ(answer.kind, Kind::data);
    Bytes bytes;
    for (const std::byte byte : answer.data) bytes.push_back(std::to_integer<std::uint8_t>(byte));
    return bytes;
  }
  static std::uint64_t number(const Bytes& bytes, std::size_t at, std::size_t size) {
    return std::accumulate(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                           bytes.begin() + static_cast<std::ptrdiff_t>(at + size), std::uint64_t{0},
                           [](std::uint64_t sum, std::uint8_t byte) { return sum << 8 | byte; });
  }
  Bytes page(std::uint8_t code) { return data({0x12, 1, code, 0, 255}); }
  // A list for UNMAP.
  static Bytes extents(const std::vector<std::pair<std::uint64_t, std::uint32_t>>& list) {
    Bytes bytes(8);
    bytes[3] = static_cast<std::uint8_t>(16 * list.size());
    bytes[2] = static_cast<std::uint8_t>(16 * list.size() >> 8);
    for (const auto& [block, count] : list) {
      for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(block >> shift));
      for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(count >> shift));
      bytes.insert(bytes.end(), 4, 0);
    }
    return bytes;
  }
  Answer unmap(const Bytes& list) {
    return run({0x42, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(list.size() >> 8),
                static_cast<std::uint8_t>(list.size())},
               list);
  }

  std::optional<DiskDrive> drive_;
  std::vector<std::byte> parameters_;
};

TEST_F(DiskDriveTest, SaysWhoItIs) {
  DiskDriveOptions options = thin();
  options.identification.vendor = "ACME";
  options.identification.product = "Rocket disk";
  make(options);
  const Bytes who = data({0x12, 0, 0, 0, 96});
  ASSERT_EQ(who.size(), 36u);
  EXPECT_EQ(who[0], 0);
  EXPECT_EQ(who[1], 0);
  EXPECT_EQ(std::string(who.begin() + 8, who.begin() + 32), "ACME    Rocket disk     ");
  EXPECT_EQ(page(0x00), (Bytes{0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2}));
  const Bytes serial = page(0x80);
  EXPECT_EQ(std::string(serial.begin() + 4, serial.end()), "serial-1");
  const Bytes names = page(0x83);
  EXPECT_EQ(names[3], 12 + 12);
  EXPECT_EQ(std::string(names.begin() + 8, names.begin() + 16), "serial-1");
  EXPECT_EQ(number(names, 20, 8), 0x5000'c500'1234'5678u);
  EXPECT_EQ(run({0x12, 1, 0x99, 0, 255}).sense, kInvalidField);
  EXPECT_EQ(run({0x12, 0, 0x80, 0, 255}).sense, kInvalidField);
}

TEST_F(DiskDriveTest, ANamelessDiskHasNoPagesForNames) {
  make({});
  EXPECT_EQ(page(0x00), (Bytes{0, 0, 0, 3, 0, 0xb0, 0xb1}));
  EXPECT_EQ(run({0x12, 1, 0x80, 0, 255}).sense, kInvalidField);
  EXPECT_EQ(run({0x12, 1, 0xb2, 0, 255}).sense, kInvalidField);
}

TEST_F(DiskDriveTest, TellsItsLimits) {
  DiskDriveOptions options = thin();
  options.logical_block = 512;
  options.physical_block = 8192;
  options.rotation_rate = 7200;
  make(options);
  const Bytes limits = page(0xb0);
  ASSERT_EQ(limits.size(), 64u);
  EXPECT_EQ(limits[4], 1);
  EXPECT_EQ(number(limits, 6, 2), 16u);
  EXPECT_EQ(number(limits, 20, 4), DiskDrive::kMaximumUnmapBytes / 512);
  EXPECT_EQ(number(limits, 24, 4), DiskDrive::kMaximumExtents);
  EXPECT_EQ(number(limits, 28, 4), 16u);
  EXPECT_EQ(number(limits, 36, 8), DiskDrive::kMaximumUnmapBytes / 512);
  EXPECT_EQ(number(page(0xb1), 4, 2), 7200u);
  EXPECT_EQ(page(0xb2), (Bytes{0, 0xb2, 0, 4, 0, 0xe0, 2, 0}));
}

TEST_F(DiskDriveTest, TellsItsCapacity) {
  DiskDriveOptions options = thin();
  options.physical_block = 4096;
  make(options);
  EXPECT_EQ(data({0x25}), (Bytes{0, 0, 3, 231, 0, 0, 2, 0}));
  const Bytes large = data({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32});
  EXPECT_EQ(number(large, 0, 8), kBlocks - 1);
  EXPECT_EQ(number(large, 8, 4), 512u);
  EXPECT_EQ(large[13], 3);
  EXPECT_EQ(large[14], 0x80);
  EXPECT_EQ(run({0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}).sense, kInvalidField);
  make({}, std::uint64_t{1} << 33);
  EXPECT_EQ(number(data({0x25}), 0, 4), 0xffff'ffffu);
}

TEST_F(DiskDriveTest, ADiskWithoutBlocksIsNotReady) {
  make({}, 0);
  EXPECT_EQ(run({0}).sense, kNotReady);
  EXPECT_EQ(run({0x25}).sense, kNotReady);
  EXPECT_EQ(run({0x28, 0, 0, 0, 0, 0, 0, 0, 1}).sense, kAddressOutOfRange);
}

TEST_F(DiskDriveTest, TransfersLieWithinTheMedium) {
  make({});
  const Answer read = run({0x28, 0, 0, 0, 3, 230, 0, 0, 2});
  EXPECT_EQ(read.kind, Kind::read);
  EXPECT_EQ(read.offset, 998 * 512u);
  EXPECT_EQ(read.length, 1024u);
  EXPECT_EQ(run({0x28, 0, 0, 0, 3, 231, 0, 0, 2}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0x28, 0, 0, 0, 3, 232, 0, 0, 0}).kind, Kind::done);
  EXPECT_EQ(run({0x28, 0, 0, 0, 3, 233, 0, 0, 0}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}).sense,
            kAddressOutOfRange);
  EXPECT_EQ(run({0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0x08, 0, 0, 0, 0}).length, 256 * 512u);  // 0 are 256
  EXPECT_EQ(run({0x0a, 0xe0, 0, 5, 1}).offset, 5 * 512u);
  EXPECT_EQ(run({0xa8, 0, 0, 0, 0, 4, 0, 0, 0, 3}).length, 3 * 512u);
  EXPECT_EQ(run({0xaa, 0, 0, 0, 0, 4, 0, 0, 0, 3}).kind, Kind::write);
  EXPECT_EQ(run({0x28, 0x20, 0, 0, 0, 0, 0, 0, 1}).sense, kInvalidField);  // protection information
  EXPECT_EQ(run({0x2f, 0, 0, 0, 0, 0, 0, 0, 1}).kind, Kind::done);
  EXPECT_EQ(run({0x2f, 2, 0, 0, 0, 0, 0, 0, 1}).sense, kInvalidField);
}

TEST_F(DiskDriveTest, WhatMustBeDurableIs) {
  make({});
  EXPECT_FALSE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).durable);
  EXPECT_TRUE(run({0x2a, 8, 0, 0, 0, 0, 0, 0, 1}).durable);  // FUA
  EXPECT_TRUE(run({0x2e, 0, 0, 0, 0, 0, 0, 0, 1}).durable);  // WRITE AND VERIFY
  EXPECT_EQ(run({0x35}).kind, Kind::flush);
  EXPECT_EQ(run({0x91}).kind, Kind::flush);
  make({.cache = WriteCache::off});
  EXPECT_TRUE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).durable);
  make({.cache = WriteCache::ignored});
  EXPECT_FALSE(run({0x2a, 8, 0, 0, 0, 0, 0, 0, 1}).durable);
  EXPECT_EQ(run({0x35}).kind, Kind::done);
}

TEST_F(DiskDriveTest, TheGuestTurnsTheWriteCacheOff) {
  make({});
  EXPECT_EQ(data({0x1a, 8, 8, 0, 255})[4 + 2], 4);
  EXPECT_EQ(data({0x1a, 8, 0x48, 0, 255})[4 + 2], 4);  // changeable
  Bytes list(4 + 20);
  list[4] = 8;
  list[5] = 18;
  EXPECT_EQ(run({0x15, 0x10, 0, 0, 24}, list).kind, Kind::flush);
  EXPECT_EQ(data({0x1a, 8, 8, 0, 255})[4 + 2], 0);
  EXPECT_EQ(data({0x1a, 8, 0x88, 0, 255})[4 + 2], 4);  // the preset
  EXPECT_TRUE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).durable);
  list[7] = 1;  // what is not his to change
  EXPECT_EQ(run({0x15, 0x10, 0, 0, 24}, list).sense, kInvalidParameter);
  EXPECT_EQ(run({0x15, 0x10, 0, 0, 20}, Bytes(list.begin(), list.begin() + 20)).sense, kParameterLength);
  EXPECT_EQ(run({0x15, 0x11, 0, 0, 24}, list).sense, kInvalidField);
  EXPECT_EQ(run({0x15, 0x10, 0, 0, 24}, Bytes(24, 0xff)).sense, kParameterLength);
  drive_->reset();
  run({0});
  EXPECT_FALSE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).durable);
  make({.cache = WriteCache::off});
  list[6] = 4;
  list[7] = 0;
  EXPECT_EQ(run({0x15, 0x10, 0, 0, 24}, list).sense, kInvalidParameter);
}

TEST_F(DiskDriveTest, ModePagesHaveTheirHeaders) {
  DiskDriveOptions options;
  options.read_only = true;
  make(options);
  const Bytes brief = data({0x1a, 0, 0x3f, 0, 255});
  EXPECT_EQ(brief[0], brief.size() - 1);
  EXPECT_EQ(brief[2], 0x90);  // protected, and takes FUA
  EXPECT_EQ(brief[3], 8);
  EXPECT_EQ(number(brief, 4, 4), kBlocks);
  const Bytes lengthy = data({0x5a, 8, 0x3f, 0, 0, 0, 0, 1, 0});
  EXPECT_EQ(number(lengthy, 0, 2), lengthy.size() - 2);
  EXPECT_EQ(lengthy.size(), 8 + 12 + 20 + 12u);
  EXPECT_EQ(run({0x1a, 0, 0x1c, 0, 255}).sense, kInvalidField);
  EXPECT_EQ(run({0x1a, 0, 0xff, 0, 255}).sense, kSavingNotSupported);
}

TEST_F(DiskDriveTest, AReadOnlyDiskIsNotWritten) {
  DiskDriveOptions options = thin();
  options.read_only = true;
  make(options);
  EXPECT_EQ(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).sense, kWriteProtected);
  EXPECT_EQ(run({0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}).sense, kWriteProtected);
  EXPECT_EQ(unmap(extents({{0, 1}})).sense, kWriteProtected);
  EXPECT_EQ(run({0x35}).kind, Kind::done);
}

TEST_F(DiskDriveTest, UnmapNamesWhatIsNotNeeded) {
  make(thin());
  const Answer answer = unmap(extents({{8, 8}, {100, 0}, {992, 8}}));
  ASSERT_EQ(answer.kind, Kind::discard);
  ASSERT_EQ(answer.extents.size(), 2u);
  EXPECT_EQ(answer.extents[1], (Extent{992 * 512, 8 * 512}));
  EXPECT_EQ(unmap(extents({})).kind, Kind::done);
  EXPECT_EQ(unmap(extents({{8, 8}, {993, 8}})).sense, kAddressOutOfRange);
  EXPECT_EQ(unmap(extents({{~std::uint64_t{0}, 2}})).sense, kAddressOutOfRange);
  EXPECT_EQ(unmap(Bytes(7)).sense, kParameterLength);
  Bytes lies = extents({{0, 1}});
  lies[3] = 32;
  EXPECT_EQ(unmap(lies).sense, kParameterLength);
  lies[3] = 15;
  EXPECT_EQ(unmap(lies).sense, kInvalidParameter);
  EXPECT_EQ(unmap(extents(std::vector<std::pair<std::uint64_t, std::uint32_t>>(33, {0, 1}))).sense,
            kInvalidParameter);
  EXPECT_EQ(unmap(extents(std::vector<std::pair<std::uint64_t, std::uint32_t>>(32, {0, 1}))).kind,
            Kind::discard);
  EXPECT_EQ(run({0x42, 1, 0, 0, 0, 0, 0, 0, 24}, extents({{0, 1}})).sense, kInvalidField);  // ANCHOR
  make({});
  EXPECT_EQ(unmap(extents({{0, 1}})).sense, kInvalidCommand);
}

TEST_F(DiskDriveTest, WriteSameZeroesOrFills) {
  make(thin());
  const Bytes zeros(512), ones(512, 1);
  Answer answer = run({0x93, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4}, zeros);
  EXPECT_EQ(answer.kind, Kind::zero);
  EXPECT_TRUE(answer.may_unmap);
  EXPECT_EQ(answer.offset, 4 * 512u);
  EXPECT_EQ(answer.length, 4 * 512u);
  answer = run({0x41, 0, 0, 0, 0, 4, 0, 0, 4}, zeros);
  EXPECT_EQ(answer.kind, Kind::zero);
  EXPECT_FALSE(answer.may_unmap);
  answer = run({0x41, 8, 0, 0, 0, 4, 0, 0, 4}, ones);
  EXPECT_EQ(answer.kind, Kind::fill);
  EXPECT_EQ(run({0x93, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4}).kind, Kind::zero);  // NDOB
  EXPECT_EQ(run({0x93, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0}).sense, kInvalidField);
  EXPECT_EQ(run({0x93, 1, 0, 0, 0, 0, 0, 0, 3, 231, 0, 0, 0, 2}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0x41, 2, 0, 0, 0, 4, 0, 0, 4}, zeros).sense, kInvalidField);  // LBDATA
  make({});
  EXPECT_EQ(run({0x93, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4}).sense, kInvalidField);
  EXPECT_EQ(run({0x93, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4}).kind, Kind::zero);
}

TEST_F(DiskDriveTest, ANewCapacityIsToldOnce) {
  make({});
  drive_->set_size(2 * kBlocks * 512);
  EXPECT_EQ(data({0x12, 0, 0, 0, 36}).size(), 36u);  // never in the way of INQUIRY
  EXPECT_EQ(run({0x28, 0, 0, 0, 3, 232, 0, 0, 1}).sense, kCapacityChanged);
  EXPECT_EQ(run({0x28, 0, 0, 0, 3, 232, 0, 0, 1}).kind, Kind::read);
  drive_->set_size(kBlocks * 512);
  const Bytes sense = data({3, 0, 0, 0, 18});  // REQUEST SENSE tells it, too
  EXPECT_EQ(sense[2], 6);
  EXPECT_EQ(sense[12], 0x2a);
  EXPECT_EQ(sense[13], 9);
  EXPECT_EQ(data({3, 0, 0, 0, 18})[2], 0);
}

TEST_F(DiskDriveTest, WhatIsNotSupportedIsRefusedAndSaidToBe) {
  make({});
  for (const std::uint8_t operation : Bytes{0x04, 0x16, 0x5e, 0x5f, 0x83, 0x89, 0xff})
    EXPECT_EQ(run({operation}).sense, kInvalidCommand) << int{operation};
  const Bytes all = data({0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 4, 0});
  EXPECT_EQ(number(all, 0, 4), all.size() - 4);
  for (std::size_t at = 4; at < all.size(); at += 8) {
    EXPECT_NE(all[at], 0x42) << "UNMAP";
    // Each is known to the drive, whatever it makes of an empty one; REPORT LUNS is its target's.
    if (all[at] == 0xa0) continue;
    EXPECT_NE(run({all[at]}).sense, kInvalidCommand) << int{all[at]};
  }
  EXPECT_EQ(data({0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 1, 0})[1], 3);
  EXPECT_EQ(data({0xa3, 0x0c, 1, 0x42, 0, 0, 0, 0, 1, 0})[1], 1);
  EXPECT_EQ(data({0xa3, 0x0c, 2, 0x9e, 0, 0x10, 0, 0, 1, 0})[1], 3);
  EXPECT_EQ(run({0xa3, 0x0c, 1, 0x9e, 0, 0, 0, 0, 1, 0}).sense, kInvalidField);
  EXPECT_EQ(data({0xa3, 0x0c, 3, 0x9e, 0, 0x11, 0, 0, 1, 0})[1], 1);
  EXPECT_EQ(data({0xa3, 0x0c, 0x81, 0x28, 0, 0, 0, 0, 1, 0}).size(), 4 + 10 + 12u);
}

TEST_F(DiskDriveTest, StateTravelsAndIsLookedAt) {
  make({});
  Bytes list(4 + 20);
  list[4] = 8;
  list[5] = 18;
  run({0x15, 0x10, 0, 0, 24}, list);
  DiskDriveState state = drive_->save();
  EXPECT_FALSE(state.write_cache);
  make({});
  drive_->restore(state);
  EXPECT_TRUE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).durable);
  state.version = 9;  // T21
  EXPECT_THROW(drive_->restore(state), Error);
  make({.cache = WriteCache::ignored});
  state.version = 1;
  EXPECT_THROW(drive_->restore(state), Error);
}

}  // namespace
}  // namespace warren::vmm::scsi
