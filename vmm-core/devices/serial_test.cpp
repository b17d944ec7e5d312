#include "vmm-core/devices/serial.h"

#include <string>

#include <gtest/gtest.h>

#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm {
namespace {

struct RecordingBackend final : CharacterBackend {
  void set_listener(CharacterListener*) noexcept override {}
  bool watch_peer(PeerListener*) noexcept override { return true; }
  std::size_t write(std::span<const std::byte> bytes) noexcept override {
    const std::size_t taken = std::min(bytes.size(), room);
    for (const auto byte : bytes.first(taken)) text += static_cast<char>(byte);
    room -= taken;
    return taken;
  }
  void resume_input() noexcept override { ++resumed; }
  std::string text;
  std::size_t room = 1000;
  unsigned resumed = 0;
};

class SerialTest : public testing::Test {
 protected:
  std::uint8_t in(unsigned index) {
    std::byte byte{};
    serial_.read(index, {&byte, 1});
    return std::to_integer<std::uint8_t>(byte);
  }
  void out(unsigned index, unsigned value) {
    const auto byte = static_cast<std::byte>(value);
    serial_.write(index, {&byte, 1});
  }
  void type(std::string_view text) { serial_.receive(std::as_bytes(std::span(text))); }

  bool line_ = false;
  RecordingBackend backend_;
  Serial serial_{"serial0", std::make_unique<pci::FakeLine>(line_), backend_};
};

constexpr unsigned kFifosOn = 0xc0;

TEST_F(SerialTest, BytesGoOutInOrderAndTheTransmitterIsEmpty) {
  for (const char c : std::string_view("boot\n")) out(0, static_cast<unsigned char>(c));
  EXPECT_EQ(backend_.text, "boot\n");
  EXPECT_EQ(in(5), 0x60);
}

TEST_F(SerialTest, DivisorLatchHidesDataAndEnable) {
  out(3, 0x83);
  out(0, 0x0c);
  out(1, 0x34);
  EXPECT_EQ(in(0), 0x0c);
  EXPECT_EQ(in(1), 0x34);
  EXPECT_EQ(backend_.text, "");
  out(3, 0x03);
  EXPECT_EQ(in(1), 0x00);
}

TEST_F(SerialTest, EnablingTheTransmitterInterruptRaisesItAndReadingItsIdentityAnswersIt) {
  out(1, 0x02);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(2), 0x02);
  EXPECT_FALSE(line_);
  EXPECT_EQ(in(2), 0x01);
  out(0, 'x');
  EXPECT_TRUE(line_) << "the byte is out, so the holding register is empty again";
}

TEST_F(SerialTest, InterruptsComeInTheOrderOfTheirPriority) {
  out(2, 0x01);
  out(1, 0x0f);
  EXPECT_EQ(in(2), kFifosOn | 0x02) << "transmitter";
  out(1, 0x0d);
  out(1, 0x0f);
  type("12345678901234567");  // one too many
  EXPECT_EQ(in(2), kFifosOn | 0x06) << "overrun";
  EXPECT_EQ(in(5) & 0x02, 0x02);
  EXPECT_EQ(in(5) & 0x02, 0) << "reading the status clears it";
  EXPECT_EQ(in(2), kFifosOn | 0x04) << "data";
  for (int i = 0; i < 16; ++i) in(0);
  EXPECT_EQ(in(2), kFifosOn | 0x02);
  EXPECT_EQ(in(2), kFifosOn | 0x01);
}

TEST_F(SerialTest, BelowTheTriggerLevelTheTimeoutTells) {
  out(2, 0xc1);  // 14 bytes
  out(1, 0x01);
  type("ab");
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(2), kFifosOn | 0x0c);
  type("cdefghijklmn");
  EXPECT_EQ(in(2), kFifosOn | 0x04);
}

TEST_F(SerialTest, WithoutFifosThereIsRoomForOneByte) {
  EXPECT_EQ(serial_.receive_capacity(), 1u);
  type("a");
  EXPECT_EQ(serial_.receive_capacity(), 0u);
  EXPECT_EQ(in(0), 'a');
  EXPECT_EQ(backend_.resumed, 1u);
  EXPECT_EQ(serial_.receive_capacity(), 1u);
}

TEST_F(SerialTest, OutputThatIsNotTakenWaitsAndGoesOutInOrder) {
  backend_.room = 1;
  out(1, 0x02);
  for (const char c : std::string_view("abc")) out(0, static_cast<unsigned char>(c));
  EXPECT_EQ(backend_.text, "a");
  EXPECT_EQ(in(5) & 0x60, 0) << "the guest sees a transmitter that is busy";
  EXPECT_FALSE(line_);
  backend_.room = 10;
  serial_.output_ready();
  EXPECT_EQ(backend_.text, "abc");
  EXPECT_EQ(in(5) & 0x60, 0x60);
  EXPECT_TRUE(line_);
}

// T8: a guest that does not look at LSR loses bytes; nothing grows.
TEST_F(SerialTest, T8ABlockedBackEndBoundsWhatIsKept) {
  backend_.room = 0;
  for (int i = 0; i < 1000; ++i) out(0, 'x');
  EXPECT_EQ(serial_.save().transmit.count, Serial::kFifoSize);
}

TEST_F(SerialTest, LoopBackReturnsBytesAndModemLines) {
  out(4, 0x1b);  // loop, DTR, RTS, OUT2
  EXPECT_EQ(in(6) & 0xf0, 0xb0);
  out(0, 'q');
  EXPECT_EQ(in(5) & 0x01, 0x01);
  EXPECT_EQ(in(0), 'q');
  EXPECT_EQ(backend_.text, "");
  EXPECT_EQ(serial_.receive_capacity(), 0u) << "the line in is cut off";
  out(4, 0x0b);
  EXPECT_EQ(in(6) & 0xf0, 0xb0) << "CTS, DSR and carrier of the cable";
}

TEST_F(SerialTest, ModemChangesInterruptUntilRead) {
  out(4, 0x10);
  in(6);
  out(1, 0x08);
  EXPECT_FALSE(line_);
  out(4, 0x12);  // RTS: CTS rises
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(2), 0x00);
  EXPECT_EQ(in(6) & 0x0f, 0x01);
  EXPECT_FALSE(line_);
}

TEST_F(SerialTest, FifoControlClearsWhatItNames) {
  out(2, 0x01);
  type("abc");
  out(2, 0x03);
  EXPECT_EQ(in(5) & 0x01, 0);
  EXPECT_EQ(in(2), kFifosOn | 0x01);
}

TEST_F(SerialTest, StateSurvivesARestoreAndResetForgetsIt) {
  out(2, 0x01);
  out(1, 0x01);
  out(7, 0x5a);
  type("hi");
  const auto state = serial_.save();
  serial_.reset();
  EXPECT_FALSE(line_);
  EXPECT_EQ(in(7), 0);
  serial_.restore(state);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(7), 0x5a);
  EXPECT_EQ(in(0), 'h');
  EXPECT_EQ(in(0), 'i');
}

// T21
TEST_F(SerialTest, T21AStateWithImpossibleCountsIsBoundedOnRestore) {
  Serial::State state;
  state.receive.first = 200;
  state.receive.count = 255;
  serial_.restore(state);
  EXPECT_LE(serial_.save().receive.count, Serial::kFifoSize);
  for (int i = 0; i < 20; ++i) in(0);
  EXPECT_EQ(in(5) & 0x01, 0);
}

}  // namespace
}  // namespace warren::vmm
