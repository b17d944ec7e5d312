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
  const auto places = table_.add_console(2);
  PortTable::Place &first = places[0], &second = places[1];
  table_.occupy(first, "a");
  table_.occupy(second, "b");
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
  PortTable::Place& port = table_.add_console(1)[0];
  table_.occupy(port, "a");
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

// T7, for the thread sanitizer.
TEST_F(PortTableTest, PortsComeWhileTheGuestOpensOthers) {
  PortTable::Place& port = table_.add_console(1)[0];
  table_.occupy(port, "a");
  std::jthread guest([&](std::stop_token stopped) {
    for (bool open = true; !stopped.stop_requested(); open = !open) table_.guest_opened(port, open);
    table_.guest_opened(port, true);
  });
  for (int round = 0; round < 100; ++round) {
    PortTable::Place& other = table_.add_console(3)[2];
    table_.occupy(other, "b");
    table_.vacate(other);
  }
  run_for(PortTable::kInterval);
  guest.request_stop();
  guest.join();
  run_for(PortTable::kInterval * 3);
  EXPECT_EQ(table_.open_ports(), (std::vector<std::string>{"a"}));
}

}  // namespace
}  // namespace warren::vmm::worker
