#include "vmm-core/devices/ahci_controller.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include <gtest/gtest.h>

#include "vmm-core/devices/ahci_fake_driver.h"

namespace warren::vmm::ahci {
namespace {

using Pieces = std::vector<FakeDriver::Piece>;
constexpr unsigned kDisk = FakeDriver::kDisk, kDrive = FakeDriver::kDrive;
constexpr std::uint64_t kData = FakeDriver::kData;
constexpr std::uint8_t kReadDmaExt = 0x25, kWriteDmaExt = 0x35, kFlush = 0xea, kTrimCommand = 0x06,
                       kReadLog = 0x2f;
using Sense = std::array<std::uint8_t, 3>;

class AhciTest : public testing::Test {
 protected:
  void start() {
    driver.start(kDisk);
    driver.start(kDrive);
  }
  std::vector<std::uint8_t> pattern(std::size_t size, std::uint8_t first) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + i * 7 + i / 512);
    return bytes;
  }
  std::vector<std::uint8_t> on_disk(std::uint64_t offset, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    EXPECT_EQ(::pread(driver.disk_file.get(), bytes.data(), size, static_cast<off_t>(offset)),
              static_cast<ssize_t>(size));
    return bytes;
  }
  void fill_medium() {
    const auto bytes = pattern(FakeDriver::kMediumBytes, 3);
    ASSERT_EQ(::pwrite(driver.medium_file.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  std::vector<std::uint8_t> in_memory(std::uint64_t address, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    EXPECT_TRUE(driver.memory.read({address}, std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }
  // What a drive tells of first is that it was reset, and of what lies in it.
  void settle() {
    driver.packet({0});
    driver.sense();
    driver.packet({0});
    driver.sense();
  }
  FakeDriver driver;
};

TEST_F(AhciTest, PortsTellWhatIsThere) {
  EXPECT_EQ(driver.get(kVersion), 0x10301u);
  EXPECT_EQ(driver.get(kPortsImplemented), 0x3fu);
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kLinkStatus)), kLinkUp);
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kSignature)), 0x101u);
  EXPECT_EQ(driver.get(FakeDriver::at(kDrive, kSignature)), 0xeb140101u);
  EXPECT_EQ(driver.get(FakeDriver::at(2, kLinkStatus)), 0u);
  EXPECT_EQ(driver.get(FakeDriver::at(2, kTaskFile)), 0x7fu);
  start();
  // The first frame comes without being asked for.
  EXPECT_TRUE(FakeDriver::wait([&] {
    return driver.memory.read_object<std::uint8_t>({driver.frames(kDrive) + kRegisterFrameOffset + 6}) ==
           0xeb;
  }));
}

TEST_F(AhciTest, IdentifyIsSound) {
  start();
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(ata::kIdentifyDevice), {{kData, 512}}) & 0xff, ata::kIdle);
  const auto words = driver.data<std::array<std::uint16_t, 256>>();
  EXPECT_EQ(words[100] | words[101] << 16, static_cast<int>(FakeDriver::kDiskBytes / 512));
  EXPECT_EQ(words[10], 's' << 8 | 'e');
  EXPECT_NE(words[76] & 1 << 8, 0);
  EXPECT_EQ(words[169], 0);  // no discards were offered
  const auto bytes = driver.data<std::array<std::uint8_t, 512>>();
  EXPECT_EQ(std::accumulate(bytes.begin(), bytes.end(), 0) & 0xff, 0);
  EXPECT_EQ(driver.transferred(kDisk), 512u);
  EXPECT_NE(driver.get(FakeDriver::at(kDisk, kPortInterruptStatus)) & kPioFrame, 0u);
  // A packet device does not know it, and tells what it is.
  EXPECT_NE(driver.run(kDrive, FakeDriver::frame(ata::kIdentifyDevice), {{kData, 512}}) & ata::kError, 0u);
  EXPECT_EQ(driver.run(kDrive, FakeDriver::frame(ata::kIdentifyPacketDevice), {{kData, 512}}) & 0xff,
            ata::kIdle);
  EXPECT_EQ(driver.data<std::uint16_t>(), 0x85c0);
}

