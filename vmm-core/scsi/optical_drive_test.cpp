#include "vmm-core/scsi/optical_drive.h"

#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::scsi {
namespace {

using Kind = OpticalDrive::Answer::Kind;

class OpticalDriveTest : public testing::Test {
 protected:
  OpticalDrive::Answer run(std::initializer_list<std::uint8_t> command) {
    std::vector<std::byte> bytes;
    for (const std::uint8_t byte : command) bytes.push_back(std::byte{byte});
    return drive.execute(bytes);
  }
  std::vector<std::uint8_t> data(std::initializer_list<std::uint8_t> command) {
    const auto answer = run(command);
    EXPECT_EQ(answer.kind, Kind::data);
    std::vector<std::uint8_t> bytes;
    for (const std::byte byte : answer.data) bytes.push_back(std::to_integer<std::uint8_t>(byte));
    return bytes;
  }
  void insert(std::uint64_t blocks) {
    drive.set_medium(blocks * kOpticalBlock);
    run({0});
    run({0});
  }
  std::vector<bool> moved;
  static OpticalDriveOptions options(std::uint32_t interface_standard = OpticalDriveOptions::kSerialAta) {
    OpticalDriveOptions options;
    options.interface_standard = interface_standard;
    options.identification.serial = "serial";
    return options;
  }
  OpticalDriveOptions told() {
    OpticalDriveOptions made = options();
    made.tray_moved = [this](bool open) { moved.push_back(open); };
    return made;
  }
  OpticalDrive drive{told()};
};

TEST_F(OpticalDriveTest, WhatHappenedIsToldOnceAndInOrder) {
  drive.set_medium(2048);
  EXPECT_EQ(run({0x12, 0, 0, 0, 36}).kind, Kind::data);  // never in the way of INQUIRY
  EXPECT_EQ(run({0}).sense, kReset);
  EXPECT_EQ(run({0}).sense, kMediumMayHaveChanged);
  EXPECT_EQ(run({0}).kind, Kind::done);
  drive.reset();
  // REQUEST SENSE tells it, too.
  const auto sense = data({3, 0, 0, 0, 18});
  EXPECT_EQ(sense[2], kReset.key);
  EXPECT_EQ(sense[12], kReset.code);
  EXPECT_EQ(run({0}).kind, Kind::done);
}

TEST_F(OpticalDriveTest, ReadsAreWithinTheMedium) {
  insert(100);
  const auto answer = run({0x28, 0, 0, 0, 0, 98, 0, 0, 2});
  EXPECT_EQ(answer.kind, Kind::read);
  EXPECT_EQ(answer.offset, 98 * kOpticalBlock);
  EXPECT_EQ(answer.length, 2 * kOpticalBlock);
  EXPECT_EQ(run({0x28, 0, 0, 0, 0, 99, 0, 0, 2}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}).sense, kAddressOutOfRange);
  EXPECT_EQ(run({0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}).sense,
            kAddressOutOfRange);
  EXPECT_EQ(run({0x28, 0, 0, 0, 0, 100}).kind, Kind::done);  // nothing, from behind the end
  EXPECT_EQ(run({0x88, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1}).offset, 4 * kOpticalBlock);
}

TEST_F(OpticalDriveTest, AMediumWithoutABlockIsOfNoUse) {
  insert(0);
  drive.set_medium(2047);
  run({0});
  EXPECT_EQ(run({0x25}).sense, kUnknownFormat);
}

TEST_F(OpticalDriveTest, AnswersAreAsLongAsWasAskedFor) {
  insert(100);
  EXPECT_EQ(data({0x12, 0, 0, 0, 5}).size(), 5u);
  EXPECT_EQ(run({0x12}).kind, Kind::done);
  EXPECT_EQ(data({0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 200}).size(), 30u);
  EXPECT_EQ(run({0x5a, 0, 0xea, 0, 0, 0, 0, 0, 200}).sense, kSavingNotSupported);
  EXPECT_EQ(run({0x5a, 0, 0x05, 0, 0, 0, 0, 0, 200}).sense, kInvalidField);
  const auto serial = data({0x12, 1, 0x80, 0, 100});
  EXPECT_EQ(std::string(serial.begin() + 4, serial.end()), "serial");
}

