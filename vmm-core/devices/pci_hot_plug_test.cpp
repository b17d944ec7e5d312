#include "vmm-core/devices/pci_hot_plug.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

constexpr std::array<std::uint8_t, 3> kBuses = {1, 2, 255};

class PciHotPlugTest : public testing::Test {
 protected:
  std::uint32_t get(std::uint64_t offset) {
    std::uint32_t value = 0;
    device_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void set(std::uint64_t offset, std::uint32_t value) {
    device_.write(offset, std::as_bytes(std::span(&value, 1)));
  }
  void eject(std::uint8_t bus) { set(bus * PciHotPlug::kPortSize + PciHotPlug::kEject, 1); }
  void report(std::uint8_t bus, std::uint32_t event, std::uint32_t code) {
    set(bus * PciHotPlug::kPortSize + PciHotPlug::kSourceEvent, event);
    set(bus * PciHotPlug::kPortSize + PciHotPlug::kStatusCode, code);
  }

  unsigned notifications_ = 0;
  std::vector<unsigned> ejected_, refused_;
  PciHotPlug device_{kBuses,
                     {.notify = [this] { ++notifications_; },
                      .ejected = [this](std::uint8_t bus) { ejected_.push_back(bus); },
                      .refused = [this](std::uint8_t bus) { refused_.push_back(bus); }}};
};

TEST_F(PciHotPlugTest, TheGuestIsToldOfADeviceThatComesAndLetsItGo) {
  device_.insert(255, true);
  EXPECT_EQ(notifications_, 1U);
  EXPECT_EQ(get(255 * 16), 0xfU);
  EXPECT_EQ(get(PciHotPlug::kEvent), 255U | 1U << 16);
  set(PciHotPlug::kEvent, 255U | 1U << 16);
  EXPECT_EQ(get(PciHotPlug::kEvent), 0U);
  device_.insert(255, true);
  device_.insert(3, true);
  EXPECT_EQ(notifications_, 1U) << "it is there, or there is no such port";
  EXPECT_TRUE(device_.request_removal(255));
  EXPECT_EQ(get(PciHotPlug::kEvent), 255U | 3U << 16);
  report(255, 3, 0x84);  // it begins
  eject(255);
  EXPECT_THAT(ejected_, testing::ElementsAre(255));
  EXPECT_THAT(refused_, testing::IsEmpty());
  EXPECT_FALSE(device_.is_present(255));
  EXPECT_FALSE(device_.request_removal(255));
  eject(255);
  EXPECT_EQ(ejected_.size(), 1U) << "nothing is there any more";
}

TEST_F(PciHotPlugTest, TheGuestKeepsIt) {
  device_.insert(1, false);
  EXPECT_EQ(notifications_, 0U) << "before the guest runs";
  report(1, 3, 0x81);
  EXPECT_THAT(refused_, testing::IsEmpty()) << "nobody asked";
  device_.request_removal(1);
  report(1, 3, 0x81);
  report(1, 3, 0x81);
  EXPECT_THAT(refused_, testing::ElementsAre(1));
  EXPECT_TRUE(device_.is_present(1));
}

TEST_F(PciHotPlugTest, WhoDrivesTheSlotsItselfIsToldNothing) {
  set(PciHotPlug::kControl, 1);
  EXPECT_TRUE(device_.is_native());
  EXPECT_EQ(get(PciHotPlug::kControl), 1U);
  device_.insert(1, true);
  EXPECT_EQ(notifications_, 0U);
  EXPECT_EQ(get(PciHotPlug::kEvent), 0U);
  device_.remove(1);
  EXPECT_FALSE(device_.is_present(1));
  device_.reset();
  EXPECT_FALSE(device_.is_native()) << "another system may come";
  device_.insert(1, true);
  EXPECT_EQ(notifications_, 1U);
  device_.reset();
  EXPECT_EQ(get(PciHotPlug::kEvent), 0U);
  EXPECT_TRUE(device_.is_present(1));
}

// T5: what is no register takes nothing.
TEST_F(PciHotPlugTest, T5OtherWritesDoNothing) {
  device_.insert(2, false);
  const std::array<std::byte, 8> ones = {std::byte{1}, std::byte{1}};
  for (const std::size_t size : {1U, 2U, 3U, 5U, 8U})
    device_.write(2 * 16 + PciHotPlug::kEject, std::span(ones).first(size));
  set(2 * 16 + PciHotPlug::kEject + 1, 1);
  set(2 * 16 + PciHotPlug::kEject, 2);
  set(PciHotPlug::kSize, 1);
  set(PciHotPlug::kEvent, 0xffff'ffff);
  set(~std::uint64_t{3}, 1);
  EXPECT_TRUE(device_.is_present(2));
  EXPECT_FALSE(device_.is_native());
  EXPECT_EQ(get(PciHotPlug::kSize), 0U);
  EXPECT_EQ(get(~std::uint64_t{3}), 0U);
}

TEST_F(PciHotPlugTest, AStateGoesOnForWhatIsThere) {
  device_.insert(1, true);
  device_.insert(2, true);
  device_.request_removal(2);
  const PciHotPlug::State state = device_.save();
  device_.reset();
  device_.remove(1);
  device_.restore(state);
  EXPECT_EQ(get(PciHotPlug::kEvent), 2U | 3U << 16);
  report(2, 3, 1);
  EXPECT_THAT(refused_, testing::ElementsAre(2));
  PciHotPlug::State other = state;
  other.version = 2;
  EXPECT_THROW(device_.restore(other), Error);
}

}  // namespace
}  // namespace warren::vmm
