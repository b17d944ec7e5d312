// Devices that come to, go from and change in a domain.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr unsigned int kLive = VIR_DOMAIN_AFFECT_LIVE;
constexpr unsigned int kConfig = VIR_DOMAIN_AFFECT_CONFIG;

class DeviceTest : public DriverFixture {
 protected:
  std::string attach(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->attach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->detach_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string detach_alias(const std::string& alias, unsigned int flags = 0) {
    return wait<void>([&](auto done) {
      driver_->detach_device_alias(caller_, test_uuid(), alias, flags, std::move(done));
    });
  }
  std::string update(const std::string& device, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->update_device(caller_, test_uuid(), device, flags, std::move(done)); });
  }
  std::string disk(const std::string& target = "vdb", const std::string& extra = "") const {
    return fmt::format(
        "<disk type='file' device='disk'><source file='{}'/><target dev='{}' bus='virtio'/>{}</disk>",
        (root_ / "disk.img").string(), target, extra);
  }
  std::string persistent() { return driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE); }
};

TEST_F(DeviceTest, ADefinitionGetsAndLosesADisk) {
  ASSERT_EQ(define(xml()), "");
  const std::string before = persistent();
  ASSERT_EQ(attach(disk()), "");
  EXPECT_THAT(persistent(), HasSubstr("<target dev='vdb' bus='virtio'/>"));
  const std::string after = persistent();
  start_daemon();
  EXPECT_EQ(persistent(), after);
  EXPECT_THAT(attach(disk()), HasSubstr("vdb"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(update(disk("vdb", "<serial>s1</serial>"), kConfig), "");
  EXPECT_THAT(persistent(), HasSubstr("<serial>s1</serial>"));
  ASSERT_EQ(detach("<disk><target dev='vdb'/></disk>", kConfig), "");
  EXPECT_THAT(persistent(), Not(HasSubstr("vdb")));
  EXPECT_NE(detach("<disk><target dev='vdb'/></disk>", kConfig), "");
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
}

TEST_F(DeviceTest, WhatIsRefusedChangesNothing) {
  ASSERT_EQ(define(xml()), "");
  const std::string before = persistent();
  EXPECT_NE(attach(disk(), kLive), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_THAT(attach(disk("vdb", "<address type='pci' bus='0x09' slot='0x01'/>")), HasSubstr("slot 0"));
  EXPECT_THAT(attach(disk("vdb", "<driver iothread='7'/>")), HasSubstr("IOThread 7"));
  EXPECT_THAT(attach("<disk"), HasSubstr("device_definition"));
  EXPECT_NE(attach(disk(), 1u << 9), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_NE(detach_alias("ua-none"), "");
  EXPECT_EQ(last_code_, VIR_ERR_DEVICE_MISSING);
  EXPECT_NE(update("<serial type='pty'/>"), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_EQ(persistent(), before);
}

TEST_F(DeviceTest, ATransientDomainHasNoDefinitionToChange) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_NE(attach(disk(), kConfig), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
}

TEST_F(DeviceTest, AnAliasOfTheUsersOwnNamesADevice) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(attach(disk("vdc", "<alias name='ua-mine'/>")), "");
  ASSERT_EQ(detach_alias("ua-mine"), "");
  EXPECT_THAT(persistent(), Not(HasSubstr("vdc")));
}

TEST_F(DeviceTest, TheRunningMachineIsNotTouchedByAChangeOfTheDefinition) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const std::string live = driver_->xml(caller_, test_uuid(), 0);
  ASSERT_EQ(attach(disk(), kConfig), "");
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), 0), live);
  EXPECT_THAT(persistent(), HasSubstr("vdb"));
}

}  // namespace
}  // namespace warren::driver::domain
