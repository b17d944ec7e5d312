// What a guest sees of a configuration space that nobody vouches for (class T5).
#include "vmm-core/vfio/configuration_view.h"

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

using namespace pci;

class Space {
 public:
  explicit Space(std::size_t size = kExtendedSize) : bytes_(size) {
    set<std::uint16_t>(kVendorId, 0x8086);
    set<std::uint16_t>(kDeviceId, 0x10d3);
    set<std::uint8_t>(kInterruptPin, 3);
    set<std::uint16_t>(kStatus, kStatusCapabilities);
  }
  template <typename T>
  Space& set(std::size_t offset, T value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
    return *this;
  }
  Space& capability(std::uint8_t offset, std::uint8_t id, std::uint8_t next) {
    return set(offset, id).set(offset + 1U, next);
  }
  Space& extended(std::size_t offset, std::uint16_t id, std::size_t next) {
    return set(offset, static_cast<std::uint32_t>(id | 1U << 16 | next << 20));
  }
  ConfigurationView view(bool behind_port = true) const {
    return ConfigurationView(bytes_, "0000:01:00.0", behind_port);
  }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// Where the guest's list leads, by what it reads.
std::vector<unsigned> list_of(const ConfigurationView& view, const Space& space) {
  Space copy = space;
  const auto read = [&](std::size_t offset) -> unsigned {
    const auto at = static_cast<std::uint16_t>(offset);
    const unsigned own = std::to_integer<unsigned>(copy.bytes()[offset]);
    return (view.value(at) & view.emulated(at)) | (own & ~unsigned{view.emulated(at)} & 0xff);
  };
  std::vector<unsigned> offsets;
  for (unsigned at = read(kCapabilitiesPointer); at != 0 && offsets.size() < 100; at = read(at + 1))
    offsets.push_back(at);
  return offsets;
}

std::vector<unsigned> extended_list_of(const ConfigurationView& view) {
  const auto read = [&](unsigned offset) {
    std::uint32_t header = 0;
    for (unsigned i = 0; i < 4; ++i)
      header |= std::uint32_t{view.value(static_cast<std::uint16_t>(offset + i))} << (8 * i);
    return header;
  };
  std::vector<unsigned> offsets;
  for (unsigned at = 0x100; at != 0 && offsets.size() < 2000; at = read(at) >> 20) {
    if ((read(at) & 0xffff) != 0) offsets.push_back(at);
  }
  return offsets;
}

TEST(ConfigurationView, ShowsAnEndpoint) {
  Space space;
  space.set<std::uint8_t>(kCapabilitiesPointer, 0xc8)
      .capability(0xc8, kCapabilityPowerManagement, 0xd0)
      .capability(0xd0, kCapabilityMsi, 0xe0)
      .set<std::uint16_t>(0xd2, 1 << 7)
      .capability(0xe0, kCapabilityMsix, 0)
      .set<std::uint16_t>(0xe2, 0x8004)
      .set<std::uint32_t>(0xe4, 3)
      .set<std::uint32_t>(0xe8, 0x2003);
  const ConfigurationView view = space.view();
  EXPECT_EQ(list_of(view, space), (std::vector<unsigned>{0xc8, 0xd0, 0xe0}));
  ASSERT_TRUE(view.msi());
  EXPECT_TRUE(view.msi()->is_64bit);
  EXPECT_EQ(view.msi()->size(), 14u);
  ASSERT_TRUE(view.msix());
  EXPECT_EQ(view.msix()->vectors, 5u);
  EXPECT_EQ(view.msix()->pending_offset, 0x2000u);
  // Off, whatever the device says.
  EXPECT_EQ(view.value(0xe3), 0);
  EXPECT_EQ(view.value(kInterruptPin), 1);
  // The body of what needs nothing of ours is the device's.
  EXPECT_EQ(view.emulated(0xca), 0);
  EXPECT_EQ(view.size(), std::size_t{kConventionalSize});
}

TEST(ConfigurationView, RefusesWhatIsNoDevice) {
  EXPECT_THROW(Space().set<std::uint16_t>(kVendorId, 0xffff).view(), Error);
  EXPECT_THROW(Space().set<std::uint8_t>(kHeaderType, kHeaderTypeBridge).view(), Error);
  EXPECT_THROW(Space(100).view(), Error);
  Space port;
  port.set<std::uint8_t>(kCapabilitiesPointer, 0x40)
      .capability(0x40, kCapabilityExpress, 0)
      .set<std::uint16_t>(0x42, 2 | 4 << 4);
  EXPECT_THROW(port.view(), Error);
}

TEST(ConfigurationView, EndsAListThatRunsInACircle) {
  Space space;
  space.set<std::uint8_t>(kCapabilitiesPointer, 0x40)
      .capability(0x40, kCapabilityVendor, 0x50)
      .capability(0x50, kCapabilityVendor, 0x40);
  EXPECT_EQ(list_of(space.view(), space), (std::vector<unsigned>{0x40, 0x50}));
  space.capability(0x50, kCapabilityVendor, 0x50);
  EXPECT_EQ(list_of(space.view(), space), (std::vector<unsigned>{0x40, 0x50}));
  // Into the header.
  space.capability(0x50, kCapabilityVendor, 0x04);
  EXPECT_EQ(list_of(space.view(), space), (std::vector<unsigned>{0x40, 0x50}));
}

TEST(ConfigurationView, HidesWhatLeavesTheSpaceOrReachesIntoAnother) {
  Space space;
  space.set<std::uint8_t>(kCapabilitiesPointer, 0xf8)
      .capability(0xf8, kCapabilityMsix, 0x50)  // 12 bytes
      .capability(0x50, kCapabilityMsi, 0x58)
      .set<std::uint16_t>(0x52, 1 << 7 | 1 << 8)  // 24 bytes
      .capability(0x58, kCapabilityMsix, 0x80)
      .capability(0x80, kCapabilityVendor, 0);
  const ConfigurationView view = space.view();
  EXPECT_EQ(list_of(view, space), (std::vector<unsigned>{0x50, 0x80}));
  EXPECT_FALSE(view.msix());
  EXPECT_TRUE(view.msi());
  EXPECT_EQ(view.emulated(0xf8), 0xff);
  EXPECT_EQ(view.value(0xf8), 0);
}

TEST(ConfigurationView, MakesAnEndpointOfAnIntegratedOne) {
  Space space;
  space.set<std::uint8_t>(kCapabilitiesPointer, 0x40)
      .capability(0x40, kCapabilityExpress, 0)
      .set<std::uint16_t>(0x42, 2 | 9 << 4);
  const ConfigurationView view = space.view();
  EXPECT_TRUE(view.is_express());
  EXPECT_EQ(view.value(0x42), 2);
  EXPECT_EQ(view.value(0x4c), 0x11);  // one lane of 2.5 GT/s
  EXPECT_EQ(view.value(0x52), 0x11);
  // And the other way round on the root bus.
  EXPECT_EQ(space.view(false).value(0x42), 2 | 9 << 4);
  EXPECT_EQ(space.set<std::uint16_t>(0x42, 2).view(false).value(0x42), 2 | 9 << 4);
}

TEST(ConfigurationView, HidesExtendedCapabilitiesOfBusesThatAreNotThere) {
  Space space;
  space.set<std::uint8_t>(kCapabilitiesPointer, 0x40)
      .capability(0x40, kCapabilityExpress, 0)
      .set<std::uint16_t>(0x42, 2)
      .extended(0x100, 0x0010, 0x140)  // SR-IOV, first
      .extended(0x140, 0x0001, 0x180)  // errors
      .extended(0x180, 0x000e, 0x200)  // ARI
      .extended(0x200, 0x0003, 0x140)  // serial number, and back
      .set<std::uint32_t>(0x108, 0xdeadbeef);
  const ConfigurationView view = space.view();
  EXPECT_EQ(view.size(), std::size_t{kExtendedSize});
  EXPECT_EQ(extended_list_of(view), (std::vector<unsigned>{0x140, 0x200}));
  EXPECT_EQ(view.emulated(0x108), 0xff);
  EXPECT_EQ(view.value(0x108), 0);
  EXPECT_EQ(view.emulated(0x144), 0);
  EXPECT_EQ(view.emulated(0x184), 0xff);
}

// Whatever it is, the guest's lists end, and the tables are where the capability says.
TEST(ConfigurationView, SurvivesNoise) {
  std::mt19937 random(7);
  int views = 0;
  for (int round = 0; round < 20'000; ++round) {
    Space space(round % 2 == 0 ? kConventionalSize : kExtendedSize);
    for (std::size_t i = kFirstCapability; i < space.bytes().size(); ++i)
      if (random() % 4 == 0) space.bytes()[i] = static_cast<std::byte>(random());
    constexpr std::array<std::uint8_t, 6> kIds = {0x01, 0x05, 0x09, 0x10, 0x11, 0x14};
    std::uint8_t offset = 0x40;
    space.set(kCapabilitiesPointer, offset);
    for (int i = 0; i < 8; ++i) {
      const auto next = static_cast<std::uint8_t>(random() % 256);
      space.capability(static_cast<std::uint8_t>(offset & ~3U), kIds[random() % kIds.size()], next);
      if ((next & ~3U) < 0x40) break;
      offset = static_cast<std::uint8_t>(next & ~3U);
    }
    try {
      const ConfigurationView view = space.view();
      ++views;
      ASSERT_LE(list_of(view, space).size(), 48u);
      if (view.size() == kExtendedSize) {
        ASSERT_LE(extended_list_of(view).size(), 960u);
      }
      if (view.msi()) {
        ASSERT_LE(view.msi()->offset + view.msi()->size(), 256);
      }
    } catch (const Error&) {
    }
  }
  EXPECT_GT(views, 1000);
}

}  // namespace
}  // namespace warren::vmm::vfio
