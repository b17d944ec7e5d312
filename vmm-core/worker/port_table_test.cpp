// News of ports: all that lasts is told, in order, and no more often than once an interval (T8).
#include "vmm-core/worker/port_table.h"

#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace warren::vmm::worker {
namespace {

class PortTableTest : public testing::Test {
 protected:
  void run_for(std::chrono::milliseconds time) {
    const auto work = boost::asio::make_work_guard(loop_);  // all of the time
    loop_.restart();
    loop_.run_for(time);
  }

  boost::asio::io_context loop_;
  std::vector<std::string> told_;
  PortTable table_{loop_,
                   [this](const std::string& id, bool open) { told_.push_back((open ? "+" : "-") + id); }};
};

TEST_F(PortTableTest, TellsOfEachPort) {
  const std::size_t first = table_.add("a"), second = table_.add("b");
  table_.guest_opened(second, true);
  run_for(PortTable::kInterval / 2);
  EXPECT_EQ(told_, (std::vector<std::string>{"+b"})) << "at once";
  table_.guest_opened(first, true);
  table_.guest_opened(second, false);
  run_for(PortTable::kInterval * 2);
  EXPECT_EQ(told_, (std::vector<std::string>{"+b", "+a", "-b"}));
  EXPECT_EQ(table_.open_ports(), (std::vector<std::string>{"a"}));
  table_.guest_opened(first, true);
  run_for(PortTable::kInterval * 2);
  EXPECT_EQ(told_.size(), 3U) << "no news";
}

// T8
TEST_F(PortTableTest, AGuestThatCannotStopIsToldOfSeldom) {
  const std::size_t port = table_.add("a");
  std::jthread guest([&](std::stop_token stopped) {
    for (bool open = true; !stopped.stop_requested(); open = !open) table_.guest_opened(port, open);
    table_.guest_opened(port, true);
  });
  run_for(PortTable::kInterval * 5);
  guest.request_stop();
  guest.join();
  run_for(PortTable::kInterval * 3);
  EXPECT_LE(told_.size(), 10U);
  ASSERT_FALSE(told_.empty());
  EXPECT_EQ(told_.back(), "+a") << "what lasts";
}

}  // namespace
}  // namespace warren::vmm::worker
