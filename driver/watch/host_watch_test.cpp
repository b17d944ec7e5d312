#include "driver/watch/host_watch.h"

#include <chrono>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/link/bridge.h"
#include "driver/link/link.h"
#include "driver/link/link_fixture.h"

namespace warren::driver::watch {
namespace {

using link::said;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class HostWatchTest : public link::LinkTest {
 protected:
  HostWatchTest() = default;

  void begin() {
    watch_.emplace(loop_, [this](std::string_view line) { reports_.emplace_back(line); });
    id_ = watch_->subscribe({.links =
                                 [this](const std::vector<link::LinkEvent>& events) {
                                   events_.insert(events_.end(), events.begin(), events.end());
                                 },
                             .rules = [this](const std::string& table) { tables_.push_back(table); }});
  }
  void wait(std::chrono::milliseconds time) {
    loop_.restart();
    loop_.run_for(time);
  }
  template <typename Condition>
  void wait_until(Condition condition) {
    for (int i = 0; i < 200 && !condition(); ++i) wait(std::chrono::milliseconds(25));
    EXPECT_TRUE(condition());
  }

  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{loop_.get_executor()};
  std::vector<link::LinkEvent> events_;
  std::vector<std::string> tables_, reports_;
  std::optional<HostWatch> watch_;
  std::uint64_t id_ = 0;
};

TEST_F(HostWatchTest, TellsOfLinks) {
  begin();
  link::create_bridge({.name = "br0"});
  said("ip link delete br0");
  wait_until([this] { return events_.size() >= 2; });
  EXPECT_THAT(events_, ElementsAre(link::LinkAdded{"br0"}, link::LinkRemoved{"br0"}));
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(HostWatchTest, TellsOnceOfRulesThatGo) {
  said("nft add table inet warren_network");
  said("nft add table bridge warren_nwfilter");
  begin();
  said("nft flush ruleset");
  said("nft add table inet warren_network");
  said("nft flush ruleset");
  wait_until([this] { return tables_.size() >= 2; });
  wait(std::chrono::milliseconds(600));
  EXPECT_THAT(tables_, testing::UnorderedElementsAre(kNetworkTable, kFilterTable));
  said("nft add table inet other");
  wait(std::chrono::milliseconds(600));
  EXPECT_EQ(tables_.size(), 2u) << "others' tables are theirs";
}

TEST_F(HostWatchTest, IsSilentToWhoHasLeft) {
  begin();
  watch_->unsubscribe(id_);
  link::create_bridge({.name = "br0"});
  wait(std::chrono::milliseconds(300));
  EXPECT_THAT(events_, IsEmpty());
  watch_.reset();
  wait(std::chrono::milliseconds(10));
}

}  // namespace
}  // namespace warren::driver::watch
