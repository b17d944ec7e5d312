// Disks of a running domain: faults, limits, sizes and thresholds, with a fake worker that says what it is
// told.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "driver/domain/disk_parameters.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DiskTest : public DriverFixture {
 protected:
  void subscribe() {
    for (int id : {VIR_DOMAIN_EVENT_ID_IO_ERROR, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                   VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD, VIR_DOMAIN_EVENT_ID_TUNABLE}) {
      driver_->subscribe(id, {}, [this, id](const DomainEvent& event) { told_.push_back(tell(id, event)); });
    }
  }
  static std::string tell(int id, const DomainEvent& event) {
    if (const auto* error = std::get_if<IoErrorEvent>(&event.body)) {
      return fmt::format("{} {} {} {}", id == VIR_DOMAIN_EVENT_ID_IO_ERROR ? "error" : "reason",
                         error->device_alias, error->action, error->reason);
    }
    if (const auto* crossed = std::get_if<BlockThresholdEvent>(&event.body))
      return fmt::format("threshold {} {} {}", crossed->device, crossed->threshold, crossed->excess);
    if (const auto* tuned = std::get_if<TunableEvent>(&event.body)) {
      std::string text = "tuned";
      for (const auto& parameter : tuned->parameters) text += " " + parameter.field;
      return text;
    }
    return "?";
  }
  std::string tune(TypedParameters parameters, unsigned int flags = 0) {
    return wait<void>([&](auto done) {
      driver_->set_block_io_tune(caller_, test_uuid(), "vda", std::move(parameters), flags, std::move(done));
    });
  }
  std::uint64_t limit(const std::string& name, unsigned int flags = 0) {
    for (const auto& parameter : driver_->block_io_tune(caller_, test_uuid(), "vda", flags))
      if (parameter.field == name) return std::get<std::uint64_t>(parameter.value);
    return 0;
  }
  std::string resize(std::uint64_t size, unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->block_resize(caller_, test_uuid(), "vda", size, flags, std::move(done)); });
  }

  std::vector<std::string> told_;
};

TEST_F(DiskTest, T12AFaultThatStopsTheGuestIsToldAndCleared) {
  ASSERT_EQ(create(xml()), "");
  subscribe();
  tell_guest("disk-fault virtio-disk0 28 stop");
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_PAUSED));
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_IOERROR);
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR)));
  EXPECT_THAT(told_, ElementsAre("error virtio-disk0 1 enospc", "reason virtio-disk0 1 enospc"));
  auto errors = driver_->disk_errors(caller_, test_uuid(), 0);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].disk, "vda");
  EXPECT_EQ(errors[0].error, VIR_DOMAIN_DISK_ERROR_NO_SPACE);
  EXPECT_THAT(driver_->messages(caller_, test_uuid(), 0), ElementsAre(HasSubstr("No space left on device")));
  // A daemon that comes later finds it so.
  start_daemon();
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_IOERROR);
  EXPECT_EQ(driver_->disk_errors(caller_, test_uuid(), 0).size(), 1u);
  ASSERT_EQ(resume(), "");
  EXPECT_TRUE(driver_->disk_errors(caller_, test_uuid(), 0).empty());
}

TEST_F(DiskTest, T12AFaultThatIsReportedLeavesTheGuestRunning) {
  ASSERT_EQ(create(xml()), "");
  subscribe();
  tell_guest("disk-fault virtio-disk0 5 report");
  ASSERT_TRUE(run_until([&] { return told_.size() == 2; }));
  EXPECT_THAT(told_, ElementsAre("error virtio-disk0 2 ", "reason virtio-disk0 2 "));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_TRUE(driver_->disk_errors(caller_, test_uuid(), 0).empty());
  EXPECT_THAT(driver_->messages(caller_, test_uuid(), 1 << 2), ElementsAre(HasSubstr("disk='vda'")));
  EXPECT_TRUE(driver_->messages(caller_, test_uuid(), VIR_DOMAIN_MESSAGE_TAINTING).empty());
}

TEST_F(DiskTest, LimitsChangeLiveAndForTheNextStart) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  subscribe();
  EXPECT_EQ(tune({{"total_bytes_sec", std::uint64_t{1000}}, {"total_bytes_sec_max", std::uint64_t{5000}}}),
            "");
  EXPECT_EQ(limit("total_bytes_sec"), 1000u);
  EXPECT_EQ(limit("total_bytes_sec_max_length"), 1u);
  EXPECT_EQ(limit("total_bytes_sec", VIR_DOMAIN_AFFECT_CONFIG), 0u);
  ASSERT_TRUE(run_until([&] { return !told_.empty(); }));
  EXPECT_EQ(told_[0],
            "tuned blkdeviotune.disk blkdeviotune.total_bytes_sec blkdeviotune.total_bytes_sec_max");
  EXPECT_EQ(tune({{"read_iops_sec", std::uint64_t{7}}}, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG),
            "");
  EXPECT_EQ(limit("total_bytes_sec"), 1000u);
  EXPECT_EQ(limit("read_iops_sec", VIR_DOMAIN_AFFECT_CONFIG), 7u);
  EXPECT_THAT(driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE),
              HasSubstr("<read_iops_sec>7</read_iops_sec>"));
  // What the worker refuses leaves both definitions as they were.
  EXPECT_THAT(tune({{"size_iops_sec", std::uint64_t{13}}}, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG),
              HasSubstr("told to refuse"));
  EXPECT_EQ(limit("size_iops_sec"), 0u);
  EXPECT_EQ(limit("size_iops_sec", VIR_DOMAIN_AFFECT_CONFIG), 0u);
}

