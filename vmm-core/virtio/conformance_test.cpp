// What every virtio device must do, whatever it is for; on split and on packed rings.
#include <algorithm>
#include <functional>
#include <random>

#include <gtest/gtest.h>

#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/fake_input.h"
#include "vmm-core/virtio/fake_memory.h"
#include "vmm-core/virtio/fake_scsi.h"
#include "vmm-core/virtio/fake_vsock.h"

namespace warren::vmm::virtio {
namespace {

struct Subject {
  std::string name;
  std::function<std::unique_ptr<FakeHost>()> make;
  friend void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }
};

class ConformanceTest : public testing::TestWithParam<std::tuple<Subject, bool>> {
 protected:
  void SetUp() override {
    try {
      host_ = std::get<0>(GetParam()).make();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    guest_ = std::make_unique<FakeGuest>(host_->make_device(), host_->guest_memory());
  }
  void start() { ASSERT_TRUE(guest_->start(wanted())); }
  static std::uint64_t wanted() {
    const std::uint64_t packed = std::get<1>(GetParam()) ? kFeaturePacked : 0;
    return packed | kFeatureIndirect | kFeatureEventIndex | NetHost::kFeatures;
  }

  std::unique_ptr<FakeHost> host_;
  std::unique_ptr<FakeGuest> guest_;
};

INSTANTIATE_TEST_SUITE_P(
    Devices, ConformanceTest,
    testing::Combine(testing::Values(Subject{"BlockUring", [] { return std::make_unique<BlockHost>(true); }},
                                     Subject{"BlockThreads",
                                             [] { return std::make_unique<BlockHost>(false); }},
                                     Subject{"Balloon", [] { return std::make_unique<BalloonHost>(); }},
                                     Subject{"Input", [] { return std::make_unique<InputHost>(); }},
                                     Subject{"Memory", [] { return std::make_unique<MemoryHost>(); }},
                                     Subject{"Rng", [] { return std::make_unique<RngHost>(); }},
                                     Subject{"ScsiUring", [] { return std::make_unique<ScsiHost>(true); }},
                                     Subject{"ScsiThreads", [] { return std::make_unique<ScsiHost>(false); }},
                                     Subject{"Console", [] { return std::make_unique<ConsoleHost>(); }},
                                     Subject{"Channel", [] { return std::make_unique<ChannelHost>(); }},
                                     Subject{"Net", [] { return std::make_unique<NetHost>(); }},
                                     Subject{"Vsock", [] { return std::make_unique<VsockHost>(); }}),
                     testing::Bool()),
    [](const auto& test) {
      return std::get<0>(test.param).name + (std::get<1>(test.param) ? "Packed" : "Split");
    });

TEST_P(ConformanceTest, Works) {
  start();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(host_->works(*guest_)) << i;
}

TEST_P(ConformanceTest, T1T2MalformedChainsComeBackEmptyAndTheDeviceGoesOn) {
  start();
  for (const std::size_t queue : host_->served_queues()) {
    for (const auto& chain : FakeGuest::malformed()) {
      for (const bool indirect : {false, true}) {
        const auto used =
            guest_->request(queue, chain, indirect ? std::optional(FakeGuest::kTables) : std::nullopt);
        ASSERT_TRUE(used);
        EXPECT_EQ(used->length, 0U);
      }
    }
  }
  EXPECT_EQ(guest_->status(), FakeGuest::kDriverOk);
  EXPECT_TRUE(host_->works(*guest_));
}

TEST_P(ConformanceTest, T1RingsOutsideRamAskForAResetAndNothingElse) {
  ASSERT_TRUE(guest_->negotiate(wanted()));
  guest_->make_queues();
  guest_->set<std::uint8_t>(0x14, 3);  // no bit is taken back
  guest_->reset();
  ASSERT_TRUE(guest_->negotiate(wanted()));
  guest_->set<std::uint16_t>(0x16, 0);
  guest_->set<std::uint64_t>(0x20, FakeGuest::kRamSize);
  guest_->set<std::uint16_t>(0x1c, 1);
  guest_->set<std::uint8_t>(0x14, FakeGuest::kDriverOk);
  EXPECT_EQ(guest_->status(), FakeGuest::kDriverOk | FakeGuest::kNeedsReset);
  guest_->kick(0);
  start();
  EXPECT_TRUE(host_->works(*guest_));
}

TEST_P(ConformanceTest, ADamagedRingAsksForAReset) {
  if (std::get<1>(GetParam())) return;  // a packed ring has no index that could jump
  guest_->enable_msix();
  start();
  guest_->set<std::uint16_t>(0x10, 1);
  const std::size_t queue = host_->served_queues().front();
  guest_->queue(queue).set_split_avail_index(1000);
  guest_->kick(queue);
  EXPECT_TRUE(FakeGuest::eventually([&] { return (guest_->status() & FakeGuest::kNeedsReset) != 0; }));
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->messages().signalled(1) == 1; }));
  start();
  EXPECT_TRUE(host_->works(*guest_));
}