TEST(AhciIdentify, TellsAWorldWideName) {
  for (const auto& [name, words] :
       {std::pair(std::optional<std::uint64_t>(0x5000'c500'15ea'71ad),
                  std::array<std::uint16_t, 4>{0x5000, 0xc500, 0x15ea, 0x71ad}),
        std::pair(std::optional<std::uint64_t>(), std::array<std::uint16_t, 4>{})}) {
    block::DiskOptions options;
    options.wwn = name;
    FakeDriver driver(options);
    driver.start(kDisk);
    driver.run(kDisk, FakeDriver::frame(ata::kIdentifyDevice), {{kData, 512}});
    const auto told = driver.data<std::array<std::uint16_t, 256>>();
    EXPECT_TRUE(std::ranges::equal(words, std::span(told).subspan(108, 4)));
    // Valid (bits 15 and 14), and whether there is a name: supported and enabled.
    EXPECT_EQ(told[84] & 0xc100, name ? 0x4100 : 0x4000);
    EXPECT_EQ(told[87] & 0xc100, name ? 0x4100 : 0x4000);
    const auto bytes = driver.data<std::array<std::uint8_t, 512>>();
    EXPECT_EQ(std::accumulate(bytes.begin(), bytes.end(), 0) & 0xff, 0);
  }
}

TEST_F(AhciTest, ReadsAndWritesOverScatteredMemory) {
  start();
  const auto bytes = pattern(4096, 1);
  ASSERT_TRUE(driver.memory.write({kData}, std::as_bytes(std::span(bytes))));
  // Pieces of odd lengths, which no sector ends with.
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kWriteDmaExt, 9, 8),
                       {{kData, 1000}, {kData + 1000, 2}, {kData + 1002, 3094}}, true) &
                0xff,
            ata::kIdle);
  EXPECT_EQ(on_disk(9 * 512, 4096), bytes);
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kFlush)) & 0xff, ata::kIdle);
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kReadDmaExt, 9, 8), {{kData + 0x10000, 4096}}) & 0xff,
            ata::kIdle);
  EXPECT_EQ(in_memory(kData + 0x10000, 4096), bytes);
  EXPECT_EQ(driver.transferred(kDisk), 4096u);
  EXPECT_EQ(driver.disk_counters.write_bytes.load(), 4096u);
  EXPECT_EQ(driver.disk_counters.read_bytes.load(), 4096u);
  EXPECT_EQ(driver.disk_counters.flush_requests.load(), 1u);
}

// More entries than one request to the disk takes, with a sector torn between two requests.
// As firmware and crash kernels do it, without interrupts.
TEST_F(AhciTest, WhatIsDoneIsNotBusyAnyMore) {
  constexpr std::uint8_t kFlushCacheExt = 0xea;
  start();
  unsigned busy = 0;
  for (unsigned i = 0; i < 2000; ++i) {
    if (i % 2 == 0) {
      driver.put(kDisk, 0, FakeDriver::frame(ata::kIdentifyDevice), {{kData, 512}});
    } else {
      driver.put(kDisk, 0, FakeDriver::frame(kFlushCacheExt), {});
    }
    driver.issue(kDisk, 1);
    while ((driver.get(FakeDriver::at(kDisk, kCommandIssue)) & 1) != 0) std::this_thread::yield();
    busy += (driver.get(FakeDriver::at(kDisk, kTaskFile)) & ata::kBusy) != 0;
  }
  EXPECT_EQ(busy, 0U);
}

