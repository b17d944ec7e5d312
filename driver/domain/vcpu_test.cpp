// vCPUs that come to and go from a running domain.
#include <gmock/gmock.h>

#include "driver/config/domain_xml.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class VcpuTest : public DriverFixture {
 protected:
  // 2 of 4 vCPUs.
  std::string four(const std::string& words = "") {
    std::string text = xml("test", kTestUuid, "", words);
    const std::string whole = "<vcpu>2</vcpu>";
    return text.replace(text.find(whole), whole.size(), "<vcpu current='2'>4</vcpu>");
  }
  void run(const std::string& words = "") {
    ASSERT_EQ(define(four(words)), "");
    ASSERT_EQ(start(), "");
    driver_->subscribe(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, {}, [this](const DomainEvent& event) {
      kept_.push_back(std::get<DeviceRemovalFailedEvent>(event.body).alias);
    });
  }
  std::string set(unsigned int count, unsigned int flags = VIR_DOMAIN_AFFECT_LIVE) {
    return wait<void>(
        [&](auto done) { driver_->set_vcpus(caller_, test_uuid(), count, flags, std::move(done)); });
  }
  std::string set_states(const std::string& list, int state, unsigned int flags = VIR_DOMAIN_AFFECT_LIVE) {
    return wait<void>([&](auto done) {
      driver_->set_vcpu_states(caller_, test_uuid(), list, state, flags, std::move(done));
    });
  }
  int count(unsigned int flags) { return driver_->vcpus(caller_, test_uuid(), flags); }
  int live() { return count(VIR_DOMAIN_AFFECT_LIVE); }
  int stored() { return count(VIR_DOMAIN_AFFECT_CONFIG); }
  std::string text(unsigned int flags = 0) { return driver_->xml(caller_, test_uuid(), flags); }
  std::vector<std::uint32_t> numbers() {
    std::vector<std::uint32_t> found;
    for (const VcpuInfo& vcpu : driver_->vcpu_info(caller_, test_uuid())) found.push_back(vcpu.number);
    return found;
  }

  std::vector<std::string> kept_;
};

