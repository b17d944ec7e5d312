// What the input device does beyond what every device does: what it says of itself, whole frames, LEDs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/input.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/virtio/fake_input.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kDevice = FakeGuest::kDevice;
constexpr auto kEnd = InputHost::kEnd;

class InputTest : public testing::Test {
 protected:
  void start(InputDescription description = describe_keyboard()) {
    guest_.reset();  // before its device's host
    host_ = std::make_unique<InputHost>(std::move(description));
    begin();
  }
  void begin() {
    guest_ = std::make_unique<FakeGuest>(host_->make_device());
    ASSERT_TRUE(guest_->start(0));
  }
  // What the device answers, as long as it says.
  std::vector<std::uint8_t> ask(std::uint8_t select, std::uint8_t subselect = 0) {
    guest_->set<std::uint8_t>(kDevice, select);
    guest_->set<std::uint8_t>(kDevice + 1, subselect);
    std::vector<std::uint8_t> answer(guest_->get<std::uint8_t>(kDevice + 2));
    for (std::size_t i = 0; i < answer.size(); ++i) answer[i] = guest_->get<std::uint8_t>(kDevice + 8 + i);
    return answer;
  }
  bool has_bit(std::uint8_t type, std::uint16_t code) {
    const auto bits = ask(0x11, type);
    return code / 8U < bits.size() && (bits[code / 8U] >> code % 8 & 1) != 0;
  }
  bool press(std::uint16_t key, std::uint32_t value) {
    const InputEvent event{EV_KEY, key, value};
    return host_->device().send(std::span(&event, 1));
  }
  // Everything there is, with room for `room` events at a time.
  std::vector<InputEvent> take_all(unsigned room = 16) {
    std::vector<InputEvent> all;
    for (;;) {
      InputHost::offer_buffers(*guest_, room);
      for (unsigned i = 0; i < room; ++i) {
        const auto event = InputHost::take(*guest_, i, 200);
        if (!event) return all;
        all.push_back(*event);
      }
    }
  }

  std::unique_ptr<InputHost> host_;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(InputTest, AKeyboardSaysWhatItIs) {
  start();
  const auto name = ask(1);
  EXPECT_EQ(std::string(name.begin(), name.end()), "Warren Virtio Keyboard");
  EXPECT_TRUE(ask(1, 1).empty());
  EXPECT_TRUE(ask(2).empty()) << "no serial number";
  EXPECT_EQ(ask(3), (std::vector<std::uint8_t>{6, 0, 0x27, 6, 1, 0, 1, 0}));
  for (const int key : {KEY_ESC, KEY_A, KEY_RIGHTMETA, KEY_F24, KEY_MICMUTE})
    EXPECT_TRUE(has_bit(EV_KEY, static_cast<std::uint16_t>(key))) << key;
  EXPECT_FALSE(has_bit(EV_KEY, 0));
  EXPECT_FALSE(has_bit(EV_KEY, BTN_LEFT));
  EXPECT_EQ(ask(0x11, EV_LED), std::vector<std::uint8_t>{7});
  EXPECT_EQ(ask(0x11, EV_REP), std::vector<std::uint8_t>{3}) << "the guest repeats keys";
  EXPECT_TRUE(ask(0x11, EV_REL).empty());
  EXPECT_TRUE(ask(0x12, ABS_X).empty());
  for (const unsigned select : {0U, 4U, 0x13U, 0xffU})
    EXPECT_TRUE(ask(static_cast<std::uint8_t>(select)).empty());
  EXPECT_EQ(guest_->get<std::uint8_t>(kDevice + 200), 0);
}

TEST_F(InputTest, PointersSayWhatTheyAre) {
  start(describe_mouse());
  EXPECT_EQ(ask(0x11, EV_REL), (std::vector<std::uint8_t>{1 << REL_X | 1 << REL_Y | 1 << REL_HWHEEL, 1}));
  EXPECT_TRUE(has_bit(EV_KEY, BTN_LEFT));
  start(describe_tablet());
  EXPECT_EQ(ask(0x11, EV_ABS), std::vector<std::uint8_t>{3});
  for (const std::uint8_t axis : {std::uint8_t{ABS_X}, std::uint8_t{ABS_Y}}) {
    const auto answer = ask(0x12, axis);
    ASSERT_EQ(answer.size(), 20U);
    EXPECT_EQ(answer[4], 0xff);
    EXPECT_EQ(answer[5], 0x7f);
  }
  EXPECT_TRUE(ask(0x12, ABS_Z).empty());
}

TEST_F(InputTest, NothingIsSentWithoutADriver) {
  start();
  EXPECT_NE(host_->device().activation(), 0U);
  guest_->reset();
  EXPECT_EQ(host_->device().activation(), 0U);
  EXPECT_FALSE(press(KEY_A, 1));
  ASSERT_TRUE(guest_->start(0));
  EXPECT_TRUE(take_all().empty());
}

TEST_F(InputTest, TheLatestDriverHasTheHighestActivation) {
  start();
  InputHost other;
  FakeGuest second(other.make_device());
  ASSERT_TRUE(second.start(0));
  EXPECT_GT(other.device().activation(), host_->device().activation());
  guest_->transport().pause();
  guest_->transport().resume();
  EXPECT_GT(other.device().activation(), host_->device().activation()) << "a pause is no new driver";
  ASSERT_TRUE(guest_->start(0));
  EXPECT_LT(other.device().activation(), host_->device().activation());
}

// T8: frames that find no room are dropped whole, and no key stays down for it.
TEST_F(InputTest, T8WhatTheGuestDoesNotTakeIsDroppedByWholeFrames) {
  start();
  ASSERT_TRUE(press(KEY_LEFTSHIFT, 1));
  const std::array<InputEvent, 6> frame = {{{EV_MSC, MSC_SCAN, 1},
                                            {EV_KEY, KEY_A, 1},
                                            {EV_MSC, MSC_SCAN, 2},
                                            {EV_KEY, KEY_B, 1},
                                            {EV_KEY, KEY_A, 0},
                                            {EV_KEY, KEY_B, 0}}};
  unsigned sent = 0;
  for (unsigned i = 0; i < 1000; ++i) sent += host_->device().send(frame) ? 1U : 0U;
  EXPECT_EQ(sent, (Input::kPendingEvents - 2) / 7);
  EXPECT_FALSE(press(KEY_LEFTSHIFT, 0)) << "there is no room";
  const auto all = take_all();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back(), kEnd);
  std::size_t in_frame = 0;
  bool shift = false;
  for (const auto& event : all) {
    if (event.type == EV_KEY && event.code == KEY_LEFTSHIFT) shift = event.value != 0;
    if (event != kEnd) {
      ++in_frame;
      continue;
    }
    EXPECT_TRUE(in_frame == 1 || in_frame == frame.size()) << in_frame;
    in_frame = 0;
  }
  EXPECT_FALSE(shift) << "its release was lost, and made up for";
  EXPECT_TRUE(press(KEY_A, 1));
  EXPECT_EQ(take_all().size(), 2U);
}