TEST_P(ConformanceTest, InterruptsThroughMsixAndThroughTheWire) {
  start();
  ASSERT_TRUE(host_->works(*guest_));
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->interrupt_line(); }));
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kIsr), 1U);
  EXPECT_FALSE(guest_->interrupt_line()) << "reading took it back";
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kIsr), 0U);
  guest_->enable_msix();
  ASSERT_TRUE(guest_->negotiate(wanted() & ~kFeatureEventIndex));
  guest_->make_queues();
  const std::size_t answers = host_->offer(*guest_);
  guest_->set<std::uint16_t>(0x16, static_cast<std::uint16_t>(answers));
  guest_->set<std::uint16_t>(0x1a, 1);
  EXPECT_EQ(guest_->get<std::uint16_t>(0x1a), 1U);
  guest_->set<std::uint8_t>(0x14, FakeGuest::kDriverOk);
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->messages().signalled(1) != 0; }))
      << "what was there before DRIVER_OK is served";
  EXPECT_FALSE(guest_->interrupt_line());
}

TEST_P(ConformanceTest, APausedDeviceTouchesNothing) {
  start();
  guest_->transport().pause();
  guest_->transport().pause();
  const std::size_t queue = host_->offer(*guest_);
  guest_->kick(queue);
  EXPECT_FALSE(guest_->wait_used(queue, 30));
  guest_->transport().resume();
  EXPECT_TRUE(guest_->wait_used(queue));
  EXPECT_TRUE(host_->works(*guest_));
}

TEST_P(ConformanceTest, AnotherDeviceGoesOnFromASavedState) {
  start();
  guest_->enable_msix();
  for (int i = 0; i < 21; ++i) ASSERT_TRUE(host_->works(*guest_));
  guest_->transport().pause();
  const std::size_t queue = host_->offer(*guest_);
  const PciTransportState state = guest_->transport().save();
  guest_->plug(host_->make_device());
  guest_->transport().pause();
  guest_->transport().restore(state);
  guest_->transport().resume();
  EXPECT_EQ(guest_->status(), FakeGuest::kDriverOk);
  EXPECT_TRUE(guest_->wait_used(queue));
  for (int i = 0; i < 21; ++i) ASSERT_TRUE(host_->works(*guest_));
}

// T21: a state of another device is refused, and leaves one that works.
TEST_P(ConformanceTest, T21AForeignStateIsRefused) {
  start();
  guest_->transport().pause();
  PciTransportState state = guest_->transport().save();
  PciTransportState bad = state;
  bad.queues.pop_back();
  EXPECT_THROW(guest_->transport().restore(bad), Error);
  bad = state;
  bad.driver_features = ~std::uint64_t{0};
  EXPECT_THROW(guest_->transport().restore(bad), Error);
  guest_->transport().resume();
  EXPECT_TRUE(host_->works(*guest_));
}

// T7: nothing completes into a device that was reset meanwhile.
TEST_P(ConformanceTest, T7ResetWhileRequestsAreInFlight) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    start();
    for (unsigned i = 0; i < random() % 5; ++i) guest_->kick(host_->offer(*guest_));
    if (random() % 3 == 0) {
      guest_->transport().pause();
      guest_->transport().resume();
    }
    guest_->reset();
    EXPECT_EQ(guest_->status(), 0);
    for (std::size_t i = 0; i < guest_->queue_count(); ++i) {
      while (guest_->queue(i).take_used()) continue;
    }
  }
  start();
  EXPECT_TRUE(host_->works(*guest_));
}

// T5: every register takes every width at every offset, and the device comes up after it.
TEST_P(ConformanceTest, T5AccessesOfEveryWidthAreHarmless) {
  start();
  std::array<std::byte, 8> data{};
  for (std::uint64_t offset = 0; offset < FakeGuest::kBarSize; offset += offset % 0x1000 < 0x100 ? 1 : 61) {
    for (std::size_t size = 1; size <= 8 && offset + size <= FakeGuest::kBarSize; ++size) {
      for (const unsigned value : {0U, 0xffU, 0xa5U}) {
        data.fill(static_cast<std::byte>(value));
        guest_->space().write(FakeGuest::kBar + offset, std::span(data).first(size));
        guest_->space().read(FakeGuest::kBar + offset, std::span(data).first(size));
      }
    }
  }
  start();
  EXPECT_TRUE(host_->works(*guest_));
}

TEST_P(ConformanceTest, ShowsItsState) {
  start();
  ASSERT_TRUE(host_->works(*guest_));
  InspectNode node;
  guest_->transport().inspect(node);
  const auto device =
      std::ranges::find(node.children(), "device", [](const auto& child) { return child.first; });
  ASSERT_NE(device, node.children().end());
  EXPECT_FALSE(device->second.children().empty()) << "its queues";
}

}  // namespace
}  // namespace warren::vmm::virtio