TEST_F(VcpuTest, TheyComeAndGo) {
  run();
  EXPECT_EQ(live(), 2);
  EXPECT_EQ(count(VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM), 4);
  EXPECT_THAT(text(), HasSubstr("<vcpu id='1' enabled='yes' hotpluggable='no' order='2'/>"));
  EXPECT_EQ(set(4), "");
  EXPECT_EQ(live(), 4);
  EXPECT_EQ(stored(), 2);
  EXPECT_THAT(text(), HasSubstr("<vcpu id='3' enabled='yes' hotpluggable='yes' order='4'/>"));
  EXPECT_THAT(text(VIR_DOMAIN_XML_INACTIVE), HasSubstr("<vcpu placement='static' current='2'>4</vcpu>"));
  EXPECT_EQ(set(3, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(live(), 3);
  EXPECT_EQ(stored(), 3);
  EXPECT_THAT(numbers(), ElementsAre(0, 1, 2));
  EXPECT_EQ(set_states("2", 0), "");
  EXPECT_EQ(set_states("3", 1, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_THAT(numbers(), ElementsAre(0, 1, 3));
  EXPECT_EQ(stored(), 4);
  EXPECT_THAT(kept_, ElementsAre());
}

TEST_F(VcpuTest, WhatCannotBeIsRefusedAndChangesNothing) {
  run();
  const std::string before = text(), persistent = text(VIR_DOMAIN_XML_INACTIVE);
  constexpr unsigned int kBoth = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
  EXPECT_THAT(set(5, kBoth), HasSubstr("5 > 4"));
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_THAT(set(1, kBoth), HasSubstr("cannot come down to 1"));
  EXPECT_THAT(set(0), HasSubstr("zero"));
  EXPECT_THAT(set(4, VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM), HasSubstr("maximum"));
  EXPECT_THAT(set_states("0", 0, kBoth), HasSubstr("vCPU 0"));
  EXPECT_THAT(set_states("1", 1, kBoth), HasSubstr("already"));
  EXPECT_THAT(set_states("4", 1, kBoth), HasSubstr("vCPU 4"));
  EXPECT_THAT(set_states("x", 1, kBoth), HasSubstr("'x'"));
  EXPECT_THAT(set_states("3", 2, kBoth), HasSubstr("state"));
  EXPECT_EQ(text(), before);
  EXPECT_EQ(text(VIR_DOMAIN_XML_INACTIVE), persistent);
}

// T15: a worker that refuses leaves both definitions as they were.
TEST_F(VcpuTest, T15AWorkerThatRefusesChangesNothing) {
  run("refuse-vcpus");
  const std::string before = text(), persistent = text(VIR_DOMAIN_XML_INACTIVE);
  EXPECT_THAT(set(4, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), HasSubstr("told to refuse"));
  EXPECT_EQ(text(), before);
  EXPECT_EQ(text(VIR_DOMAIN_XML_INACTIVE), persistent);
}

TEST_F(VcpuTest, AGuestMayRefuseToLetGo) {
  run("keep-vcpus");
  ASSERT_EQ(set(4), "");
  std::optional<std::expected<void, Error>> answer;
  driver_->set_vcpus(caller_, test_uuid(), 3, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG,
                     [&](auto result) { answer = std::move(result); });
  run_until([] { return false; }, std::chrono::milliseconds(50));
  EXPECT_FALSE(answer.has_value());
  tell_guest("keep-vcpu 3");
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  ASSERT_FALSE(answer->has_value());
  EXPECT_EQ(answer->error().code(), VIR_ERR_OPERATION_FAILED);
  EXPECT_THAT(answer->error().message(), HasSubstr("refuses to let go of vCPU 3"));
  EXPECT_THAT(kept_, ElementsAre("vcpu3"));
  EXPECT_EQ(live(), 4);
  EXPECT_EQ(stored(), 2);
  // It may change its mind.
  tell_guest("let-go-vcpu 3");
  EXPECT_TRUE(run_until([&] { return live() == 3; }));
}

TEST_F(VcpuTest, AGuestThatDoesNotAnswerIsNotWaitedForForGood) {
  run("keep-vcpus");
  ASSERT_EQ(set(4), "");
  EXPECT_THAT(set(2, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG),
              HasSubstr("has not let go of vCPU 3"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_TIMEOUT);
  EXPECT_EQ(live(), 4);
  EXPECT_EQ(stored(), 2);
  std::optional<std::expected<void, Error>> answer;
  driver_->set_vcpus(caller_, test_uuid(), 2, VIR_DOMAIN_AFFECT_LIVE,
                     [&](auto result) { answer = std::move(result); });
  EXPECT_EQ(destroy(), "");
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  EXPECT_FALSE(answer->has_value()) << "nobody waits for a guest that is gone";
}

// T14: a daemon that comes back finds what is there, whatever was written down.
TEST_F(VcpuTest, T14ADaemonThatComesBackBelievesTheWorker) {
  run("keep-vcpus");
  ASSERT_EQ(set_states("3", 1), "");
  start_daemon();
  EXPECT_THAT(numbers(), ElementsAre(0, 1, 3));
  EXPECT_THAT(text(), HasSubstr("<vcpu id='3' enabled='yes' hotpluggable='yes' order='3'/>"));
}

TEST_F(VcpuTest, T14AWorkerThatDiesWhenAskedLeavesTheDefinition) {
  run("exit-at-plug");
  EXPECT_THAT(set(4, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), Not(testing::IsEmpty()));
  EXPECT_TRUE(wait_for_state(VIR_DOMAIN_SHUTOFF));
  EXPECT_EQ(stored(), 2);
}

TEST_F(VcpuTest, OnesThatAreNotThereCanBePinned) {
  run();
  const auto pin = [&](std::uint32_t number) {
    return wait<void>([&](auto done) {
      driver_->pin(caller_, test_uuid(), {PinnedThreads::vcpu, number, {1}}, VIR_DOMAIN_AFFECT_LIVE,
                   std::move(done));
    });
  };
  EXPECT_EQ(pin(3), "");
  EXPECT_THAT(pin(4), HasSubstr("out of range"));
  EXPECT_EQ(driver_->vcpu_pins(caller_, test_uuid(), VIR_DOMAIN_AFFECT_LIVE).size(), 4U);
  EXPECT_EQ(set_states("3", 1), "");
}

TEST_F(VcpuTest, ADefinitionAlone) {
  ASSERT_EQ(define(four()), "");
  constexpr unsigned int kConfig = VIR_DOMAIN_AFFECT_CONFIG;
  EXPECT_EQ(set(3, kConfig | VIR_DOMAIN_VCPU_HOTPLUGGABLE), "");
  EXPECT_THAT(text(), HasSubstr("<vcpu id='2' enabled='yes' hotpluggable='yes'/>"));
  EXPECT_EQ(set_states("2", 0, kConfig), "");
  EXPECT_EQ(set(2, kConfig), "");
  EXPECT_THAT(text(), Not(HasSubstr("<vcpus>")));
  EXPECT_EQ(set(6, kConfig | VIR_DOMAIN_VCPU_MAXIMUM), "");
  EXPECT_EQ(count(kConfig | VIR_DOMAIN_VCPU_MAXIMUM), 6);
  EXPECT_THAT(set(3), HasSubstr("not running"));
}

}  // namespace
}  // namespace warren::driver::domain
