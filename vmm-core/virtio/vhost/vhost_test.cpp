// Devices that the kernel serves, with a test in the kernel's place.
#include <algorithm>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/vhost/fake_kernel.h"
#include "vmm-core/virtio/vhost/vsock.h"

namespace warren::vmm::virtio::vhost {
namespace {

constexpr std::uint64_t kCid = 42;
constexpr std::uint64_t kWanted = kFeatureIndirect | kFeatureEventIndex | kFeaturePacked | 2;

class VhostTest : public testing::Test {
 protected:
  std::unique_ptr<Device> make_device() {
    return std::make_unique<Vsock>("vsock0", kCid, std::make_unique<FakeKernel>(kernel_), memory_, thread_);
  }
  void start() { ASSERT_TRUE(guest_.start(kWanted)); }
  // What the kernel finds at an address of its own.
  std::uint16_t used_index(std::size_t ring) const {
    std::uint16_t index = 0;
    std::memcpy(
        &index,
        reinterpret_cast<const std::byte*>(kernel_.rings[ring].places.used_user_addr) + 2,  // as it does
        sizeof(index));
    return index;
  }
  void use(std::size_t ring, std::uint16_t chains) {
    const auto index = static_cast<std::uint16_t>(used_index(ring) + chains);
    std::memcpy(reinterpret_cast<std::byte*>(kernel_.rings[ring].places.used_user_addr) + 2, &index,
                sizeof(index));  // as the kernel does
    kernel_.rings[ring].base += chains;
  }
  bool has(unsigned long request) const { return std::ranges::count(kernel_.requests, request) != 0; }

  EventThread thread_{"vhost-test"};
  GuestMemory memory_{FakeGuest::kLayout};
  FakeKernelState kernel_;
  FakeGuest guest_{make_device(), &memory_};
};

TEST_F(VhostTest, TheKernelWorksForThisProcessAndOffersWhatItKnows) {
  EXPECT_EQ(kernel_.requests.front(), VHOST_SET_OWNER);
  EXPECT_EQ(guest_.offered(), kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | 2)
      << "nothing that is vhost's own, and no packed rings";
  EXPECT_EQ(guest_.get<std::uint64_t>(FakeGuest::kDevice), kCid);
  EXPECT_FALSE(kernel_.is_running);
}

TEST_F(VhostTest, ADriverThatIsReadySetsTheKernelToWork) {
  start();
  EXPECT_TRUE(kernel_.is_running);
  EXPECT_EQ(kernel_.requests.back(), VHOST_VSOCK_SET_RUNNING) << "when all is told";
  EXPECT_EQ(kernel_.features, kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | 2);
  ASSERT_EQ(kernel_.memory.size(), 1U);
  EXPECT_EQ(kernel_.memory[0].guest_phys_addr, 0U);
  EXPECT_EQ(kernel_.memory[0].memory_size, FakeGuest::kRamSize);
  const auto host = kernel_.memory[0].userspace_addr;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& ring = kernel_.rings[i];
    const QueueConfiguration rings = guest_.queue(i).configuration();
    EXPECT_EQ(ring.size, FakeGuest::kQueueSize);
    EXPECT_EQ(ring.base, 0U);
    EXPECT_EQ(ring.places.flags, 0U) << "no log";
    EXPECT_EQ(ring.places.desc_user_addr, host + rings.descriptors.value);
    EXPECT_EQ(ring.places.avail_user_addr, host + rings.driver.value);
    EXPECT_EQ(ring.places.used_user_addr, host + rings.device.value);
    EXPECT_GE(ring.kick, 0);
    EXPECT_GE(ring.call, 0);
    EXPECT_EQ(ring.damage, kernel_.rings[0].damage);
  }
}

TEST_F(VhostTest, DoorbellsReachTheKernelAndItsSignalsTheGuest) {
  guest_.enable_msix();
  start();
  for (std::uint16_t i = 0; i < 2; ++i) {
    guest_.set<std::uint16_t>(0x16, i);
    guest_.set<std::uint16_t>(0x1a, static_cast<std::uint16_t>(i + 1));
  }
  guest_.kick(1);
  pollfd doorbell{.fd = kernel_.rings[1].kick, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&doorbell, 1, 0), 1);
  FakeKernelState::ring_bell(kernel_.rings[0].call);
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_.messages().signalled(1) == 1; }));
  FakeKernelState::ring_bell(kernel_.rings[1].call);
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_.messages().signalled(2) == 1; }));
}

TEST_F(VhostTest, AGuestWithoutMessagesIsInterruptedByTheWire) {
  start();
  FakeKernelState::ring_bell(kernel_.rings[0].call);
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_.interrupt_line(); }));
  EXPECT_EQ(guest_.get<std::uint8_t>(FakeGuest::kIsr), 1);
}

// T7: nothing is the kernel's any more when a pause or a reset has returned.
TEST_F(VhostTest, T7APausedDeviceKnowsWhereItsQueuesHaveComeTo) {
  start();
  const int call = kernel_.rings[0].call;
  use(0, 3);
  use(1, 7);
  FakeKernelState::ring_bell(call);
  guest_.transport().pause();
  EXPECT_FALSE(kernel_.is_running);
  EXPECT_EQ(kernel_.rings[0].kick, -1);
  EXPECT_EQ(kernel_.rings[0].call, -1);
  EXPECT_TRUE(guest_.interrupt_line()) << "what was due is not lost";
  const PciTransportState state = guest_.transport().save();
  EXPECT_EQ(state.positions[0].next_available, 3);
  EXPECT_EQ(state.positions[0].next_used, 3);
  EXPECT_EQ(state.positions[1].next_available, 7);
  kernel_.rings[0].base = kernel_.rings[1].base = 0;
  guest_.transport().resume();
  EXPECT_TRUE(kernel_.is_running);
  EXPECT_EQ(kernel_.rings[0].base, 3U);
  EXPECT_EQ(kernel_.rings[1].base, 7U);
}