TEST_F(AhciTest, LongRegionTablesMakeSeveralRequests) {
  start();
  constexpr std::size_t kBytes = 200 * 512;
  const auto bytes = pattern(kBytes, 5);
  ASSERT_EQ(::pwrite(driver.disk_file.get(), bytes.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
  Pieces pieces{{kData, 130}};
  std::uint64_t done = 130;
  for (; kBytes - done > 500; done += 500) pieces.push_back({kData + done, 500});
  pieces.push_back({kData + done, static_cast<std::uint32_t>(kBytes - done)});
  ASSERT_GT(pieces.size(), 168u);
  // Once in a hundred times or so the first of them is done before the port has looked for anything else.
  for (int round = 0; round < 300; ++round) {
    ASSERT_EQ(driver.run(kDisk, FakeDriver::frame(kReadDmaExt, 0, 200), pieces) & 0xff, ata::kIdle) << round;
    EXPECT_EQ(driver.transferred(kDisk), kBytes);
  }
  EXPECT_EQ(in_memory(kData, kBytes), bytes);
  EXPECT_GT(driver.disk_counters.read_requests.load(), 300u);
}

TEST_F(AhciTest, QueuedCommandsAreDoneTogether) {
  start();
  const auto bytes = pattern(32 * 512, 9);
  ASSERT_TRUE(driver.memory.write({kData}, std::as_bytes(std::span(bytes))));
  for (unsigned slot = 0; slot < 32; ++slot) {
    driver.put(kDisk, slot, FakeDriver::queued(ata::kWriteFpdma, slot, slot, 1), {{kData + slot * 512, 512}},
               true);
  }
  driver.set(FakeDriver::at(kDisk, kActive), ~0U);
  driver.issue(kDisk, ~0U);
  ASSERT_TRUE(FakeDriver::wait([&] { return driver.get(FakeDriver::at(kDisk, kActive)) == 0; }));
  EXPECT_EQ(on_disk(0, 32 * 512), bytes);
  EXPECT_NE(driver.get(FakeDriver::at(kDisk, kPortInterruptStatus)) & kDeviceBitsFrame, 0u);
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kCommandIssue)), 0u);
}

TEST_F(AhciTest, AQueuedCommandThatFailsIsInTheLog) {
  start();
  driver.put(kDisk, 3, FakeDriver::queued(ata::kReadFpdma, 3, FakeDriver::kDiskBytes / 512, 1),
             {{kData, 512}});
  driver.set(FakeDriver::at(kDisk, kActive), 1 << 3);
  driver.issue(kDisk, 1 << 3);
  ASSERT_TRUE(FakeDriver::wait(
      [&] { return (driver.get(FakeDriver::at(kDisk, kPortInterruptStatus)) & kTaskFileError) != 0; }));
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kActive)), 1u << 3);
  driver.recover(kDisk);
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kReadLog, 0x10, 1), {{kData, 512}}) & 0xff, ata::kIdle);
  EXPECT_EQ(driver.data<std::uint8_t>(), 3);
  EXPECT_EQ(driver.data<std::uint8_t>(3), ata::kIdNotFound | ata::kAborted);
}

TEST_F(AhciTest, InterruptsComeByThePinOrByMessage) {
  start();
  EXPECT_FALSE(driver.asserted);
  driver.run(kDisk, FakeDriver::frame(kFlush));
  EXPECT_TRUE(driver.asserted);
  driver.set(FakeDriver::at(kDisk, kPortInterruptStatus), ~0U);
  EXPECT_TRUE(driver.asserted);
  driver.set(kInterruptStatus, ~0U);
  EXPECT_FALSE(driver.asserted);
  const std::uint32_t low = 0xfee0'1000;
  const std::uint16_t data = 0x41, enable = 1;
  const std::uint16_t msi = 0x40;
  driver.controller->config_write(msi + 4, std::as_bytes(std::span(&low, 1)));
  driver.controller->config_write(msi + 12, std::as_bytes(std::span(&data, 1)));
  driver.controller->config_write(msi + 2, std::as_bytes(std::span(&enable, 1)));
  driver.run(kDisk, FakeDriver::frame(kFlush));
  ASSERT_FALSE(driver.messages.signalled.empty());
  EXPECT_EQ(driver.messages.signalled.back().address, low);
  EXPECT_EQ(driver.messages.signalled.back().data, data);
  EXPECT_FALSE(driver.asserted);
}

