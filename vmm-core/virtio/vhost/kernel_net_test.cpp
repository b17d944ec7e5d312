// A network device whose packets the kernel moves, with a test in the kernel's place.
#include "vmm-core/virtio/vhost/kernel_net.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <poll.h>

#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/net_layout.h"
#include "vmm-core/virtio/vhost/fake_kernel.h"

namespace warren::vmm::virtio::vhost {
namespace {

using namespace net_layout;
constexpr std::uint64_t kWanted = ~std::uint64_t{0};

class KernelNetTest : public testing::Test {
 protected:
  static constexpr std::size_t kPairs = 2;

  void SetUp() override {
    try {
      host_ = std::make_unique<NetHost>(kPairs);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    for (auto& kernel : kernels_) kernel.offered |= kMergeable;
    guest_ = std::make_unique<FakeGuest>(make_device(), &memory_);
  }
  std::unique_ptr<Device> make_device() {
    auto taps = host_->make_taps();
    std::vector<std::unique_ptr<Peer>> peers;
    std::vector<int> descriptors;
    for (std::size_t i = 0; i < kPairs; ++i) {
      peers.push_back(std::make_unique<FakeKernel>(kernels_[i]));
      descriptors.push_back(taps[i]->descriptor());
    }
    auto back_end = std::make_unique<KernelNet>("net0", std::move(peers), descriptors, memory_, thread_,
                                                [this](const std::string& why) { reports_.push_back(why); });
    taps_ = descriptors;
    return std::make_unique<Net>("net0", std::move(taps), NetOptions{.packed = true}, host_->counters(),
                                 std::vector<EventThread*>{&thread_}, std::move(back_end));
  }
  void start() { ASSERT_TRUE(guest_->start(kWanted)); }
  Net& device() { return dynamic_cast<Net&>(guest_->transport().device()); }
  // Through the worker: the kernel that is faked moves nothing.
  bool sends() {
    const auto before = host_->counters().transmit_packets.load() + host_->counters().transmit_errors.load();
    guest_->queue(1).offer({{FakeGuest::kBuffers, 72, false}});
    guest_->kick(1);
    return guest_->wait_used(1, 200) &&
           host_->counters().transmit_packets.load() + host_->counters().transmit_errors.load() == before + 1;
  }

  EventThread thread_{"vhost-net-test"};
  GuestMemory memory_{FakeGuest::kLayout};
  std::array<FakeKernelState, kPairs> kernels_;
  std::vector<std::string> reports_;
  std::vector<int> taps_;
  std::unique_ptr<NetHost> host_;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(KernelNetTest, WhatTheKernelDoesNotDoIsNotOffered) {
  const std::uint64_t offered = guest_->offered();
  EXPECT_EQ(offered & (kControlReceive | kControlReceiveExtra | kControlVlan | kFeaturePacked), 0U);
  EXPECT_NE(offered & kMergeable, 0U);
  EXPECT_NE(offered & kHostTso4, 0U) << "the tap's";
  EXPECT_NE(offered & kMultiQueue, 0U);
}

TEST_F(KernelNetTest, EachPairIsHandedToAKernelOfItsOwn) {
  start();
  const auto base = kernels_[0].memory.at(0).userspace_addr;
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    for (std::size_t ring = 0; ring < 2; ++ring) {
      EXPECT_EQ(kernels_[pair].rings[ring].tap, taps_[pair]);
      EXPECT_EQ(kernels_[pair].rings[ring].places.desc_user_addr,
                base + guest_->queue(2 * pair + ring).configuration().descriptors.value);
    }
  }
  EXPECT_EQ(kernels_[0].features & std::uint64_t{1} << 27, 0U) << "the tap has the headers";
  EXPECT_FALSE(sends()) << "the worker lets those queues be";
  pollfd doorbell{.fd = kernels_[0].rings[1].kick, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&doorbell, 1, 0), 1) << "and their doorbells";
  EXPECT_TRUE(reports_.empty());
}

TEST_F(KernelNetTest, SignalsOfEachQueueReachTheGuest) {
  guest_->enable_msix();
  start();
  for (std::uint16_t i = 0; i < 2 * kPairs; ++i) {
    guest_->set<std::uint16_t>(0x16, i);
    guest_->set<std::uint16_t>(0x1a, static_cast<std::uint16_t>(i + 1));
    FakeKernelState::ring_bell(kernels_[i / 2].rings[i % 2].call);
    EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->messages().signalled(i + 1U) == 1; })) << i;
  }
}