TEST_F(DiskTest, LimitsThatContradictAreRefused) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_THAT(tune({{"total_bytes_sec", std::uint64_t{1}}, {"read_bytes_sec", std::uint64_t{1}}}),
              HasSubstr("cannot be set at the same time"));
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_THAT(tune({{"read_bytes_sec_max", std::uint64_t{1}}}), HasSubstr("if 'read_bytes_sec' is not set"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(tune({{"read_bytes_sec", ~std::uint64_t{0}}}), HasSubstr("at most 1000000000000000"));
  EXPECT_EQ(last_code_, VIR_ERR_ARGUMENT_UNSUPPORTED);
  EXPECT_THAT(tune({{"read_bytes", std::uint64_t{1}}}), HasSubstr("not supported"));
  EXPECT_THAT(tune({{"read_bytes_sec", std::int32_t{1}}}), HasSubstr("invalid type"));
  EXPECT_THAT(tune({{"read_bytes_sec", std::uint64_t{1}}}, VIR_DOMAIN_AFFECT_LIVE), HasSubstr("not running"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
}

TEST_F(DiskTest, DisksOfAGroupAreLimitedTogether) {
  config::DomainDefinition definition;
  for (const char* target : {"vda", "vdb", "vdc"}) {
    config::Disk& disk = definition.devices.disks.emplace_back();
    disk.target = target;
  }
  auto& disks = definition.devices.disks;
  change_io_tune(definition, "vda", {{"group_name", "g"}, {"total_iops_sec", std::uint64_t{100}}});
  change_io_tune(definition, "vdb", {{"group_name", "g"}});
  EXPECT_EQ(disks[1].tune, disks[0].tune);
  change_io_tune(definition, "vdb", {{"total_iops_sec", std::uint64_t{50}}});
  EXPECT_EQ(disks[0].tune.limits[3].rate, 50u);
  EXPECT_EQ(disks[2].tune, config::IoTune{});
}

TEST_F(DiskTest, ResizesInKibOrBytes) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_EQ(resize(1024), "");
  EXPECT_EQ(resize(1000, VIR_DOMAIN_BLOCK_RESIZE_BYTES), "");
  EXPECT_THAT(resize(1, VIR_DOMAIN_BLOCK_RESIZE_BYTES), HasSubstr("told to refuse"));
  EXPECT_THAT(resize(~std::uint64_t{0}), HasSubstr("size must be less than"));
  EXPECT_EQ(last_code_, VIR_ERR_OVERFLOW);
  EXPECT_THAT(resize(~std::uint64_t{0}, VIR_DOMAIN_BLOCK_RESIZE_BYTES), HasSubstr("does not fit"));
  EXPECT_EQ(wait<void>([&](auto done) {
              driver_->block_resize(caller_, test_uuid(), "vdz", 1, 0, std::move(done));
            }),
            "invalid argument: disk 'vdz' was not found in the domain config");
}

TEST_F(DiskTest, AThresholdIsToldByTarget) {
  ASSERT_EQ(create(xml()), "");
  subscribe();
  EXPECT_EQ(wait<void>([&](auto done) {
              driver_->set_block_threshold(caller_, test_uuid(), "vda", 4096, 0, std::move(done));
            }),
            "");
  tell_guest("disk-threshold virtio-disk0 4096 512");
  ASSERT_TRUE(run_until([&] { return !told_.empty(); }));
  EXPECT_EQ(told_[0], "threshold vda 4096 512");
}

// An export may be called like another disk.
TEST(DiskNames, AnExportsNameIsNoPath) {
  config::DomainDefinition domain;
  domain.devices.disks.resize(2);
  config::Disk& first = domain.devices.disks[0];
  config::Disk& second = domain.devices.disks[1];
  first.target = "vda";
  first.source = "vdb";
  first.server = config::NbdServer{.host = "h", .port = {}, .socket = {}};
  second.target = "vdb";
  second.source = "/images/b";
  EXPECT_EQ(find_disk(domain, "vdb").target, "vdb");
  EXPECT_EQ(find_disk(domain, "/images/b").target, "vdb");
  first.source = "/images/b";
  EXPECT_EQ(find_disk(domain, "/images/b").target, "vdb");
  EXPECT_THROW(find_disk(domain, "images/b"), Error);
}

}  // namespace
}  // namespace warren::driver::domain