TEST_F(AhciTest, T1AddressesThatAreNoMemoryAreRefused) {
  start();
  const auto fatal = [&] {
    const bool seen = FakeDriver::wait([&] {
      return (driver.get(FakeDriver::at(kDisk, kPortInterruptStatus)) & (kHostBusFatal | kInterfaceFatal)) !=
             0;
    });
    driver.recover(kDisk);
    return seen;
  };
  for (const Pieces& pieces :
       {Pieces{{FakeDriver::kMemory - 256, 512}}, Pieces{{~std::uint64_t{0} - 100, 512}},
        Pieces{{FakeDriver::kBar, 512}}, Pieces{{kData, 256}}, Pieces{}}) {
    driver.put(kDisk, 0, FakeDriver::frame(kReadDmaExt, 0, 1), pieces);
    driver.issue(kDisk, 1);
    EXPECT_TRUE(fatal());
  }
  // The table, and then the list.
  CommandHeader header{.flags = 5, .regions = 1, .transferred = 0, .table = FakeDriver::kMemory - 64};
  static_cast<void>(driver.memory.write_object({driver.list(kDisk)}, header));
  driver.issue(kDisk, 1);
  EXPECT_TRUE(fatal());
  EXPECT_TRUE(driver.stop(kDisk));
  driver.set(FakeDriver::at(kDisk, kCommandListUpper), ~0U);
  driver.set(FakeDriver::at(kDisk, kCommand), kFrameReceive | kStart);
  driver.issue(kDisk, 1);
  EXPECT_TRUE(FakeDriver::wait(
      [&] { return (driver.get(FakeDriver::at(kDisk, kPortInterruptStatus)) & kHostBusFatal) != 0; }));
  driver.set(FakeDriver::at(kDisk, kCommandListUpper), 0);
  driver.recover(kDisk);
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kReadDmaExt, 0, 1), {{kData, 512}}) & 0xff, ata::kIdle);
}

TEST_F(AhciTest, WhatLiesBehindTheDiskIsNotFound) {
  start();
  const std::uint64_t sectors = FakeDriver::kDiskBytes / 512;
  for (const std::uint64_t sector : {sectors, sectors - 1, (std::uint64_t{1} << 48) - 1}) {
    const std::uint32_t task_file =
        driver.run(kDisk, FakeDriver::frame(kReadDmaExt, sector, 2), {{kData, 1024}});
    EXPECT_EQ(task_file & 0xff, ata::kReady | ata::kError);
    EXPECT_NE(task_file >> 8 & ata::kIdNotFound, 0u);
  }
  EXPECT_NE(driver.run(kDisk, FakeDriver::frame(0xff)) & ata::kError, 0u);
}

TEST(Ahci, TrimGivesSpaceBack) {
  FakeDriver driver({.discard = true});
  driver.start(kDisk);
  std::vector<std::uint8_t> ones(8192, 0xff);
  ASSERT_EQ(::pwrite(driver.disk_file.get(), ones.data(), ones.size(), 0), 8192);
  ata::CommandFrame trim = FakeDriver::frame(kTrimCommand, 0, 1);
  trim.features_low = 1;
  std::array<std::uint64_t, 64> ranges{};
  ranges[0] = std::uint64_t{8} << 48;
  ranges[5] = std::uint64_t{8} << 48 | 8;
  ASSERT_TRUE(driver.memory.write_object({kData}, ranges));
  EXPECT_EQ(driver.run(kDisk, trim, {{kData, 512}}, true) & 0xff, ata::kIdle);
  ASSERT_EQ(::pread(driver.disk_file.get(), ones.data(), ones.size(), 0), 8192);
  EXPECT_EQ(std::accumulate(ones.begin(), ones.end(), 0), 0);
  ranges[6] = std::uint64_t{0xffff} << 48 | 0xffff'ffff'ffff;
  ASSERT_TRUE(driver.memory.write_object({kData}, ranges));
  EXPECT_NE(driver.run(kDisk, trim, {{kData, 512}}, true) & ata::kError, 0u);
}

TEST_F(AhciTest, SoftwareResetIntroducesTheDeviceAgain) {
  start();
  ata::CommandFrame control{.type = ata::kCommandFrameType};
  control.control = 1 << 2;
  driver.run(kDrive, control);
  control.control = 0;
  EXPECT_EQ(driver.run(kDrive, control) >> 8, 1u);
  EXPECT_EQ(driver.memory.read_object<std::uint8_t>({driver.frames(kDrive) + kRegisterFrameOffset + 5}),
            0x14);
}

