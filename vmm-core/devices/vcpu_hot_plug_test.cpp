#include "vmm-core/devices/vcpu_hot_plug.h"

#include <array>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::vmm {
namespace {

class VcpuHotPlugTest : public testing::Test {
 protected:
  std::uint32_t get(std::uint64_t offset) {
    std::uint32_t value = 0;
    device_.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void set(std::uint64_t offset, std::uint32_t value) {
    device_.write(offset, std::as_bytes(std::span(&value, 1)));
  }
  std::uint32_t status(std::uint32_t vcpu) { return get(vcpu * 16 + VcpuHotPlug::kStatus); }
  void eject(std::uint32_t vcpu) { set(vcpu * 16 + VcpuHotPlug::kEject, 1); }
  void report(std::uint32_t vcpu, std::uint32_t event, std::uint32_t code) {
    set(vcpu * 16 + VcpuHotPlug::kSourceEvent, event);
    set(vcpu * 16 + VcpuHotPlug::kStatusCode, code);
  }

  static constexpr std::array<std::uint32_t, 2> kHotPluggable = {2, 3};
  static constexpr std::array<std::uint32_t, 1> kAbsent = {3};
  unsigned notifications_ = 0;
  std::vector<std::uint32_t> ejected_, refused_;
  VcpuHotPlug device_{4,
                      kHotPluggable,
                      kAbsent,
                      {.notify = [this] { ++notifications_; },
                       .ejected = [this](std::uint32_t vcpu) { ejected_.push_back(vcpu); },
                       .refused = [this](std::uint32_t vcpu) { refused_.push_back(vcpu); }}};
};

TEST_F(VcpuHotPlugTest, TheGuestIsToldOfOneThatComes) {
  EXPECT_EQ(status(2), 0xfU);
  EXPECT_EQ(status(3), 0U);
  EXPECT_EQ(get(0), 0U);
  EXPECT_TRUE(device_.insert(3));
  EXPECT_EQ(notifications_, 1U);
  EXPECT_EQ(status(3), 0xfU);
  EXPECT_EQ(get(0), 3U | 1U << 16);
  set(0, 3U | 3U << 16);
  EXPECT_EQ(get(0), 3U | 1U << 16) << "not what was read";
  set(0, 3U | 1U << 16);
  EXPECT_EQ(get(0), 0U);
  EXPECT_FALSE(device_.insert(3)) << "it is there";
}

TEST_F(VcpuHotPlugTest, TheGuestLetsGo) {
  EXPECT_TRUE(device_.request_removal(2));
  EXPECT_EQ(get(0), 2U | 3U << 16);
  report(2, 3, 0x84);  // it begins
  eject(2);
  EXPECT_THAT(ejected_, testing::ElementsAre(2));
  EXPECT_THAT(refused_, testing::IsEmpty());
  EXPECT_FALSE(device_.is_present(2));
  EXPECT_EQ(status(2), 0U);
  EXPECT_EQ(get(0), 0U);
  EXPECT_FALSE(device_.request_removal(2));
  EXPECT_TRUE(device_.insert(2)) << "and comes back";
}

TEST_F(VcpuHotPlugTest, TheGuestRefusesOnceForEachRequest) {
  report(2, 3, 0x82);
  EXPECT_THAT(refused_, testing::IsEmpty()) << "nobody asked";
  EXPECT_TRUE(device_.request_removal(2));
  report(2, 1, 0x82);
  EXPECT_THAT(refused_, testing::IsEmpty()) << "the answer to something else";
  report(2, 0x103, 0x82);
  report(2, 3, 1);
  EXPECT_THAT(refused_, testing::ElementsAre(2));
  EXPECT_EQ(status(2), 0xfU);
  EXPECT_TRUE(device_.request_removal(2));
  report(2, 3, 1);
  EXPECT_THAT(refused_, testing::ElementsAre(2, 2));
}

TEST_F(VcpuHotPlugTest, WhatIsThereSurvivesAReset) {
  device_.insert(3);
  device_.request_removal(2);
  device_.reset();
  EXPECT_EQ(get(0), 0U);
  EXPECT_TRUE(device_.is_present(3));
  EXPECT_TRUE(device_.is_present(2));
  report(2, 3, 1);
  EXPECT_THAT(refused_, testing::IsEmpty());
}

TEST_F(VcpuHotPlugTest, StateIsSavedAndHostileStateIsTamed) {
  device_.insert(3);
  device_.request_removal(2);
  const auto saved = device_.save();
  device_.reset();
  eject(3);
  device_.restore(saved);
  EXPECT_TRUE(device_.is_present(3));
  EXPECT_EQ(get(0), 2U | 3U << 16);
  auto hostile = saved;
  for (auto& slot : hostile.slots)
    slot = {.hot_pluggable = true, .present = false, .request = {.event = 0xff}};
  hostile.slots.resize(4096);
  device_.restore(hostile);
  EXPECT_TRUE(device_.is_present(0));
  EXPECT_TRUE(device_.is_present(1)) << "it cannot go";
  EXPECT_EQ(get(0), 0U);
}

// T5: every access at every offset; those that are no aligned dword change nothing, and what cannot go stays.
TEST_F(VcpuHotPlugTest, T5HostileAccessesChangeNothing) {
  for (std::uint64_t offset = 0; offset < VcpuHotPlug::kSize; ++offset) {
    for (std::size_t size = 1; size <= 8; ++size) {
      std::array<std::byte, 16> data;
      data.fill(std::byte{0xff});
      if (size != 4 || offset % 4 != 0) device_.write(offset, std::span<const std::byte>(data).first(size));
      device_.read(offset, std::span(data).first(size));
      for (std::size_t i = size; i < data.size(); ++i) ASSERT_EQ(data[i], std::byte{0xff});
    }
  }
  EXPECT_THAT(ejected_, testing::IsEmpty());
  for (std::uint64_t offset = 0; offset < VcpuHotPlug::kSize; offset += 4) set(offset, 0xffffffff);
  EXPECT_THAT(ejected_, testing::ElementsAre(2));
  EXPECT_TRUE(device_.is_present(0));
  EXPECT_TRUE(device_.is_present(1));
  EXPECT_FALSE(device_.insert(0));
  EXPECT_FALSE(device_.insert(1));
  EXPECT_FALSE(device_.insert(4));
  EXPECT_FALSE(device_.request_removal(0xffffffff));
}

}  // namespace
}  // namespace warren::vmm
