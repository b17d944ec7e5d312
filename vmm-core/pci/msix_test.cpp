#include "vmm-core/pci/msix.h"

#include <array>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/fake_interrupts.h"

namespace warren::vmm::pci {
namespace {

class MsixTest : public testing::Test {
 protected:
  void write(std::uint64_t offset, std::uint32_t value) {
    msix_.table().write(offset, std::as_bytes(std::span(&value, 1)));
  }
  std::uint32_t read(std::uint64_t offset) {
    std::uint32_t value = 0;
    msix_.table().read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void program(std::uint16_t vector, std::uint32_t address, std::uint32_t data) {
    write(vector * 16U, address);
    write(vector * 16U + 4, 0);
    write(vector * 16U + 8, data);
    write(vector * 16U + 12, 0);
  }
  bool is_pending(std::uint16_t vector) {
    std::array<std::byte, 8> bits{};
    msix_.pending_bits().read(0, bits);
    return (std::to_integer<unsigned>(bits[vector / 8]) >> vector % 8 & 1) != 0;
  }

  FakeMessages messages_;
  Msix msix_{messages_, 3};
};

TEST_F(MsixTest, SignalsTheProgrammedMessage) {
  program(1, 0xfee00000, 0x41);
  msix_.signal(1);
  EXPECT_TRUE(messages_.signalled.empty()) << "disabled";
  msix_.set_control(true, false);
  msix_.signal(1);
  ASSERT_EQ(messages_.signalled.size(), 1U);
  EXPECT_EQ(messages_.signalled[0].address, 0xfee00000U);
  EXPECT_EQ(messages_.signalled[0].data, 0x41U);
}

TEST_F(MsixTest, MaskedVectorsArePendingAndSentOnceWhenUnmasked) {
  msix_.set_control(true, false);
  program(2, 0xfee00000, 0x42);
  write(2 * 16 + 12, 1);
  msix_.signal(2);
  msix_.signal(2);
  EXPECT_TRUE(messages_.signalled.empty());
  EXPECT_TRUE(is_pending(2));
  EXPECT_FALSE(is_pending(1));
  write(2 * 16 + 12, 0);
  EXPECT_EQ(messages_.signalled.size(), 1U);
  EXPECT_FALSE(is_pending(2));
}

TEST_F(MsixTest, TheFunctionMaskHoldsAllVectors) {
  msix_.set_control(true, true);
  program(0, 0xfee00000, 0x40);
  msix_.signal(0);
  EXPECT_TRUE(is_pending(0));
  msix_.set_control(true, false);
  EXPECT_EQ(messages_.signalled.size(), 1U);
}

TEST_F(MsixTest, ANewMessageIsUsedAtOnce) {
  msix_.set_control(true, false);
  program(0, 0xfee00000, 0x40);
  msix_.signal(0);
  write(8, 0x50);
  msix_.signal(0);
  ASSERT_EQ(messages_.signalled.size(), 2U);
  EXPECT_EQ(messages_.signalled[1].data, 0x50U);
}

TEST_F(MsixTest, AMessageTheHostRefusesIsLostNotSent) {
  messages_.refuses = true;
  msix_.set_control(true, false);
  program(0, 0xfee00000, 0x40);
  msix_.signal(0);
  EXPECT_TRUE(messages_.signalled.empty());
}

// T4: vectors that do not exist.
TEST_F(MsixTest, T4VectorsOutOfRangeAreIgnored) {
  msix_.set_control(true, false);
  msix_.signal(3);
  msix_.signal(0xffff);
  EXPECT_TRUE(messages_.signalled.empty());
}

// T5: accesses of every width and offset, beyond the end too; only aligned words and quadwords write.
TEST_F(MsixTest, T5OddAccessesAreHarmless) {
  program(0, 0xfee01000, 0x1234);
  for (std::size_t size = 1; size <= 8; ++size) {
    for (std::uint64_t offset = 0; offset < 80; ++offset) {
      std::array<std::byte, 8> data;
      data.fill(std::byte{0xff});
      const std::span<std::byte> bytes(data.data(), size);
      msix_.table().read(offset, bytes);
      msix_.pending_bits().read(offset, bytes);
      if (size != 4 && size != 8) msix_.table().write(offset, bytes);
    }
  }
  EXPECT_EQ(read(0), 0xfee01000U);
  EXPECT_EQ(read(8), 0x1234U);
  std::array<std::byte, 2> half{};
  msix_.table().read(9, half);
  EXPECT_EQ(half[0], std::byte{0x12});
}

TEST_F(MsixTest, StateComesBack) {
  msix_.set_control(true, false);
  program(0, 0xfee00000, 0x40);
  msix_.signal(1);  // masked: pending
  const MsixState state = msix_.save();
  msix_.reset();
  EXPECT_FALSE(msix_.enabled());
  EXPECT_EQ(read(12), 1U);
  messages_.signalled.clear();
  msix_.restore(state);
  EXPECT_TRUE(is_pending(1));
  msix_.signal(0);
  EXPECT_EQ(messages_.signalled.size(), 1U);
  Msix other(messages_, 4);
  EXPECT_THROW(other.restore(state), Error);
}

TEST_F(MsixTest, SignalsRaceWithMasking) {
  class Counted final : public MsiRouter {
   public:
    class Route final : public MsiRoute {
     public:
      explicit Route(std::atomic<int>& signals) : signals_(signals) {}
      bool set_message(const MsiMessage&) noexcept override { return true; }
      void signal() noexcept override { ++signals_; }
      int event_descriptor() const noexcept override { return -1; }
      void hold(bool) noexcept override {}
      bool is_waiting() const noexcept override { return false; }

     private:
      std::atomic<int>& signals_;
    };
    std::unique_ptr<MsiRoute> allocate() override { return std::make_unique<Route>(signals); }
    std::atomic<int> signals{0};
  } router;
  Msix msix(router, 1);
  msix.set_control(true, false);
  std::thread device([&] {
    for (int i = 0; i < 10'000; ++i) msix.signal(0);
  });
  std::uint32_t mask = 1;
  for (int i = 0; i < 10'000; ++i) {
    mask ^= 1;
    msix.table().write(12, std::as_bytes(std::span(&mask, 1)));
  }
  device.join();
  mask = 0;
  msix.table().write(12, std::as_bytes(std::span(&mask, 1)));
  EXPECT_GE(router.signals, 1);
  EXPECT_LE(router.signals, 10'000);
}

}  // namespace
}  // namespace warren::vmm::pci