TEST_F(AhciTest, AReleasedLinkResetBringsTheDeviceBack) {
  start();
  driver.set(FakeDriver::at(kDisk, kLinkControl), kDetectReset);
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kLinkStatus)), 0u);
  driver.set(FakeDriver::at(kDisk, kLinkControl), 0);
  EXPECT_TRUE(FakeDriver::wait([&] { return driver.get(FakeDriver::at(kDisk, kLinkStatus)) == kLinkUp; }));
  EXPECT_NE(driver.get(FakeDriver::at(kDisk, kLinkError)) & kExchanged, 0u);
  driver.recover(kDisk);
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kReadDmaExt, 0, 1), {{kData, 512}}) & 0xff, ata::kIdle);
  driver.set(kGlobalControl, kHbaReset);
  EXPECT_TRUE(FakeDriver::wait([&] { return (driver.get(kGlobalControl) & kHbaReset) == 0; }));
  EXPECT_EQ(driver.get(FakeDriver::at(kDisk, kCommand)), kSpinUp | kPowerOn);
}

// T7: whatever is in flight when the list is stopped, the controller reset or the machine paused, memory is
// left alone afterwards.
TEST_F(AhciTest, T7NothingIsTransferredAfterAStop) {
  std::vector<std::uint8_t> zeros(0x80000), ones(0x80000, 1);
  ASSERT_EQ(::pwrite(driver.disk_file.get(), ones.data(), ones.size(), 0), static_cast<ssize_t>(ones.size()));
  for (int round = 0; round < 60; ++round) {
    start();
    ASSERT_TRUE(driver.memory.write({kData}, std::as_bytes(std::span(zeros))));
    driver.put(kDisk, 0, FakeDriver::frame(kReadDmaExt, 0, 0x400), {{kData, 0x80000}});
    driver.issue(kDisk, 1);
    if (round % 3 == 0) {
      ASSERT_TRUE(driver.stop(kDisk));
    } else if (round % 3 == 1) {
      driver.set(kGlobalControl, kHbaReset);
      ASSERT_TRUE(FakeDriver::wait([&] { return (driver.get(kGlobalControl) & kHbaReset) == 0; }));
    } else {
      driver.controller->pause();
    }
    ASSERT_TRUE(driver.memory.write({kData}, std::as_bytes(std::span(zeros))));
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    EXPECT_EQ(in_memory(kData, zeros.size()), zeros);
    if (round % 3 == 2) driver.controller->resume();
    ASSERT_TRUE(driver.stop(kDisk));
  }
}

TEST_F(AhciTest, StateTravelsToAnotherController) {
  start();
  driver.run(kDisk, FakeDriver::frame(kFlush));
  driver.controller->pause();
  // One that was given before the machine was paused, and not begun.
  driver.put(kDisk, 4, FakeDriver::queued(ata::kReadFpdma, 4, 0, 1), {{kData, 512}});
  auto state = driver.controller->save();
  const auto function = driver.controller->save_function();
  state.ports[kDisk].active = 1 << 4;
  state.ports[kDisk].begun = 1 << 4;
  FakeDriver other;
  other.put(kDisk, 4, FakeDriver::queued(ata::kReadFpdma, 4, 0, 1), {{kData, 512}});
  other.controller->pause();
  other.controller->restore_function(function);
  other.controller->restore(state);
  other.controller->resume();
  EXPECT_TRUE(FakeDriver::wait([&] { return other.get(FakeDriver::at(kDisk, kActive)) == 0; }));
  EXPECT_EQ(other.run(kDisk, FakeDriver::frame(kReadDmaExt, 0, 1), {{kData, 512}}) & 0xff, ata::kIdle);
  // T21
  state.drives[kDisk] = std::monostate{};
  other.controller->pause();
  EXPECT_THROW(other.controller->restore(state), Error);
}