TEST_F(VhostTest, ASavedMachineGoesOnWithAnotherKernel) {
  start();
  use(1, 5);
  guest_.transport().pause();
  const PciTransportState state = guest_.transport().save();
  kernel_ = {};
  guest_.plug(make_device());
  guest_.transport().pause();
  guest_.transport().restore(state);
  EXPECT_FALSE(kernel_.is_running);
  guest_.transport().resume();
  EXPECT_TRUE(kernel_.is_running);
  EXPECT_EQ(kernel_.rings[1].base, 5U);
}

TEST_F(VhostTest, TheMemoryTableFollowsMemoryThatComesAndGoes) {
  start();
  FileDescriptor file(::memfd_create("more", MFD_CLOEXEC));
  MemoryRegion more{.start = {std::uint64_t{4} << 30}, .size = 0x20'0000, .file = &file};
  std::vector<std::byte> there(more.size);
  more.host = there.data();
  guest_.transport().pause();
  memory_.attach(more);
  guest_.transport().resume();
  ASSERT_EQ(kernel_.memory.size(), 2U);
  EXPECT_EQ(kernel_.memory[1].guest_phys_addr, more.start.value);
  EXPECT_EQ(kernel_.memory[1].memory_size, more.size);
  EXPECT_EQ(kernel_.memory[1].userspace_addr, reinterpret_cast<std::uintptr_t>(more.host));
  guest_.transport().pause();
  memory_.detach(more.start);
  guest_.transport().resume();
  EXPECT_EQ(kernel_.memory.size(), 1U);
}

// T12: whatever the kernel refuses, the driver learns that its device is lost, and a new start works.
TEST_F(VhostTest, T12ARefusalOfAnyRequestAsksForAReset) {
  for (const unsigned long request : {VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_VRING_NUM,
                                      VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR,
                                      VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK, VHOST_VSOCK_SET_RUNNING}) {
    kernel_.refused = request;
    EXPECT_FALSE(guest_.start(kWanted));
    EXPECT_EQ(guest_.status() & FakeGuest::kNeedsReset, FakeGuest::kNeedsReset) << request;
    EXPECT_FALSE(kernel_.is_running);
    kernel_.refused = 0;
    start();
    EXPECT_TRUE(kernel_.is_running);
    // And in the middle of its life.
    guest_.transport().pause();
    kernel_.refused = request;
    guest_.transport().resume();
    EXPECT_EQ(guest_.status() & FakeGuest::kNeedsReset, FakeGuest::kNeedsReset) << request;
    kernel_.refused = 0;
  }
}

TEST_F(VhostTest, T12AKernelThatWillNotSayWhereItIsIsSurvived) {
  start();
  kernel_.refused = VHOST_GET_VRING_BASE;
  guest_.transport().pause();
  guest_.transport().resume();
  EXPECT_TRUE(kernel_.is_running);
}

// T1: a ring the kernel cannot make sense of.
TEST_F(VhostTest, T1ADamagedRingAsksForAReset) {
  start();
  FakeKernelState::ring_bell(kernel_.rings[1].damage);
  EXPECT_TRUE(FakeGuest::eventually([&] { return (guest_.status() & FakeGuest::kNeedsReset) != 0; }));
  start();
  EXPECT_TRUE(kernel_.is_running);
}

TEST_F(VhostTest, T1RingsOutsideRamAreNotHandedOver) {
  ASSERT_TRUE(guest_.negotiate(kWanted));
  guest_.make_queues();
  guest_.reset();
  ASSERT_TRUE(guest_.negotiate(kWanted));
  guest_.set<std::uint16_t>(0x16, 0);
  guest_.set<std::uint64_t>(0x20, FakeGuest::kRamSize);
  guest_.set<std::uint16_t>(0x1c, 1);
  guest_.set<std::uint8_t>(0x14, FakeGuest::kDriverOk);
  EXPECT_FALSE(kernel_.is_running);
  EXPECT_FALSE(has(VHOST_SET_VRING_ADDR));
  start();
  EXPECT_TRUE(kernel_.is_running);
}

TEST_F(VhostTest, T7AResetAndAnUnplugTakeTheQueuesBack) {
  start();
  guest_.reset();
  EXPECT_FALSE(kernel_.is_running);
  EXPECT_EQ(kernel_.rings[1].kick, -1);
  start();
  EXPECT_EQ(kernel_.rings[1].base, 0U);
  FakeKernelState other;
  guest_.plug(std::make_unique<Vsock>("vsock1", kCid, std::make_unique<FakeKernel>(other), memory_, thread_));
  EXPECT_FALSE(kernel_.is_running);
  guest_.plug(make_device());
}

TEST_F(VhostTest, AKernelThatKnowsLessIsRefused) {
  FakeKernelState old;
  old.offered = kFeatureVersion1;
  EXPECT_THROW(Vsock("vsock1", kCid, std::make_unique<FakeKernel>(old), memory_, thread_), Error);
  FakeKernelState taken;
  taken.refused = VHOST_SET_OWNER;
  taken.refusal = EBUSY;
  EXPECT_THROW(Vsock("vsock1", kCid, std::make_unique<FakeKernel>(taken), memory_, thread_), Error);
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