TEST_F(InputTest, AFrameContinuesWhereBuffersEnded) {
  start();
  ASSERT_TRUE(press(KEY_A, 1));
  InputHost::offer_buffers(*guest_, 1);
  EXPECT_EQ(InputHost::take(*guest_, 0), (InputEvent{EV_KEY, KEY_A, 1}));
  guest_->transport().pause();
  EXPECT_TRUE(press(KEY_A, 0));
  guest_->transport().resume();
  InputHost::offer_buffers(*guest_, 3);
  EXPECT_EQ(InputHost::take(*guest_, 0), kEnd);
  EXPECT_EQ(InputHost::take(*guest_, 1), (InputEvent{EV_KEY, KEY_A, 0}));
  EXPECT_EQ(InputHost::take(*guest_, 2), kEnd);
}

// T1: a buffer too small for an event is given back, and the event waits for another.
TEST_F(InputTest, T1ABufferTooSmallLosesNoEvent) {
  start();
  guest_->queue(0).offer({{InputHost::kEvents + 512, 7, true}});
  guest_->queue(0).offer({{InputHost::kEvents + 512, 64, false}});
  guest_->kick(0);
  ASSERT_TRUE(press(KEY_A, 1));
  EXPECT_EQ(guest_->wait_used(0).value_or(FakeUsed{0, 9}).length, 0U);
  EXPECT_EQ(guest_->wait_used(0).value_or(FakeUsed{0, 9}).length, 0U);
  EXPECT_EQ(take_all().size(), 2U);
}

TEST_F(InputTest, LedsAreKnownUntilTheDriverGoes) {
  start();
  InputHost::offer(*guest_, true);
  guest_->kick(1);
  ASSERT_TRUE(guest_->wait_used(1));
  EXPECT_EQ(host_->device().leds(), 1U << LED_CAPSL);
  ASSERT_TRUE(guest_->memory().write_object({InputHost::kStatus}, InputEvent{EV_LED, 77, 1}));
  ASSERT_TRUE(guest_->request(1, {{InputHost::kStatus, 8, false}}));
  EXPECT_EQ(host_->device().leds(), 1U << LED_CAPSL);
  guest_->reset();
  EXPECT_EQ(host_->device().leds(), 0U);
}

