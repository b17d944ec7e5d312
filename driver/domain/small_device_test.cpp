// The balloon of a running domain, with a fake worker that says what it is told.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kMebibyte = 1024;  // in KiB

class SmallDeviceTest : public DriverFixture {
 protected:
  void subscribe() {
    driver_->subscribe(VIR_DOMAIN_EVENT_ID_WATCHDOG, {}, [this](const DomainEvent& event) {
      expired_.push_back(std::get<WatchdogEvent>(event.body).action);
    });
    driver_->subscribe(VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, {}, [this](const DomainEvent& event) {
      told_.push_back(std::get<BalloonChangeEvent>(event.body).actual_kib);
    });
  }
  std::string set_memory(std::uint64_t kib, unsigned int flags) {
    return wait<void>(
        [&](auto done) { driver_->set_memory(caller_, test_uuid(), kib, flags, std::move(done)); });
  }
  std::string set_period(std::int32_t seconds, unsigned int flags) {
    return wait<void>([&](auto done) {
      driver_->set_memory_statistics_period(caller_, test_uuid(), seconds, flags, std::move(done));
    });
  }
  // The last thing that the worker was asked to do, which its guest's memory holds.
  std::string last_request() {
    std::vector<std::uint8_t> bytes;
    EXPECT_EQ(wait<std::vector<std::uint8_t>>(
                  [&](auto done) {
                    driver_->memory_peek(caller_, test_uuid(), 0, 40, VIR_MEMORY_PHYSICAL, std::move(done));
                  },
                  &bytes),
              "");
    return reinterpret_cast<const char*>(bytes.data());  // text with zeros behind it
  }
  std::uint64_t used_kib() { return driver_->info(caller_, test_uuid()).memory_kib; }
  std::string dump(unsigned int flags) { return driver_->xml(caller_, test_uuid(), flags); }
  std::string without_balloon() {
    std::string text = xml();
    return text.insert(text.find("</devices>"), "<memballoon model='none'/>");
  }

  std::string with_devices(const std::string& devices, const std::string& extra = "") {
    std::string text = xml("test", kTestUuid, extra, "quick-dump");
    return text.insert(text.find("</devices>"), devices);
  }
  std::size_t cores() const {
    std::error_code none;
    std::size_t count = 0;
    for (auto at = std::filesystem::directory_iterator(root_ / "dump", none);
         at != std::filesystem::directory_iterator(); ++at)
      ++count;
    return count;
  }

  std::vector<std::uint64_t> told_;
  std::vector<int> expired_;
};

