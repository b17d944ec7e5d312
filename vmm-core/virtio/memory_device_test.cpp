// What the memory device does beyond what every device does: requests, sizes, and where the memory is.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "vmm-core/virtio/fake_memory.h"

namespace warren::vmm::virtio {
namespace {

using Host = MemoryHost;
constexpr std::uint64_t kAddress = Host::kAddress, kBlock = Host::kBlock;
constexpr std::uint64_t kDevice = FakeGuest::kDevice;
constexpr Host::Answer kDone{Host::kAcknowledged, 0}, kDenied{Host::kDenied, 0}, kError{Host::kError, 0};

class MemoryDeviceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(guest_.start(3)); }
  Host::Answer ask(std::uint16_t type, std::uint64_t address, std::uint16_t blocks) {
    return Host::ask(guest_, type, address, blocks);
  }
  std::uint64_t usable() { return guest_.get<std::uint64_t>(kDevice + 32); }
  std::uint64_t plugged() { return guest_.get<std::uint64_t>(kDevice + 40); }
  std::uint64_t requested() { return guest_.get<std::uint64_t>(kDevice + 48); }
  std::uint64_t host_bytes() {
    struct stat status{};
    ::fstat(host_.device_memory().region().file->get(), &status);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }

  Host host_;
  FakeGuest guest_{host_.make_device(), host_.guest_memory()};
};

TEST_F(MemoryDeviceTest, TellsWhereItIs) {
  EXPECT_EQ(guest_.offered() & 3, 3U) << "a node, and unplugged memory is not to be touched";
  EXPECT_EQ(guest_.get<std::uint64_t>(kDevice), kBlock);
  EXPECT_EQ(guest_.get<std::uint16_t>(kDevice + 8), 1);
  EXPECT_EQ(guest_.get<std::uint64_t>(kDevice + 16), kAddress);
  EXPECT_EQ(guest_.get<std::uint64_t>(kDevice + 24), Host::kSize);
  EXPECT_EQ(usable(), Host::kSize);
  EXPECT_EQ(plugged(), 0U);
  EXPECT_EQ(requested(), Host::kSize / 2);
  guest_.set<std::uint64_t>(kDevice + 48, 1);
  EXPECT_EQ(requested(), Host::kSize / 2) << "the driver writes nothing";
}

TEST_F(MemoryDeviceTest, BlocksComeAndGo) {
  const GuestAddress place{kAddress + 5 * kBlock};
  EXPECT_FALSE(guest_.memory().contains(place, 8));
  EXPECT_EQ(ask(Host::kPlug, kAddress + 4 * kBlock, 3), kDone);
  EXPECT_EQ(plugged(), 3 * kBlock);
  EXPECT_TRUE(guest_.memory().contains({kAddress + 4 * kBlock}, 3 * kBlock));
  EXPECT_FALSE(guest_.memory().contains({kAddress + 4 * kBlock}, 3 * kBlock + 1));
  EXPECT_TRUE(guest_.memory().write_object(place, 0xfeed));
  EXPECT_EQ(host_bytes(), 4096U);
  EXPECT_EQ(ask(Host::kState, kAddress + 4 * kBlock, 3), kDone);
  EXPECT_EQ(ask(Host::kState, kAddress + 3 * kBlock, 2), (Host::Answer{Host::kAcknowledged, 2}));
  EXPECT_EQ(ask(Host::kState, kAddress, 4), (Host::Answer{Host::kAcknowledged, 1}));
  EXPECT_EQ(ask(Host::kUnplug, kAddress + 5 * kBlock, 1), kDone);
  EXPECT_EQ(host_bytes(), 0U) << "its memory is the host's again";
  EXPECT_FALSE(guest_.memory().read_object<int>(place));
  EXPECT_EQ(plugged(), 2 * kBlock);
  EXPECT_EQ(ask(Host::kPlug, kAddress + 5 * kBlock, 1), kDone);
  EXPECT_EQ(guest_.memory().read_object<int>(place), 0);
}

// T1, T6, T8: what is not aligned, not in the device, plugged twice or more than was asked for.
TEST_F(MemoryDeviceTest, T1RequestsThatCannotBeAreRefused) {
  EXPECT_EQ(ask(Host::kPlug, kAddress + 4096, 1), kError);
  EXPECT_EQ(ask(Host::kPlug, kAddress, 0), kError);
  EXPECT_EQ(ask(Host::kPlug, kAddress - kBlock, 1), kError);
  EXPECT_EQ(ask(Host::kPlug, 0, 1), kError);
  EXPECT_EQ(ask(Host::kPlug, ~std::uint64_t{0} - kBlock + 1, 0xffff), kError);
  EXPECT_EQ(ask(Host::kPlug, kAddress + Host::kSize - kBlock, 2), kError);
  EXPECT_EQ(ask(Host::kPlug, kAddress, 0xffff), kError);
  EXPECT_EQ(ask(Host::kState, kAddress, 0xffff), kError);
  EXPECT_EQ(ask(7, kAddress, 1), kError);
  EXPECT_EQ(ask(Host::kUnplug, kAddress, 1), kError) << "it is not plugged";
  EXPECT_EQ(ask(Host::kPlug, kAddress, 2), kDone);
  EXPECT_EQ(ask(Host::kPlug, kAddress + kBlock, 2), kError) << "one of them is plugged";
  EXPECT_EQ(ask(Host::kUnplug, kAddress + kBlock, 2), kError) << "one of them is not";
  EXPECT_EQ(ask(Host::kPlug, kAddress + 2 * kBlock, 15), kDenied) << "more than was asked for";
  EXPECT_EQ(ask(Host::kPlug, kAddress + 2 * kBlock, 14), kDone);
  EXPECT_EQ(ask(Host::kPlug, kAddress + 20 * kBlock, 1), kDenied);
  EXPECT_EQ(plugged(), 16 * kBlock);
}