TEST_F(InputTest, AStateGoesOnWithWhatWasPending) {
  start();
  ask(0x11, EV_LED);
  InputHost::offer(*guest_, true);
  guest_->kick(1);
  ASSERT_TRUE(guest_->wait_used(1));
  ASSERT_TRUE(press(KEY_A, 1));
  InputHost::offer_buffers(*guest_, 1);
  ASSERT_TRUE(InputHost::take(*guest_, 0));
  guest_->transport().pause();
  const PciTransportState transport = guest_->transport().save();
  const Input::State state = host_->device().save();
  guest_->plug(host_->make_device());
  guest_->transport().pause();
  guest_->transport().restore(transport);
  host_->device().restore(state);
  guest_->transport().resume();
  EXPECT_EQ(guest_->get<std::uint8_t>(kDevice + 2), 1);
  EXPECT_EQ(host_->device().leds(), 1U << LED_CAPSL);
  EXPECT_EQ(take_all(), (std::vector<InputEvent>{kEnd, {EV_KEY, KEY_A, 0}, kEnd})) << "nobody holds the key";
}

// T21: states that no device has are refused.
TEST_F(InputTest, T21AForeignStateIsRefused) {
  start();
  guest_->transport().pause();
  Input::State bad;
  bad.version = 2;
  EXPECT_THROW(host_->device().restore(bad), Error);
  bad = {};
  bad.keys_down = {Input::kKeys};
  EXPECT_THROW(host_->device().restore(bad), Error);
  bad = {};
  bad.pending.resize(Input::kPendingEvents + 1);
  EXPECT_THROW(host_->device().restore(bad), Error);
  bad.pending = {{EV_KEY, KEY_A, 1}};
  EXPECT_THROW(host_->device().restore(bad), Error) << "half a frame";
  guest_->transport().resume();
  EXPECT_TRUE(host_->works(*guest_));
}

// A pipe stands for an evdev node: what it reads and writes has the same form.
class HostInputTest : public InputTest {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    device_ = FileDescriptor(ends[0]);
    InputDescription description = describe_keyboard();
    description.name = "Keyboard of the host";
    host_ = std::make_unique<InputHost>(std::move(description));
    host_->set_device_of_host(FileDescriptor(ends[1]));
  }
  void happen(const std::vector<InputEvent>& events) {
    for (const auto& event : events) {
      input_event native{};
      native.type = event.type;
      native.code = event.code;
      native.value = static_cast<std::int32_t>(event.value);
      ASSERT_EQ(::write(device_.get(), &native, sizeof(native)), static_cast<ssize_t>(sizeof(native)));
    }
  }

  FileDescriptor device_;
};

TEST_F(HostInputTest, FramesComeThroughAndLedsGoBack) {
  happen({{EV_KEY, KEY_Z, 1}, kEnd});  // before there is a driver
  begin();
  happen({{EV_KEY, KEY_A, 1}, kEnd, {EV_KEY, KEY_A, 0}, kEnd, {EV_KEY, KEY_B, 1}});
  EXPECT_EQ(take_all(), (std::vector<InputEvent>{{EV_KEY, KEY_A, 1}, kEnd, {EV_KEY, KEY_A, 0}, kEnd}));
  InputHost::offer(*guest_, true);
  guest_->kick(1);
  ASSERT_TRUE(guest_->wait_used(1));
  input_event led{};
  ASSERT_EQ(::read(device_.get(), &led, sizeof(led)), static_cast<ssize_t>(sizeof(led)));
  EXPECT_EQ(led.type, EV_LED);
  EXPECT_EQ(led.code, LED_CAPSL);
  EXPECT_EQ(led.value, 1);
  // Not what could be taken for what its user does.
  ASSERT_TRUE(guest_->memory().write_object({InputHost::kStatus}, InputEvent{EV_KEY, KEY_A, 1}));
  ASSERT_TRUE(guest_->request(1, {{InputHost::kStatus, 8, false}}));
  EXPECT_EQ(::recv(device_.get(), &led, sizeof(led), MSG_DONTWAIT), -1);
}

TEST_F(HostInputTest, WhatTheKernelDroppedLeavesNoKeyDown) {
  begin();
  happen({{EV_KEY, KEY_A, 1},
          kEnd,
          {EV_KEY, KEY_B, 1},
          {EV_SYN, SYN_DROPPED, 0},
          {EV_KEY, KEY_C, 1},
          kEnd,
          {EV_KEY, KEY_D, 1},
          kEnd});
  EXPECT_EQ(take_all(), (std::vector<InputEvent>{
                            {EV_KEY, KEY_A, 1}, kEnd, {EV_KEY, KEY_A, 0}, kEnd, {EV_KEY, KEY_D, 1}, kEnd}));
}

// T29: a device that goes away, and one that never ends a frame.
TEST_F(HostInputTest, T29ADeviceThatGoesAwayReleasesItsKeys) {
  begin();
  happen({{EV_KEY, KEY_A, 1}, kEnd});
  for (unsigned i = 0; i < 2 * HostInput::kFrame; ++i) happen({{EV_KEY, KEY_B, 1}});
  happen({kEnd});
  device_.reset();
  EXPECT_EQ(take_all(), (std::vector<InputEvent>{{EV_KEY, KEY_A, 1}, kEnd, {EV_KEY, KEY_A, 0}, kEnd}));
}

}  // namespace
}  // namespace warren::vmm::virtio
