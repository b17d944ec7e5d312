#include "driver/nftables/ruleset_monitor.h"

#include <chrono>
#include <cstdlib>
#include <thread>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include "driver/nftables/generation.h"
#include "driver/nftables/message.h"
#include "driver/nftables/transaction.h"

namespace warren::driver::nftables {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kOurs = "inet warren_test";

json::array rules() {
  return {{{"add", {{"table", {{"family", "inet"}, {"name", "warren_test"}}}}}},
          {{"add", {{"chain", {{"family", "inet"}, {"table", "warren_test"}, {"name", "one"}}}}}}};
}

void somebody(const std::string& words) {
  ASSERT_EQ(std::system(("nft " + words).c_str()), 0);
}

// A network name space of its own: nothing of the host's is touched.
class RulesetMonitorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    apply(rules(), "test");
  }
  static std::set<std::string> news(RulesetMonitor& monitor) {
    monitor.read();
    return monitor.changed_by_others();
  }
};

TEST_F(RulesetMonitorTest, OurOwnChangesAreNoNews) {
  RulesetMonitor monitor({kOurs});
  apply(rules(), "test");
  apply({{{"delete", {{"table", {{"family", "inet"}, {"name", "warren_test"}}}}}}}, "test");
  monitor.read();
  EXPECT_TRUE(monitor.has_news());
  EXPECT_THAT(monitor.changed_by_others(), IsEmpty());
  EXPECT_FALSE(monitor.has_news());
}

TEST_F(RulesetMonitorTest, TellsOfAFlushByOthers) {
  RulesetMonitor monitor({kOurs});
  somebody("flush ruleset");
  EXPECT_THAT(news(monitor), ElementsAre(kOurs));
  EXPECT_THAT(news(monitor), IsEmpty()) << "each is told once";
  apply(rules(), "test");
  EXPECT_THAT(news(monitor), IsEmpty());
  somebody("delete chain inet warren_test one");
  EXPECT_THAT(news(monitor), ElementsAre(kOurs));
}

TEST_F(RulesetMonitorTest, TablesOfOthersAreTheirs) {
  RulesetMonitor monitor({kOurs});
  somebody("add table ip warren_test");
  somebody("add table inet other");
  somebody("delete table inet other");
  EXPECT_THAT(news(monitor), IsEmpty());
}

TEST_F(RulesetMonitorTest, WaitsForItsOwnToEnd) {
  RulesetMonitor monitor({kOurs});
  {
    OwnTransaction transaction;
    somebody("add chain inet warren_test two");  // in its name
    EXPECT_THAT(news(monitor), IsEmpty());
    EXPECT_TRUE(monitor.has_news());
    transaction.applied();
  }
  EXPECT_THAT(news(monitor), IsEmpty());
  EXPECT_FALSE(monitor.has_news());
}

TEST_F(RulesetMonitorTest, WhatCameInBetweenIsNotTakenForOurs) {
  RulesetMonitor monitor({kOurs});
  {
    OwnTransaction transaction;
    somebody("add chain inet warren_test two");
    somebody("flush ruleset");
    transaction.applied();
  }
  EXPECT_THAT(news(monitor), ElementsAre(kOurs));
}

TEST_F(RulesetMonitorTest, FindsOutWhatItWasNotTold) {
  RulesetMonitor monitor({kOurs});
  const int smallest = 1;
  ASSERT_EQ(::setsockopt(monitor.descriptor(), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest), 0);
  for (int i = 0; i < 20; ++i) apply(rules(), "test");
  EXPECT_THAT(news(monitor), IsEmpty()) << "all of it was ours";
  for (int i = 0; i < 20; ++i) apply(rules(), "test");
  somebody("flush ruleset");
  EXPECT_THAT(news(monitor), ElementsAre(kOurs));
  EXPECT_FALSE(monitor.has_news());
}

TEST(RulesetMessages, OfWhatIsCutOffOrNotTheirsAreNone) {
  EXPECT_THAT(ruleset_messages({}), IsEmpty());
  const std::vector<std::uint8_t> short_one{40, 0, 0, 0, 0x0f, 0x0a, 0, 0};
  EXPECT_THAT(ruleset_messages(short_one), IsEmpty());
  std::vector<std::uint8_t> no_number(20, 0);
  no_number[0] = 20;
  no_number[4] = 0x0f;
  no_number[5] = 0x0a;
  EXPECT_THAT(ruleset_messages(no_number), IsEmpty());
  std::vector<std::uint8_t> attribute_too_long(28, 0);
  attribute_too_long[0] = 28;
  attribute_too_long[5] = 0x0a;
  attribute_too_long[16] = 1;    // inet
  attribute_too_long[20] = 200;  // bytes
  attribute_too_long[22] = 1;
  ASSERT_EQ(ruleset_messages(attribute_too_long).size(), 1u);
  EXPECT_EQ(ruleset_messages(attribute_too_long)[0].table, "");
}

}  // namespace
}  // namespace warren::driver::nftables