TEST_F(AhciTest, TheDriveReadsItsMedium) {
  fill_medium();
  start();
  settle();
  EXPECT_EQ(driver.packet({0x25}, 8), std::uint32_t{ata::kReady});
  const auto capacity = driver.data<std::array<std::uint8_t, 8>>();
  EXPECT_EQ(capacity[2] << 8 | capacity[3], static_cast<int>(FakeDriver::kMediumBytes / 2048 - 1));
  EXPECT_EQ(driver.packet({0x28, 0, 0, 0, 0, 3, 0, 0, 2}, 4096) & 0xff, ata::kReady);
  EXPECT_EQ(in_memory(kData, 4096), [&] {
    const auto all = pattern(FakeDriver::kMediumBytes, 3);
    return std::vector<std::uint8_t>(all.begin() + 3 * 2048, all.begin() + 5 * 2048);
  }());
  EXPECT_EQ(driver.drive_counters.read_bytes.load(), 4096u);
  EXPECT_NE(driver.packet({0x28, 0, 0, 0, 2, 0, 0, 0, 1}, 2048) & ata::kError, 0u);
  EXPECT_EQ(driver.sense(), (Sense{5, 0x21, 0}));
}

TEST_F(AhciTest, AMediumIsChangedUnderTheGuest) {
  start();
  settle();
  EXPECT_EQ(driver.packet({0}) & 0xff, ata::kReady);
  EXPECT_EQ(driver.controller->open_tray(kDrive, false), scsi::OpticalDrive::Opening::opened);
  EXPECT_NE(driver.packet({0}) & ata::kError, 0u);
  EXPECT_EQ(driver.sense(), (Sense{2, 0x3a, 2}));
  driver.controller->set_medium(kDrive, nullptr);
  driver.controller->close_tray(kDrive);
  EXPECT_NE(driver.packet({0}) & ata::kError, 0u);
  EXPECT_EQ(driver.sense(), (Sense{2, 0x3a, 1}));
  driver.controller->set_medium(kDrive, FakeDriver::image(FakeDriver::file(8192), true, true));
  EXPECT_NE(driver.packet({0}) & ata::kError, 0u);
  EXPECT_EQ(driver.sense(), (Sense{6, 0x28, 0}));
  EXPECT_EQ(driver.packet({0x25}, 8), std::uint32_t{ata::kReady});
  EXPECT_EQ(driver.data<std::uint8_t>(3), 3);
  EXPECT_EQ(driver.trays, (std::vector<bool>{true, false}));
}

TEST_F(AhciTest, ALockedTrayAsksTheGuest) {
  start();
  settle();
  EXPECT_EQ(driver.packet({0x1e, 0, 0, 0, 1}) & 0xff, ata::kReady);
  EXPECT_EQ(driver.controller->open_tray(kDrive, false), scsi::OpticalDrive::Opening::locked);
  driver.packet({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, 8);
  EXPECT_EQ(driver.data<std::uint8_t>(4), 1);  // eject request
  EXPECT_NE(driver.packet({0x1b, 0, 0, 0, 2}) & ata::kError, 0u);
  EXPECT_EQ(driver.sense(), (Sense{5, 0x53, 2}));
  driver.packet({0x1e});
  EXPECT_EQ(driver.packet({0x1b, 0, 0, 0, 2}) & 0xff, ata::kReady);
  EXPECT_EQ(driver.trays, std::vector<bool>{true});
  driver.packet({0x1b, 0, 0, 0, 3});
  driver.packet({0x1e, 0, 0, 0, 1});
  EXPECT_EQ(driver.controller->open_tray(kDrive, true), scsi::OpticalDrive::Opening::opened);
}

TEST_F(AhciTest, T5EveryRegisterTakesEveryAccess) {
  for (std::uint64_t offset = 0; offset < AhciController::kBarBytes; ++offset) {
    for (std::size_t size = 1; size <= 8 && offset + size <= AhciController::kBarBytes; ++size) {
      std::array<std::byte, 8> bytes;
      bytes.fill(std::byte{0xff});
      driver.space.write(FakeDriver::kBar + offset, std::span<const std::byte>(bytes).first(size));
      driver.space.read(FakeDriver::kBar + offset, std::span(bytes).first(size));
    }
  }
  driver.set(kGlobalControl, kHbaReset);
  EXPECT_TRUE(FakeDriver::wait([&] { return (driver.get(kGlobalControl) & kHbaReset) == 0; }));
  start();
  EXPECT_EQ(driver.run(kDisk, FakeDriver::frame(kReadDmaExt, 0, 1), {{kData, 512}}) & 0xff, ata::kIdle);
}

}  // namespace
}  // namespace warren::vmm::ahci