TEST_F(SmallDeviceTest, TheGuestIsAskedForMemoryAndTellsWhatItHas) {
  ASSERT_EQ(define(xml("test", kTestUuid, "<currentMemory unit='MiB'>100</currentMemory>")), "");
  EXPECT_EQ(used_kib(), 100 * kMebibyte);
  ASSERT_EQ(start(), "");
  subscribe();
  EXPECT_EQ(used_kib(), 128 * kMebibyte) << "all of it, until its driver has come up";
  ASSERT_EQ(set_memory(64 * kMebibyte, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(last_request(), "balloon 67108864");
  EXPECT_EQ(used_kib(), 128 * kMebibyte);
  tell_guest("balloon 73400320");
  ASSERT_TRUE(run_until([&] { return !told_.empty(); }));
  EXPECT_THAT(told_, ElementsAre(70 * kMebibyte));
  EXPECT_EQ(used_kib(), 70 * kMebibyte);
  EXPECT_THAT(dump(0), HasSubstr("<currentMemory unit='KiB'>71680</currentMemory>"));
  EXPECT_THAT(dump(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<currentMemory unit='KiB'>102400</currentMemory>"));
  // What a guest says that has nothing to say is kept within its limits.
  tell_guest("balloon 99999999999");
  ASSERT_TRUE(run_until([&] { return told_.size() == 2; }));
  EXPECT_EQ(used_kib(), 128 * kMebibyte);
  EXPECT_NE(set_memory(129 * kMebibyte, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_NE(set_memory(64 * kMebibyte, unsigned{VIR_DOMAIN_AFFECT_LIVE} | VIR_DOMAIN_MEM_MAXIMUM), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(set_memory(32 * kMebibyte, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_THAT(dump(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<currentMemory unit='KiB'>32768</currentMemory>"));
}

// T14: what the guest did while no daemon was there is known to the next one.
TEST_F(SmallDeviceTest, T14ANewDaemonFindsWhatTheGuestHas) {
  ASSERT_EQ(create(xml()), "");
  tell_guest("balloon 73400320");
  ASSERT_TRUE(run_until([&] { return used_kib() == 70 * kMebibyte; }));
  start_daemon();
  EXPECT_EQ(used_kib(), 70 * kMebibyte);
}

TEST_F(SmallDeviceTest, StatisticsAreTheGuestsInLibvirtsUnits) {
  ASSERT_EQ(create(xml()), "");
  std::vector<std::pair<int, std::uint64_t>> found;
  for (const auto& each : driver_->memory_statistics(caller_, test_uuid(), 0))
    if (each.tag != VIR_DOMAIN_MEMORY_STAT_RSS) found.emplace_back(each.tag, each.value);
  EXPECT_THAT(found, ElementsAre(std::pair(int{VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON}, 128 * kMebibyte),
                                 std::pair(int{VIR_DOMAIN_MEMORY_STAT_SWAP_OUT}, 2u),
                                 std::pair(int{VIR_DOMAIN_MEMORY_STAT_UNUSED}, 64 * kMebibyte),
                                 std::pair(int{VIR_DOMAIN_MEMORY_STAT_AVAILABLE}, 120 * kMebibyte),
                                 std::pair(int{VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE}, 1'600'000'000u)));
  std::vector<DomainStatistics> groups;
  ASSERT_EQ(wait<std::vector<DomainStatistics>>(
                [&](auto done) {
                  driver_->domain_statistics(caller_, {test_uuid()}, VIR_DOMAIN_STATS_BALLOON, 0,
                                             std::move(done));
                },
                &groups),
            "");
  ASSERT_EQ(groups.size(), 1u);
  std::vector<std::string> fields;
  for (const auto& parameter : groups[0].parameters) fields.push_back(parameter.field);
  EXPECT_THAT(fields, ElementsAre("balloon.current", "balloon.maximum", "balloon.swap_out", "balloon.unused",
                                  "balloon.available", "balloon.last-update", "balloon.rss"));
}

TEST_F(SmallDeviceTest, ThePeriodIsSetLiveAndForGood) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(set_period(5, VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_THAT(dump(0), HasSubstr("<stats period='5'/>"));
  ASSERT_EQ(start(), "");
  ASSERT_EQ(set_period(7, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(last_request(), "balloon-period 7");
  EXPECT_THAT(dump(0), HasSubstr("<stats period='7'/>"));
  EXPECT_THAT(dump(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<stats period='5'/>"));
  EXPECT_NE(set_period(13, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "") << "the worker refuses";
  EXPECT_THAT(dump(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<stats period='5'/>")) << "so nothing has changed";
  EXPECT_EQ(last_request(), "balloon-period 7");
  ASSERT_EQ(set_period(0, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_THAT(dump(0), Not(HasSubstr("<stats")));
  EXPECT_NE(set_period(-1, 0), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
}

TEST_F(SmallDeviceTest, WithoutABalloonNothingIsAsked) {
  ASSERT_EQ(create(without_balloon()), "");
  EXPECT_NE(set_memory(64 * kMebibyte, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(set_period(5, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(driver_->memory_statistics(caller_, test_uuid(), 0).front().value, 128 * kMebibyte);
  EXPECT_EQ(driver_->memory_statistics(caller_, test_uuid(), 0).size(), 2u);
}

TEST_F(SmallDeviceTest, AWatchdogPausesAndTheDomainSaysWhy) {
  ASSERT_EQ(create(with_devices("<watchdog model='i6300esb' action='pause'/>")), "");
  subscribe();
  tell_guest("watchdog pause");
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_PAUSED));
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_WATCHDOG);
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG)));
  EXPECT_THAT(expired_, ElementsAre(int{VIR_DOMAIN_EVENT_WATCHDOG_PAUSE}));
  ASSERT_EQ(resume(), "");
  tell_guest("watchdog reset");
  ASSERT_TRUE(run_until([&] { return expired_.size() == 2; }));
  EXPECT_EQ(expired_.back(), VIR_DOMAIN_EVENT_WATCHDOG_RESET);
  EXPECT_TRUE(wait_for_event("test:id1")) << "a reboot";
  tell_guest("watchdog poweroff");
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED)));
  EXPECT_EQ(expired_.back(), VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF);
}

TEST_F(SmallDeviceTest, MemoryThatFailsIsToldOf) {
  std::vector<MemoryFailureEvent> told;
  driver_->subscribe(VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE, {}, [&told](const DomainEvent& event) {
    told.push_back(std::get<MemoryFailureEvent>(event.body));
  });
  ASSERT_EQ(create(xml()), "");
  tell_guest("bad-memory");
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  EXPECT_EQ(told[0].recipient, VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_GUEST);
  EXPECT_EQ(told[0].action, VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_INJECT);
  EXPECT_EQ(told[0].flags, VIR_DOMAIN_MEMORY_FAILURE_ACTION_REQUIRED);
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
}

TEST_F(SmallDeviceTest, AWatchdogsDumpLeavesACoreAndTheGuestGoesOn) {
  ASSERT_EQ(create(with_devices("<watchdog model='i6300esb' action='dump'/>")), "");
  tell_guest("watchdog pause");
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED)));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(cores(), 1u);
}

TEST_F(SmallDeviceTest, ACrashMayLeaveACore) {
  ASSERT_EQ(create(with_devices("<panic model='isa'/>", "<on_crash>coredump-destroy</on_crash>")), "");
  EXPECT_THAT(dump(0), HasSubstr("<on_crash>coredump-destroy</on_crash>"));
  tell_guest("crash the guest's kernel panicked");
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED)));
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED)));
  EXPECT_EQ(cores(), 1u);
}

// T12: a core that cannot be written changes nothing of what becomes of the domain.
TEST_F(SmallDeviceTest, T12ACoreThatCannotBeWrittenIsLogged) {
  std::ofstream(root_ / "dump") << "in the way";
  ASSERT_EQ(create(with_devices("<panic/>", "<on_crash>coredump-destroy</on_crash>")), "");
  tell_guest("crash the guest's kernel panicked");
  EXPECT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED)));
  EXPECT_THAT(log_, HasSubstr("its core cannot be written"));
}

}  // namespace
}  // namespace warren::driver::domain