TEST_F(MemoryDeviceTest, TheSizeAskedForIsToldAndBounds) {
  EXPECT_EQ(ask(Host::kPlug, kAddress, 16), kDone);
  static_cast<void>(guest_.get<std::uint8_t>(FakeGuest::kIsr));  // of the queue
  host_.device().request(4 * kBlock);
  EXPECT_EQ(guest_.get<std::uint8_t>(FakeGuest::kIsr), 2U) << "the configuration has changed";
  EXPECT_EQ(requested(), 4 * kBlock);
  EXPECT_EQ(ask(Host::kPlug, kAddress + 16 * kBlock, 1), kDenied);
  EXPECT_EQ(ask(Host::kUnplug, kAddress + 4 * kBlock, 12), kDone);
  host_.device().request(0);
  EXPECT_EQ(usable(), Host::kSize) << "what is plugged can be unplugged";
  EXPECT_EQ(ask(Host::kUnplugAll, 0, 0), kDone);
  EXPECT_EQ(plugged(), 0U);
  EXPECT_EQ(usable(), 0U);
  EXPECT_EQ(ask(Host::kState, kAddress, 1), kError);
  host_.device().request(kBlock);
  EXPECT_EQ(ask(Host::kPlug, kAddress + 9 * kBlock, 1), kDone);
}

// The guest's CPUs see slots that have a plugged block, and no others.
TEST_F(MemoryDeviceTest, SlotsFollowTheBlocks) {
  const std::uint64_t slot = host_.device_memory().slot_bytes();
  ASSERT_EQ(slot, 16u << 20);
  EXPECT_EQ(host_.slots().count(), 0U);
  EXPECT_EQ(ask(Host::kPlug, kAddress + slot - kBlock, 2), kDone);
  EXPECT_EQ(host_.slots().count(), 2U);
  EXPECT_TRUE(host_.slots().has({kAddress}, slot));
  EXPECT_EQ(ask(Host::kUnplug, kAddress + slot, 1), kDone);
  EXPECT_EQ(host_.slots().count(), 1U);
  // What a guest wrote beside its blocks goes with the slot.
  host_.device_memory().region().host[0] = std::byte{1};
  EXPECT_EQ(ask(Host::kUnplugAll, 0, 0), kDone);
  EXPECT_EQ(host_.slots().count(), 0U);
  EXPECT_EQ(host_bytes(), 0U);
}

TEST_F(MemoryDeviceTest, T12AHostWithoutSlotsIsBusy) {
  host_.slots().refuse_after(1);
  EXPECT_EQ(ask(Host::kPlug, kAddress, 16), (Host::Answer{Host::kBusy, 0}));
  EXPECT_EQ(plugged(), 0U);
  EXPECT_EQ(host_.slots().count(), 0U);
  host_.slots().refuse_after(100);
  EXPECT_EQ(ask(Host::kPlug, kAddress, 16), kDone);
}

TEST_F(MemoryDeviceTest, AResetOfTheDeviceUnplugsNothing) {
  EXPECT_EQ(ask(Host::kPlug, kAddress, 4), kDone);
  ASSERT_TRUE(guest_.start(3));
  EXPECT_EQ(plugged(), 4 * kBlock);
  EXPECT_EQ(ask(Host::kUnplugAll, 0, 0), kDone);
}

TEST_F(MemoryDeviceTest, ItsStateIsSavedAndRestored) {
  EXPECT_EQ(ask(Host::kPlug, kAddress + 3 * kBlock, 2), kDone);
  guest_.transport().pause();
  const MemoryDevice::State state = host_.device().save();
  host_.device_memory().unplug_all();
  host_.device().request(0);
  host_.device().restore(state);
  EXPECT_EQ(plugged(), 2 * kBlock);
  EXPECT_EQ(requested(), Host::kSize / 2);
  EXPECT_TRUE(guest_.memory().contains({kAddress + 3 * kBlock}, 2 * kBlock));
  // T21: what is not its own.
  MemoryDevice::State bad = state;
  bad.plugged.pop_back();
  EXPECT_THROW(host_.device().restore(bad), Error);
  bad = state;
  bad.requested_bytes = Host::kSize + kBlock;
  EXPECT_THROW(host_.device().restore(bad), Error);
  EXPECT_EQ(plugged(), 2 * kBlock);
}

}  // namespace
}  // namespace warren::vmm::virtio
