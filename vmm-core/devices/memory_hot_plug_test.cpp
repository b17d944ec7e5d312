#include "vmm-core/devices/memory_hot_plug.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::vmm {
namespace {

constexpr MemoryHotPlug::Module kModule{.address = 0x1'4000'0000, .size = 0x2000'0000, .node = 3};

class MemoryHotPlugTest : public testing::Test {
 protected:
  std::uint32_t get(std::uint64_t offset) {
    std::uint32_t value = 0;
    device_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::uint64_t get_wide(std::uint64_t offset) { return get(offset) | std::uint64_t{get(offset + 4)} << 32; }
  void set(std::uint64_t offset, std::uint32_t value) {
    device_.write(offset, std::as_bytes(std::span(&value, 1)));
  }
  std::uint32_t status(std::uint32_t slot) { return get(slot * 64 + MemoryHotPlug::kStatus); }
  void eject(std::uint32_t slot) { set(slot * 64 + MemoryHotPlug::kEject, 1); }
  void report(std::uint32_t slot, std::uint32_t event, std::uint32_t code) {
    set(slot * 64 + MemoryHotPlug::kSourceEvent, event);
    set(slot * 64 + MemoryHotPlug::kStatusCode, code);
  }

  unsigned notifications_ = 0;
  std::vector<std::uint32_t> ejected_, refused_;
  MemoryHotPlug device_{4,
                        {.notify = [this] { ++notifications_; },
                         .ejected = [this](std::uint32_t slot) { ejected_.push_back(slot); },
                         .refused = [this](std::uint32_t slot) { refused_.push_back(slot); }}};
};

TEST_F(MemoryHotPlugTest, TheGuestIsToldOfAModuleThatComes) {
  EXPECT_EQ(status(2), 0U);
  EXPECT_EQ(get_wide(2 * 64 + MemoryHotPlug::kLast), 0U);
  EXPECT_TRUE(device_.insert(2, kModule, true));
  EXPECT_EQ(notifications_, 1U);
  EXPECT_EQ(status(2), 0xfU);
  EXPECT_EQ(get_wide(2 * 64 + MemoryHotPlug::kFirst), 0x1'4000'0000U);
  EXPECT_EQ(get_wide(2 * 64 + MemoryHotPlug::kLast), 0x1'5fff'ffffU);
  EXPECT_EQ(get_wide(2 * 64 + MemoryHotPlug::kLength), 0x2000'0000U);
  EXPECT_EQ(get(2 * 64 + MemoryHotPlug::kNode), 3U);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 2U | 1U << 16);
  set(MemoryHotPlug::kEvent, 2U | 3U << 16);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 2U | 1U << 16) << "not what was read";
  set(MemoryHotPlug::kEvent, 2U | 1U << 16);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 0U);
  EXPECT_FALSE(device_.insert(2, kModule, true)) << "it is there";
  EXPECT_FALSE(device_.insert(4, kModule, true)) << "there is no such slot";
  EXPECT_TRUE(device_.insert(0, kModule, false)) << "before the guest runs";
  EXPECT_EQ(notifications_, 1U);
  EXPECT_EQ(status(0), 0xfU);
}

TEST_F(MemoryHotPlugTest, TheGuestLetsGo) {
  EXPECT_FALSE(device_.request_removal(1));
  device_.insert(1, kModule, false);
  EXPECT_TRUE(device_.request_removal(1));
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 1U | 3U << 16);
  report(1, 3, 0x84);  // it begins
  eject(1);
  EXPECT_THAT(ejected_, testing::ElementsAre(1));
  EXPECT_THAT(refused_, testing::IsEmpty());
  EXPECT_FALSE(device_.is_present(1));
  EXPECT_EQ(status(1), 0U);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 0U);
  eject(1);
  EXPECT_THAT(ejected_, testing::ElementsAre(1)) << "once";
  EXPECT_TRUE(device_.insert(1, kModule, true)) << "another one comes";
}

TEST_F(MemoryHotPlugTest, TheGuestRefusesOnceForEachRequest) {
  device_.insert(1, kModule, false);
  report(1, 3, 0x82);
  EXPECT_THAT(refused_, testing::IsEmpty()) << "nobody asked";
  EXPECT_TRUE(device_.request_removal(1));
  report(1, 1, 0x82);
  EXPECT_THAT(refused_, testing::IsEmpty()) << "the answer to something else";
  report(1, 0x103, 0x82);
  report(1, 3, 1);
  EXPECT_THAT(refused_, testing::ElementsAre(1));
  EXPECT_EQ(status(1), 0xfU);
}

TEST_F(MemoryHotPlugTest, WhatIsThereSurvivesAResetAndEventsDoNot) {
  device_.insert(1, kModule, true);
  device_.request_removal(1);
  const MemoryHotPlug::State state = device_.save();
  device_.reset();
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 0U);
  EXPECT_EQ(status(1), 0xfU);
  report(1, 3, 1);
  EXPECT_THAT(refused_, testing::IsEmpty());
  device_.restore(state);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 1U | 3U << 16);
  // T21: a state that tells of modules and events that are none.
  MemoryHotPlug::State hostile = state;
  hostile.slots.resize(1000);
  for (auto& slot : hostile.slots) slot = {.module = kModule, .request = {.event = 0xff}};
  device_.restore(hostile);
  EXPECT_EQ(get(MemoryHotPlug::kEvent), 0U);
  EXPECT_EQ(status(2), 0U);
}

// T5: every offset and width; what is not an aligned dword does nothing.
TEST_F(MemoryHotPlugTest, T5AccessesOfEveryWidthAreHarmless) {
  device_.insert(1, kModule, false);
  std::array<std::byte, 8> data;
  for (std::uint64_t offset = 0; offset < MemoryHotPlug::kSize; ++offset) {
    for (std::size_t size = 1; size <= data.size(); ++size) {
      data.fill(std::byte{0xff});
      if (size != 4 || offset % 4 != 0) device_.write(offset, std::span(data).first(size));
      device_.read(offset, std::span(data).first(size));
    }
  }
  EXPECT_THAT(ejected_, testing::IsEmpty());
  EXPECT_TRUE(device_.is_present(1));
}

}  // namespace
}  // namespace warren::vmm
