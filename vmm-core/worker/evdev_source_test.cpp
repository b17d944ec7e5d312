#include "vmm-core/worker/evdev_source.h"

#include <chrono>

#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/input.h>
#include <sys/socket.h>
#include <unistd.h>

namespace warren::vmm::worker {
namespace {

using control::GrabToggle;
using Events = std::vector<std::array<int, 3>>;

class EvdevSourceTest : public testing::Test {
 protected:
  void open(control::EvdevSpecification evdev) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    device_ = FileDescriptor(ends[0]);
    source_ = EvdevSource::make(loop_, thread_, evdev, FileDescriptor(ends[1]),
                                {.input =
                                     [this](const control::SendInput& input) {
                                       for (const auto& event : input.events)
                                         told_.push_back({event.type, event.code, event.value});
                                       for (const auto& event : input.events)
                                         at_codes_.push_back(event.at_code);
                                     },
                                 .toggled = [this](bool grabbed) { toggles_.push_back(grabbed); }});
  }
  void happen(int type, int code, int value) {
    for (const auto& each : Events{{type, code, value}, {EV_SYN, SYN_REPORT, 0}}) {
      input_event event{};
      event.type = static_cast<std::uint16_t>(each[0]);
      event.code = static_cast<std::uint16_t>(each[1]);
      event.value = each[2];
      ASSERT_EQ(::write(device_.get(), &event, sizeof(event)), static_cast<ssize_t>(sizeof(event)));
    }
  }
  void strike(int key) {
    happen(EV_KEY, key, 1);
    happen(EV_KEY, key, 0);
  }
  // Until neither thread has anything left to do, however slow they are; and a little longer, for timers.
  void run() {
    for (int quiet = 0; quiet < 3; ++quiet) {
      thread_.run([] {});
      loop_.restart();
      if (loop_.poll() != 0) quiet = 0;
    }
    loop_.restart();
    loop_.run_for(std::chrono::milliseconds(120));
    thread_.run([] {});
    loop_.restart();
    loop_.poll();
  }
  Events taken() {
    run();
    return std::exchange(told_, {});
  }

  boost::asio::io_context loop_;
  EventThread thread_{"evdev-test"};
  FileDescriptor device_;
  std::shared_ptr<EvdevSource> source_;
  Events told_;
  std::vector<int> at_codes_;
  std::vector<bool> toggles_;
};

TEST_F(EvdevSourceTest, WhatItsUserDoesIsPassedOn) {
  open({.id = "input1", .descriptor = {}, .axes = {{.code = ABS_X, .minimum = 100, .maximum = 300}}});
  strike(KEY_RIGHTCTRL);
  strike(KEY_A);
  happen(EV_KEY, KEY_A, 2);
  happen(EV_REL, REL_X, -7);
  happen(EV_ABS, ABS_X, 200);
  happen(EV_ABS, ABS_X, 100'000);
  happen(EV_ABS, ABS_PRESSURE, 5);
  happen(EV_MSC, MSC_SCAN, 5);
  EXPECT_EQ(taken(), (Events{{EV_KEY, KEY_RIGHTCTRL, 1},
                             {EV_KEY, KEY_RIGHTCTRL, 0},
                             {EV_KEY, KEY_A, 1},
                             {EV_KEY, KEY_A, 0},
                             {EV_REL, REL_X, -7},
                             {EV_ABS, ABS_X, 0x3fff},
                             {EV_ABS, ABS_X, 0x7fff}}));
  EXPECT_THAT(at_codes_, testing::ElementsAre(0xe01d, 0xe01d, 0x1e, 0x1e, 0, 0, 0));
}

TEST_F(EvdevSourceTest, TheToggleTakesItBackWhenAllKeysAreUp) {
  open({.id = "input1", .descriptor = {}, .toggle = GrabToggle::ctrl_ctrl, .repeat = true});
  happen(EV_KEY, KEY_LEFTCTRL, 1);
  happen(EV_KEY, KEY_LEFTCTRL, 2);
  happen(EV_KEY, KEY_RIGHTCTRL, 1);
  run();
  EXPECT_TRUE(source_->is_grabbed());
  happen(EV_KEY, KEY_RIGHTCTRL, 0);
  happen(EV_KEY, KEY_LEFTCTRL, 0);
  EXPECT_EQ(taken().size(), 5U);
  EXPECT_FALSE(source_->is_grabbed());
  EXPECT_THAT(toggles_, testing::ElementsAre(false));
  strike(KEY_A);
  EXPECT_EQ(taken(), Events{}) << "it is the host's";
  happen(EV_KEY, KEY_LEFTCTRL, 1);
  happen(EV_KEY, KEY_RIGHTCTRL, 1);
  happen(EV_KEY, KEY_RIGHTCTRL, 0);
  happen(EV_KEY, KEY_LEFTCTRL, 0);
  run();
  EXPECT_TRUE(source_->is_grabbed());
  strike(KEY_A);
  EXPECT_EQ(taken().size(), 2U);
}

TEST_F(EvdevSourceTest, AnothersToggleLetsItsKeysGo) {
  open({.id = "input1", .descriptor = {}, .toggle = GrabToggle::scrolllock});
  happen(EV_KEY, KEY_LEFTSHIFT, 1);
  EXPECT_EQ(taken(), (Events{{EV_KEY, KEY_LEFTSHIFT, 1}}));
  source_->set_grabbed(false);
  EXPECT_EQ(taken(), (Events{{EV_KEY, KEY_LEFTSHIFT, 0}}));
}

// T27, T29: nobody takes frames for a while, and the device goes away with a key that is down.
TEST_F(EvdevSourceTest, T29WhatIsLostLeavesNoKeyDown) {
  open({.id = "input1", .descriptor = {}});
  happen(EV_KEY, KEY_LEFTSHIFT, 1);
  for (unsigned i = 0; i < EvdevSource::kFramesUnderWay; ++i) happen(EV_REL, REL_X, 1);
  thread_.run([] {});
  device_.reset();
  ::usleep(50'000);
  const Events all = taken();
  ASSERT_FALSE(all.empty());
  EXPECT_LE(all.size(), EvdevSource::kFramesUnderWay + 1);
  int down = 0;
  for (const auto& event : all)
    if (event[0] == EV_KEY) down = event[2];
  EXPECT_EQ(down, 0);
}

}  // namespace
}  // namespace warren::vmm::worker