TEST_F(KernelNetTest, TheControlQueueIsTheWorkers) {
  start();
  ASSERT_TRUE(guest_->memory().write_object({FakeGuest::kBuffers}, std::array<std::uint8_t, 4>{4, 0, 2, 0}));
  EXPECT_TRUE(guest_->request(4, {{FakeGuest::kBuffers, 4, false}, {FakeGuest::kBuffers + 64, 1, true}}));
  EXPECT_EQ(guest_->memory().read_object<std::uint8_t>({FakeGuest::kBuffers + 64}), 0);
  EXPECT_EQ(device().save().pairs, 2);
}

TEST_F(KernelNetTest, ACableThatIsOutLeavesTheKernelWithoutATap) {
  start();
  device().set_link(false);
  EXPECT_EQ(kernels_[0].rings[0].tap, -1);
  EXPECT_EQ(kernels_[1].rings[1].tap, -1);
  EXPECT_GE(kernels_[0].rings[0].kick, 0) << "the queues stay";
  device().set_link(true);
  EXPECT_EQ(kernels_[1].rings[1].tap, taps_[1]);
  device().set_link(false);
  guest_->reset();
  start();
  EXPECT_EQ(kernels_[0].rings[0].tap, -1) << "also of a driver that begins so";
}

// T7: nothing is the kernel's any more when a pause or a reset has returned.
TEST_F(KernelNetTest, T7APauseTakesTheQueuesBackAndGivesThemAgain) {
  start();
  kernels_[0].rings[1].base = 7;
  guest_->transport().pause();
  EXPECT_EQ(kernels_[0].rings[1].tap, -1);
  EXPECT_EQ(kernels_[0].rings[1].kick, -1);
  EXPECT_EQ(guest_->transport().save().positions[1].next_available, 7);
  kernels_[0].rings[1].base = 0;
  guest_->transport().resume();
  EXPECT_EQ(kernels_[0].rings[1].base, 7U);
  EXPECT_EQ(kernels_[0].rings[1].tap, taps_[0]);
  guest_->reset();
  EXPECT_EQ(kernels_[1].rings[0].call, -1);
}

// T12: whatever the kernel refuses, the worker moves the packets, and says once why.
TEST_F(KernelNetTest, T12WithoutTheKernelTheWorkerServesAndSaysWhy) {
  for (const unsigned long request : {VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_VRING_NUM,
                                      VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK, VHOST_NET_SET_BACKEND}) {
    kernels_[1].refused = request;
    start();
    EXPECT_EQ(guest_->status(), FakeGuest::kDriverOk) << "the driver notices nothing";
    EXPECT_EQ(kernels_[0].rings[1].kick, -1) << "what was handed over is taken back";
    EXPECT_TRUE(sends()) << request;
    kernels_[1].refused = 0;
    guest_->reset();
  }
  ASSERT_EQ(reports_.size(), 1U);
  EXPECT_NE(reports_[0].find("net0: vhost-net: VHOST_SET_FEATURES"), std::string::npos) << reports_[0];
  start();
  EXPECT_FALSE(sends()) << "and the kernel has its chance again";
}

TEST_F(KernelNetTest, AKernelWithoutMergedBuffersIsOfferedAsSuch) {
  for (auto& kernel : kernels_) kernel = {};
  guest_->plug(make_device());
  EXPECT_EQ(guest_->offered() & kMergeable, 0U);
  kernels_[0] = {};
  kernels_[0].refused = VHOST_SET_OWNER;
  EXPECT_THROW(make_device(), Error);
  kernels_[0].refused = 0;
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
