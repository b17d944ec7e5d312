// Guests that go to sleep, with a fake worker whose guest does so when its console says so.
#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SleepTest : public DriverFixture {
 protected:
  // What is told of sleep besides the lifecycle, in its order with it.
  void subscribe() {
    for (int id :
         {VIR_DOMAIN_EVENT_ID_PMSUSPEND, VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, VIR_DOMAIN_EVENT_ID_PMWAKEUP}) {
      driver_->subscribe(id, {},
                         [this, id](const DomainEvent& event) { events_.push_back(describe(id, event)); });
    }
    events_.clear();
  }
  static std::string told(int id) { return fmt::format("test:id{}", id); }
  std::string wake() {
    return wait<void>([&](auto done) { driver_->wake_guest(caller_, test_uuid(), 0, std::move(done)); });
  }
  std::string suspend_guest(unsigned int target) {
    return wait<void>(
        [&](auto done) { driver_->suspend_guest(caller_, test_uuid(), target, 0, 0, std::move(done)); });
  }
  void fall_asleep() {
    tell_guest("sleep");
    ASSERT_TRUE(wait_for_state(VIR_DOMAIN_PMSUSPENDED));
  }

  const std::string asleep_ = lifecycle(VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
  const std::string woken_ = lifecycle(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_WAKEUP);
};

TEST_F(SleepTest, AGuestSleepsUntilItIsWoken) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_THAT(wake(), HasSubstr("not in suspended state"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  subscribe();
  fall_asleep();
  EXPECT_EQ(state().reason, VIR_DOMAIN_PMSUSPENDED_UNKNOWN);
  EXPECT_THAT(events_, ElementsAre(told(VIR_DOMAIN_EVENT_ID_PMSUSPEND), asleep_));
  events_.clear();
  ASSERT_EQ(wake(), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(state().reason, VIR_DOMAIN_RUNNING_WAKEUP);
  ASSERT_TRUE(wait_for_event(woken_));
  EXPECT_THAT(events_, ElementsAre(told(VIR_DOMAIN_EVENT_ID_PMWAKEUP), woken_));
}

TEST_F(SleepTest, ItsOwnAlarmWakesAGuest) {
  ASSERT_EQ(create(xml()), "");
  fall_asleep();
  subscribe();
  tell_guest("alarm");
  ASSERT_TRUE(wait_for_event(woken_));
  EXPECT_EQ(state().reason, VIR_DOMAIN_RUNNING_WAKEUP);
}

TEST_F(SleepTest, WhatNeedsAGuestThatIsAwakeIsRefused) {
  ASSERT_EQ(create(xml("test", kTestUuid, "", "refuse-wake")), "");
  fall_asleep();
  subscribe();
  EXPECT_EQ(suspend(), "Requested operation is not valid: domain is pmsuspended");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_THAT(resume(), HasSubstr("domain is pmsuspended"));
  EXPECT_THAT(wait<void>([&](auto done) { driver_->reset(caller_, test_uuid(), 0, std::move(done)); }),
              HasSubstr("domain is pmsuspended"));
  EXPECT_THAT(wait<void>([&](auto done) { driver_->shutdown(caller_, test_uuid(), 0, std::move(done)); }),
              HasSubstr("domain is not running"));
  EXPECT_THAT(start(), HasSubstr("domain is already running"));
  EXPECT_THAT(wake(), HasSubstr("told to refuse"));
  EXPECT_EQ(state().state, VIR_DOMAIN_PMSUSPENDED);
  EXPECT_THAT(events_, IsEmpty());
  std::vector<std::uint8_t> bytes;
  EXPECT_EQ(wait<std::vector<std::uint8_t>>(
                [&](auto done) {
                  driver_->memory_peek(caller_, test_uuid(), 0, 4, VIR_MEMORY_PHYSICAL, std::move(done));
                },
                &bytes),
            "");
  EXPECT_EQ(destroy(), "");
}

// T14: the next daemon finds the guest asleep, or hears of what it did meanwhile.
TEST_F(SleepTest, T14ANewDaemonFindsTheGuestAsleep) {
  ASSERT_EQ(create(xml()), "");
  fall_asleep();
  start_daemon();
  EXPECT_EQ(state().state, VIR_DOMAIN_PMSUSPENDED);
  EXPECT_THAT(events_, IsEmpty());
  ASSERT_EQ(wake(), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
}

TEST_F(SleepTest, AGuestThatHibernatesIsShutOff) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  subscribe();
  tell_guest("hibernate");
  ASSERT_TRUE(run_until([&] { return is_shut_off(); }));
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
  EXPECT_THAT(events_, ElementsAre(told(VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK),
                                   lifecycle(VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_DISK),
                                   lifecycle(VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST),
                                   lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN)));
}

TEST_F(SleepTest, StatesThatAreDisabledAreNotAskedFor) {
  ASSERT_EQ(create(xml("test", kTestUuid,
                       "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>")),
            "");
  EXPECT_THAT(suspend_guest(VIR_NODE_SUSPEND_TARGET_MEM), HasSubstr("S3 state is disabled for this domain"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_THAT(suspend_guest(VIR_NODE_SUSPEND_TARGET_HYBRID), HasSubstr("S3 state is disabled"));
  EXPECT_THAT(suspend_guest(VIR_NODE_SUSPEND_TARGET_DISK), HasSubstr("S4 state is disabled"));
  ASSERT_EQ(destroy(), "");
  ASSERT_EQ(create(xml()), "");
  EXPECT_THAT(suspend_guest(VIR_NODE_SUSPEND_TARGET_MEM), HasSubstr("agent is not configured"));
}

}  // namespace
}  // namespace warren::driver::domain
