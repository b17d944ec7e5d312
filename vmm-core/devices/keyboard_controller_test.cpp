#include "vmm-core/devices/keyboard_controller.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace warren::vmm {
namespace {

// Counts rising edges, as the interrupt controller's edge-triggered input does.
struct EdgeLine final : InterruptLine {
  explicit EdgeLine(unsigned& edges) : edges_(edges) {}
  void set(bool asserted) noexcept override {
    if (asserted && !asserted_) ++edges_;
    asserted_ = asserted;
  }
  unsigned& edges_;
  bool asserted_ = false;
};

class KeyboardControllerTest : public testing::Test {
 protected:
  std::uint8_t in(unsigned offset) {
    std::byte byte{};
    keyboard_.read(offset, {&byte, 1});
    return std::to_integer<std::uint8_t>(byte);
  }
  void out(unsigned offset, unsigned value) {
    const auto byte = static_cast<std::byte>(value);
    keyboard_.write(offset, {&byte, 1});
  }
  std::vector<std::uint8_t> drain() {
    std::vector<std::uint8_t> bytes;
    while ((in(4) & 1) != 0) bytes.push_back(in(0));
    return bytes;
  }
  using Bytes = std::vector<std::uint8_t>;

  unsigned edges_ = 0;
  unsigned resets_ = 0;
  KeyboardController keyboard_{std::make_unique<EdgeLine>(edges_), [this] { ++resets_; }};
};

TEST_F(KeyboardControllerTest, SelfTestAndInterfaceTests) {
  out(4, 0xaa);
  EXPECT_EQ(drain(), Bytes{0x55});
  EXPECT_EQ(in(4) & 0x04, 0x04) << "system flag";
  out(4, 0xab);
  EXPECT_EQ(drain(), Bytes{0x00});
  out(4, 0xa9);
  const Bytes mouse = drain();
  ASSERT_EQ(mouse.size(), 1u);
  EXPECT_NE(mouse[0], 0) << "there is no mouse";
}

TEST_F(KeyboardControllerTest, CommandByteIsReadBack) {
  out(4, 0x60);
  out(0, 0x45);
  out(4, 0x20);
  EXPECT_EQ(drain(), Bytes{0x45});
}

TEST_F(KeyboardControllerTest, ResetsTheMachine) {
  out(4, 0xff);
  EXPECT_EQ(resets_, 0u);
  out(4, 0xfe);
  EXPECT_EQ(resets_, 1u);
  out(4, 0xd1);
  out(0, 0xdd);
  EXPECT_EQ(resets_, 1u) << "only A20 changes";
  out(4, 0xd0);
  EXPECT_EQ(drain(), Bytes{0xdd});
  out(4, 0xd1);
  out(0, 0xde);
  EXPECT_EQ(resets_, 2u);
}

TEST_F(KeyboardControllerTest, TheKeyboardAnswersItsDriver) {
  out(0, 0xff);
  EXPECT_EQ(drain(), (Bytes{0xfa, 0xaa}));
  out(0, 0xf2);
  EXPECT_EQ(drain(), (Bytes{0xfa, 0xab, 0x41}));
  out(0, 0xed);
  EXPECT_EQ(drain(), Bytes{0xfa});
  out(0, 0x07);
  EXPECT_EQ(drain(), Bytes{0xfa});
  out(0, 0xee);
  EXPECT_EQ(drain(), Bytes{0xee});
  out(0, 0x99);
  EXPECT_EQ(drain(), Bytes{0xfe}) << "unknown: resend";
}

TEST_F(KeyboardControllerTest, CtrlAltDelIsTypedInTheSetTheGuestWants) {
  ASSERT_TRUE(keyboard_.press_ctrl_alt_del());
  EXPECT_EQ(drain(), (Bytes{0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d}));
  out(4, 0x60);
  out(0, 0x21);  // no translation
  ASSERT_TRUE(keyboard_.press_ctrl_alt_del());
  EXPECT_EQ(drain().front(), 0x14);
  out(4, 0xad);
  EXPECT_FALSE(keyboard_.press_ctrl_alt_del()) << "disabled";
}

TEST_F(KeyboardControllerTest, KeysGoDownAndComeUpInTheOtherOrder) {
  constexpr std::array<std::uint16_t, 2> kKeys = {0x2a, 0xe048};  // shift and cursor up
  ASSERT_TRUE(keyboard_.press(kKeys));
  EXPECT_EQ(drain(), (Bytes{0x2a, 0xe0, 0x48}));
  ASSERT_TRUE(keyboard_.release(kKeys));
  EXPECT_EQ(drain(), (Bytes{0xe0, 0xc8, 0xaa}));
  out(4, 0x60);
  out(0, 0x21);  // no translation: set 2 as the keyboard sends it
  ASSERT_TRUE(keyboard_.press(kKeys));
  EXPECT_EQ(drain(), (Bytes{0x12, 0xe0, 0x75}));
  ASSERT_TRUE(keyboard_.release(kKeys));
  EXPECT_EQ(drain(), (Bytes{0xe0, 0xf0, 0x75, 0xf0, 0x12}));
  out(4, 0xad);
  EXPECT_FALSE(keyboard_.press(kKeys)) << "disabled";
}

TEST_F(KeyboardControllerTest, EachByteIsOneEdgeAndLookingAtTheStatusIsNone) {
  ASSERT_TRUE(keyboard_.press_ctrl_alt_del());
  EXPECT_EQ(edges_, 1u);
  for (int i = 0; i < 10; ++i) in(4);
  EXPECT_EQ(edges_, 1u);
  in(0);
  EXPECT_EQ(edges_, 2u);
  drain();
  EXPECT_EQ(edges_, 8u);
}

// T8: keys and answers nobody fetches do not pile up.
TEST_F(KeyboardControllerTest, T8TheQueueIsBounded) {
  for (int i = 0; i < 1000; ++i) out(0, 0xff);
  EXPECT_EQ(keyboard_.save().count, KeyboardController::kQueueSize);
  EXPECT_FALSE(keyboard_.press_ctrl_alt_del());
  EXPECT_EQ(drain().size(), KeyboardController::kQueueSize);
}

TEST_F(KeyboardControllerTest, T21StateIsRestoredAndBounded) {
  out(0, 0xf2);
  const auto state = keyboard_.save();
  keyboard_.reset();
  EXPECT_EQ(drain(), Bytes{});
  keyboard_.restore(state);
  EXPECT_EQ(drain(), (Bytes{0xfa, 0xab, 0x41}));
  auto hostile = state;
  hostile.first = hostile.count = 255;
  keyboard_.restore(hostile);
  EXPECT_EQ(drain().size(), KeyboardController::kQueueSize);
}

}  // namespace
}  // namespace warren::vmm