TEST_F(OpticalDriveTest, TheTableOfContentsIsOneDataTrack) {
  insert(1000);
  const auto toc = data({0x43, 0, 0, 0, 0, 0, 0, 0, 100});
  EXPECT_EQ(toc, (std::vector<std::uint8_t>{0, 18, 1, 1,    0,    0x14, 1, 0, 0, 0,
                                            0, 0,  0, 0x14, 0xaa, 0,    0, 0, 3, 232}));
  const auto in_time = data({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100});
  EXPECT_EQ(in_time[9], 0);    // minutes
  EXPECT_EQ(in_time[10], 15);  // (1000 + 150) / 75
  EXPECT_EQ(in_time[11], 25);
  EXPECT_EQ(run({0x43, 0, 5, 0, 0, 0, 0, 0, 100}).sense, kInvalidField);
}

TEST_F(OpticalDriveTest, TheProfileFollowsTheMedium) {
  EXPECT_EQ(data({0x46, 0, 0, 0, 0, 0, 0, 0, 8})[7], 0);
  insert(1000);
  EXPECT_EQ(data({0x46, 0, 0, 0, 0, 0, 0, 0, 8})[7], 0x08);
  insert(2'000'000);
  const auto all = data({0x46, 0, 0, 0, 0, 0, 0, 1, 0});
  EXPECT_EQ(all[7], 0x10);
  EXPECT_EQ(static_cast<std::size_t>(all[2] << 8 | all[3]), all.size() - 4);
}

TEST_F(OpticalDriveTest, EventsAreToldOnce) {
  insert(10);
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8})[4], 2);  // new
  EXPECT_EQ(data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8})[4], 0);
  EXPECT_EQ(drive.open_tray(false), OpticalDrive::Opening::opened);
  const auto event = data({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8});
  EXPECT_EQ(event[4], 3);
  EXPECT_EQ(event[5], 1);
  EXPECT_EQ(run({0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8}).sense, kInvalidField);
  EXPECT_EQ(data({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8})[1], 1 << 4);
  EXPECT_EQ(run({0x1b, 0, 0, 0, 3}).kind, Kind::done);
  EXPECT_EQ(run({0}).sense, kMediumMayHaveChanged);
  EXPECT_EQ(moved, (std::vector<bool>{true, false}));
}

TEST_F(OpticalDriveTest, StateTravelsAndIsLookedAt) {
  insert(10);
  run({0x1e, 0, 0, 0, 1});
  auto state = drive.save();
  OpticalDrive other(options());
  other.restore(state);
  EXPECT_TRUE(other.is_locked());
  state.media_event = 9;  // T21
  EXPECT_THROW(other.restore(state), Error);
}

// SAM-5 §5.13: what was told with the status is not told again.
TEST_F(OpticalDriveTest, OnScsiTheSenseGoesWithTheStatus) {
  const auto key_after_failure = [](OpticalDrive& tried) {
    const std::array<std::byte, 16> sense = {std::byte{3}, {}, {}, {}, std::byte{18}};
    const std::array<std::byte, 16> unknown = {std::byte{0xff}};
    static_cast<void>(tried.execute(sense));  // the reset
    EXPECT_EQ(tried.execute(unknown).sense, kInvalidCommand);
    return std::to_integer<std::uint8_t>(tried.execute(sense).data[2]);
  };
  OpticalDrive on_scsi(options(OpticalDriveOptions::kScsi)), on_sata(options());
  EXPECT_EQ(key_after_failure(on_scsi), 0);
  EXPECT_EQ(key_after_failure(on_sata), kInvalidCommand.key);
}

}  // namespace
}  // namespace warren::vmm::scsi
