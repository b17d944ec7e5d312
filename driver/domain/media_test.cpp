// CD/DVD drives: their media, their trays, and sources that are missing at a start.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr unsigned int kLive = VIR_DOMAIN_AFFECT_LIVE;
constexpr unsigned int kConfig = VIR_DOMAIN_AFFECT_CONFIG;

class MediaTest : public DriverFixture {
 protected:
  // When it returns the worker knows: what the guest does and what is asked of the worker come by two ways.
  void lock_tray() {
    auto console = driver_->open_console(caller_, test_uuid(), std::nullopt, VIR_DOMAIN_CONSOLE_FORCE);
    const std::string lines = "lock sata0-0-0\nand say so\n";
    ASSERT_EQ(console->write_some(std::as_bytes(std::span(lines))), lines.size());
    bool said = false;
    console->wait_readable([&] { said = true; });
    ASSERT_TRUE(run_until([&] { return said; }));
  }

  void SetUp() override {
    for (const char* name : {"one.iso", "two.iso"}) {
      std::ofstream(root_ / name).close();
      std::filesystem::resize_file(root_ / name, 1 << 16);
    }
    for (int id : {VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, VIR_DOMAIN_EVENT_ID_DISK_CHANGE}) {
      driver_->subscribe(id, {}, [this](const DomainEvent& event) {
        if (const auto* tray = std::get_if<TrayChangeEvent>(&event.body))
          told_.push_back(fmt::format("tray {} {}", tray->alias, tray->reason));
        if (const auto* disk = std::get_if<DiskChangeEvent>(&event.body))
          told_.push_back(
              fmt::format("disk {} {} {}", disk->alias, disk->new_source.has_value(), disk->reason));
      });
    }
  }
  std::string drive(const std::string& source, const std::string& policy = "") const {
    const std::string inner =
        source.empty() ? "" : fmt::format("<source file='{}' {}/>", (root_ / source).string(), policy);
    return fmt::format("<disk type='file' device='cdrom'>{}<target dev='sda' bus='sata'/></disk>", inner);
  }
  std::string with_drive(const std::string& drive, const std::string& words = "") const {
    std::string text = xml("test", kTestUuid, "", words);
    text.insert(text.find("<serial"), drive);
    return text;
  }
  std::string update(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->update_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string attach(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string live() { return driver_->xml(caller_, test_uuid(), 0); }
  std::string persistent() { return driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE); }
  bool wait_until_told(std::size_t count) {
    return run_until([&] { return told_.size() >= count; });
  }
  std::vector<std::string> told_;
};

TEST_F(MediaTest, AMediumComesGoesAndIsToldOf) {
  ASSERT_EQ(define(with_drive(drive(""))), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(update(drive("one.iso"), kLive), "");
  ASSERT_TRUE(wait_until_told(2));
  EXPECT_THAT(told_, ElementsAre("tray sata0-0-0 0", "tray sata0-0-0 1"));
  EXPECT_THAT(live(), HasSubstr("one.iso"));
  EXPECT_THAT(live(), Not(HasSubstr("tray=")));
  EXPECT_THAT(persistent(), Not(HasSubstr("one.iso")));
  ASSERT_EQ(update(drive("two.iso"), kLive | kConfig), "");
  EXPECT_THAT(live(), HasSubstr("two.iso"));
  EXPECT_THAT(persistent(), HasSubstr("two.iso"));
  ASSERT_EQ(update(drive(""), kLive), "");
  EXPECT_THAT(live(), Not(HasSubstr(".iso")));
  // By the older way, too; and what changes nothing moves no tray.
  ASSERT_EQ(attach(drive("one.iso"), kLive), "");
  EXPECT_THAT(live(), HasSubstr("one.iso"));
  ASSERT_TRUE(wait_until_told(8));
  ASSERT_EQ(update(drive("one.iso"), kLive), "");
  EXPECT_EQ(told_.size(), 8u);
  EXPECT_THAT(attach(drive("one.iso"), kConfig), HasSubstr("already exists"));
}

TEST_F(MediaTest, WhatIsRefusedLeavesTheMedium) {
  ASSERT_EQ(create(with_drive(drive("one.iso"), "refuse-medium")), "");
  const std::string before = live();
  EXPECT_THAT(update(drive("two.iso"), kLive), HasSubstr("told to refuse"));
  EXPECT_EQ(live(), before);
  EXPECT_THAT(update(drive("three.iso"), kLive), HasSubstr("three.iso"));
  EXPECT_EQ(last_code_, VIR_ERR_SYSTEM_ERROR);
  EXPECT_EQ(live(), before);
  EXPECT_THAT(attach("<disk device='cdrom'><target dev='sdb' bus='sata'/></disk>", kLive),
              HasSubstr("CD/DVD drive is not supported"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_THAT(attach(fmt::format("<disk type='file'><source file='{}'/><target dev='sdb' bus='sata'/></disk>",
                                 (root_ / "two.iso").string()),
                     kLive),
              HasSubstr("cannot be hotplugged"));
  EXPECT_EQ(live(), before);
}

TEST_F(MediaTest, ALockedTrayIsWaitedForOrForced) {
  ASSERT_EQ(create(with_drive(drive("one.iso"))), "");
  lock_tray();
  EXPECT_THAT(update(drive("two.iso"), kLive), HasSubstr("locked by the guest"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  EXPECT_THAT(live(), HasSubstr("one.iso"));
  ASSERT_EQ(update(drive("two.iso"), kLive | VIR_DOMAIN_DEVICE_MODIFY_FORCE), "");
  EXPECT_THAT(live(), HasSubstr("two.iso"));
}

TEST_F(MediaTest, DestroyDoesNotWaitForALockedTray) {
  ASSERT_EQ(create(with_drive(drive("one.iso"))), "");
  lock_tray();
  std::optional<std::expected<void, Error>> answer;
  driver_->update_device(
      caller_, test_uuid(), drive("two.iso"), kLive,
      Completion<void>([&](std::expected<void, Error> result) { answer = std::move(result); }));
  run_until([&] { return answer.has_value(); }, std::chrono::milliseconds(300));
  ASSERT_FALSE(answer);
  std::optional<std::expected<void, Error>> destroyed;
  driver_->destroy(caller_, test_uuid(), 0, Completion<void>([&](std::expected<void, Error> result) {
                     destroyed = std::move(result);
                   }));
  // The guest has 5 s for its tray.
  EXPECT_TRUE(run_until([&] { return answer && destroyed; }, std::chrono::seconds(3)));
  ASSERT_TRUE(run_until([&] { return answer && destroyed; }));
  EXPECT_FALSE(*answer);
  EXPECT_TRUE(*destroyed);
}

TEST_F(MediaTest, AGuestThatOpensItsTrayIsGivenTheMedium) {
  ASSERT_EQ(create(with_drive(drive("one.iso"))), "");
  lock_tray();
  std::optional<std::expected<void, Error>> answer;
  driver_->update_device(
      caller_, test_uuid(), drive("two.iso"), kLive,
      Completion<void>([&](std::expected<void, Error> result) { answer = std::move(result); }));
  run_until([&] { return answer.has_value(); }, std::chrono::milliseconds(500));
  ASSERT_FALSE(answer);
  tell_guest("open-tray sata0-0-0");
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  EXPECT_TRUE(*answer);
  EXPECT_THAT(live(), HasSubstr("two.iso"));
}

TEST_F(MediaTest, AnOpenTrayIsShownAndOutlivesTheDaemon) {
  ASSERT_EQ(create(with_drive(drive("one.iso"))), "");
  tell_guest("open-tray sata0-0-0");
  ASSERT_TRUE(wait_until_told(1));
  EXPECT_THAT(live(), HasSubstr("<target dev='sda' bus='sata' tray='open'/>"));
  start_daemon();
  ASSERT_TRUE(run_until([&] { return live().find("tray='open'") != std::string::npos; }));
  // Closed while nobody looked.
  tell_guest("close-tray sata0-0-0");
  ASSERT_TRUE(run_until([&] { return live().find("tray='open'") == std::string::npos; }));
}

TEST_F(MediaTest, AMissingSourceIsLeftOutWhereItMayBe) {
  EXPECT_THAT(create(with_drive(drive("none.iso"))), HasSubstr("none.iso"));
  EXPECT_THAT(create(with_drive(drive("none.iso", "startupPolicy='requisite'"))), HasSubstr("none.iso"));
  const std::string disk = fmt::format(
      "<disk type='file'><source file='{}' startupPolicy='optional'/><target dev='vdb' bus='virtio'/></disk>",
      (root_ / "none.img").string());
  ASSERT_EQ(define(with_drive(drive("none.iso", "startupPolicy='optional'") + disk)), "");
  ASSERT_EQ(start(), "");
  ASSERT_TRUE(wait_until_told(2));
  EXPECT_THAT(told_, ElementsAre("disk sata0-0-0 false 0", "disk vdb false 1"));
  EXPECT_THAT(live(), Not(HasSubstr("none.iso")));
  EXPECT_THAT(live(), Not(HasSubstr("vdb")));
  EXPECT_THAT(persistent(), HasSubstr("none.iso"));
  EXPECT_THAT(persistent(), HasSubstr("vdb"));
}

TEST_F(MediaTest, AnEmptyDriveHasFiguresButNoSize) {
  ASSERT_EQ(create(with_drive(drive(""))), "");
  EXPECT_THAT(wait<BlockInfo>(
                  [&](auto done) { driver_->block_info(caller_, test_uuid(), "sda", 0, std::move(done)); }),
              HasSubstr("does not currently have a source assigned"));
  EXPECT_EQ(driver_->block_statistics(caller_, test_uuid(), "sda").read_requests, 0);
}

}  // namespace
}  // namespace warren::driver::domain
