// What each device does beyond what all of them do: block with failing images, net with real packets, console
// with a host that is slow, rng with a limit.
#include <atomic>
#include <chrono>
#include <cstring>

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kBuffers = FakeGuest::kBuffers;

// T12: fails with the errors it is told, one a request; completes in reverse order.
class FaultImage final : public block::Image {
 public:
  explicit FaultImage(std::vector<int> errors, bool read_only = false)
      : errors_(std::move(errors)), read_only_(read_only) {}
  std::uint64_t size() const noexcept override { return BlockHost::kSize; }
  bool read_only() const noexcept override { return read_only_; }
  void resize(std::uint64_t) override {}
  std::unique_ptr<block::BlockQueue> make_queue(unsigned depth) const override {
    return std::make_unique<Requests>(*this, depth);
  }

 private:
  class Requests final : public block::BlockQueue {
   public:
    Requests(const FaultImage& image, unsigned depth) : image_(image) { waiting_.reserve(depth); }
    void submit(block::Request& request) noexcept override { waiting_.push_back(&request); }
    void kick() noexcept override {}
    unsigned reap() noexcept override {
      unsigned done = 0;
      for (; !waiting_.empty(); ++done) {
        block::Request& request = *waiting_.back();
        waiting_.pop_back();
        request.completion->completed(request, image_.next_error());
      }
      return done;
    }
    int event_descriptor() const noexcept override { return bell_.get(); }
    void drain() noexcept override { reap(); }

   private:
    const FaultImage& image_;
    FileDescriptor bell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    std::vector<block::Request*> waiting_;
  };

  int next_error() const noexcept { return next_ < errors_.size() ? errors_[next_++] : 0; }

  const std::vector<int> errors_;
  const bool read_only_;
  mutable std::size_t next_ = 0;
};

class BlockTest : public testing::Test {
 protected:
  void start(std::unique_ptr<block::Image> image = nullptr) {
    guest_ = std::make_unique<FakeGuest>(image ? host_.make_device(std::move(image)) : host_.make_device());
    // FLUSH, CONFIG_WCE, DISCARD, WRITE_ZEROES
    ASSERT_TRUE(guest_->start(1 << 9 | 1 << 11 | 1 << 13 | 1 << 14 | kFeatureIndirect));
  }
  std::optional<std::uint8_t> request(std::uint32_t type, std::uint64_t sector,
                                      std::vector<FakeBuffer> data = {}) {
    return BlockHost::request(*guest_, type, sector, std::move(data), &used_);
  }
  static constexpr std::uint64_t kData = BlockHost::kData;
  static constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8, kDiscard = 11, kZero = 13;

  BlockHost host_{true};
  std::unique_ptr<FakeGuest> guest_;
  std::uint32_t used_ = 0;
};

TEST_F(BlockTest, T12ErrorsOfTheHostReachTheStatusByte) {
  start(std::make_unique<FaultImage>(std::vector<int>{EIO, 0, EROFS, EIO}));
  EXPECT_EQ(request(kIn, 0, {{kData, 512, true}}), 1);
  EXPECT_EQ(used_, 1U) << "no data was written";
  EXPECT_EQ(request(kIn, 0, {{kData, 512, true}}), 0);
  EXPECT_EQ(used_, 513U);
  EXPECT_EQ(request(kOut, 0, {{kData, 512, false}}), 1);
  EXPECT_EQ(request(kFlush, 0), 1);
  EXPECT_EQ(request(kFlush, 0), 0);
  EXPECT_EQ(host_.counters().errors.load(), 3U);
  EXPECT_EQ(host_.counters().read_requests.load(), 2U);
  EXPECT_EQ(host_.counters().read_bytes.load(), 512U);
  EXPECT_EQ(host_.counters().flush_requests.load(), 2U);
}

// A driver that rings only when it is asked to is answered however soon or late it comes: while the device
// looks by itself, as it goes to sleep, and when it sleeps.
TEST_F(BlockTest, NoChainIsLostBetweenLookingAndSleeping) {
  using Clock = std::chrono::steady_clock;
  for (const std::uint64_t form :
       {std::uint64_t{0}, kFeatureEventIndex, kFeaturePacked, kFeaturePacked | kFeatureEventIndex}) {
    guest_ = std::make_unique<FakeGuest>(host_.make_device());
    ASSERT_TRUE(guest_->start(form | kFeatureIndirect));
    unsigned rung = 0;
    for (unsigned i = 0; i < 3000; ++i) {
      host_.offer(*guest_);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (guest_->queue(0).kick_wanted((form & kFeatureEventIndex) != 0)) {
        guest_->kick(0);
        ++rung;
      }
      const auto patience = Clock::now() + std::chrono::seconds(10);
      while (!guest_->queue(0).take_used()) ASSERT_LT(Clock::now(), patience) << form << " " << i;
      const auto next = Clock::now() + std::chrono::microseconds(i % 64);
      while (Clock::now() < next) continue;
    }
    EXPECT_GT(rung, 0u);
    guest_->reset();
  }
}

TEST_F(BlockTest, SectorsOutsideTheDiskAreErrors) {
  start();
  const std::uint64_t sectors = BlockHost::kSize / 512;
  EXPECT_EQ(request(kIn, sectors - 1, {{kData, 512, true}}), 0);
  EXPECT_EQ(request(kIn, sectors, {{kData, 512, true}}), 1);
  EXPECT_EQ(request(kIn, sectors - 1, {{kData, 1024, true}}), 1);
  EXPECT_EQ(request(kOut, ~std::uint64_t{0}, {{kData, 512, false}}), 1);
  EXPECT_EQ(request(kOut, std::uint64_t{1} << 55, {{kData, 512, false}}), 1);
  EXPECT_EQ(request(kIn, 0, {{kData, 100, true}}), 1) << "no whole sector";
  EXPECT_EQ(request(99, 0), 2) << "unsupported";
  EXPECT_TRUE(host_.works(*guest_));
}

TEST_F(BlockTest, AReadOnlyDiskIsNotWritten) {
  start(std::make_unique<FaultImage>(std::vector<int>{}, true));
  EXPECT_NE(guest_->offered() & 1 << 5, 0U);
  EXPECT_EQ(request(kIn, 0, {{kData, 4096, true}}), 0);
  EXPECT_EQ(used_, 4097U);
  EXPECT_EQ(request(kOut, 0, {{kData, 512, false}}), 1);
  EXPECT_EQ(used_, 1U);
  EXPECT_EQ(request(kFlush, 0), 0);
  EXPECT_EQ(used_, 1U) << "nothing of the read that had its slot before";
  EXPECT_EQ(request(kDiscard, 0, {{kData, 16, false}}), 2);
}

TEST_F(BlockTest, TellsItsSerial) {
  start();
  EXPECT_EQ(request(kGetId, 0, {{kData, 20, true}}), 0);
  EXPECT_EQ(used_, 21U);
  EXPECT_EQ((*guest_->memory().read_object<std::array<char, 7>>({kData})),
            (std::array{'s', 'e', 'r', 'i', 'a', 'l', '\0'}));
  EXPECT_EQ(host_.counters().read_requests.load(), 0U);
}

TEST_F(BlockTest, DiscardAndZero) {
  start();
  const std::vector<char> text(4096, 'x');
  ASSERT_EQ(::pwrite(host_.file(), text.data(), text.size(), 0), 4096);
  const auto segment = [&](std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags) {
    static_cast<void>(guest_->memory().write_object({kData}, sector));
    static_cast<void>(guest_->memory().write_object({kData + 8}, sectors));
    static_cast<void>(guest_->memory().write_object({kData + 12}, flags));
  };
  segment(1, 2, 0);
  EXPECT_EQ(request(kZero, 0, {{kData, 16, false}}), 0);
  segment(4, 1, 1);
  EXPECT_EQ(request(kZero, 0, {{kData, 16, false}}), 0);
  segment(6, 1, 0);
  EXPECT_EQ(request(kDiscard, 0, {{kData, 16, false}}), 0);
  std::vector<char> now(4096);
  ASSERT_EQ(::pread(host_.file(), now.data(), now.size(), 0), 4096);
  for (std::size_t sector = 0; sector < 8; ++sector) {
    const bool zero = sector == 1 || sector == 2 || sector == 4 || sector == 6;
    EXPECT_EQ(now[sector * 512], zero ? '\0' : 'x') << sector;
  }
  segment(1, 2, 1);
  EXPECT_EQ(request(kDiscard, 0, {{kData, 16, false}}), 2) << "unmap means nothing here (§5.2.6.2)";
  segment(~std::uint64_t{0}, 0xffff'ffff, 0);
  EXPECT_EQ(request(kZero, 0, {{kData, 16, false}}), 1);
  segment(0, 1, 0);
  EXPECT_EQ(request(kZero, 0, {{kData, 15, false}}), 1) << "half a segment";
}

TEST_F(BlockTest, ChainsWithoutHeaderOrStatusGoBackEmpty) {
  start();
  EXPECT_EQ(guest_->request(0, {{kData, 15, false}, {kData + 64, 1, true}})->length, 0U);
  EXPECT_EQ(guest_->request(0, {{kData, 16, false}, {kData + 64, 512, false}})->length, 0U);
  EXPECT_EQ(guest_->request(0, {{kData, 512, true}})->length, 0U);
  EXPECT_EQ(host_.counters().malformed_chains.load(), 3U);
  EXPECT_TRUE(host_.works(*guest_));
}

TEST(ConsoleTest, ASlowHostGetsEverythingOnce) {
  ConsoleHost host;
  FakeGuest guest(host.make_device());
  ASSERT_TRUE(guest.start(0));
  host.characters().set_room(3);
  ASSERT_TRUE(guest.memory().write(GuestAddress{kBuffers}, std::as_bytes(std::span("abcdefgh", 8))));
  guest.queue(1).offer({{kBuffers, 4, false}, {kBuffers + 4, 4, false}});
  guest.kick(1);
  EXPECT_TRUE(FakeGuest::eventually([&] { return host.characters().text() == "abc"; }));
  EXPECT_FALSE(guest.wait_used(1, 20));
  // A pause in the middle neither loses nor repeats.
  guest.transport().pause();
  host.characters().set_room(100);
  guest.transport().resume();
  EXPECT_TRUE(guest.wait_used(1));
  EXPECT_EQ(host.characters().text(), "abcdefgh");
}

// Input that came before there were buffers is there when buffers come, also when no doorbell tells of them.
TEST(ConsoleTest, InputWaitsForBuffers) {
  ConsoleHost host;
  FakeGuest guest(host.make_device());
  ASSERT_TRUE(guest.start(kFeatureEventIndex));
  EXPECT_EQ(host.characters().listener().receive_capacity(), 4096U);
  host.characters().type(std::string(4096, 'x'));
  EXPECT_EQ(host.characters().listener().receive_capacity(), 0U) << "T8: no more than that";
  std::uint64_t received = 0;
  while (received < 4096) {
    const auto used = guest.request(0, {{kBuffers, 1000, true}});
    ASSERT_TRUE(used) << received;
    received += used->length;
  }
  EXPECT_EQ(host.characters().resumed(), 1U);
}

using Control = ChannelHost::Control;

class ChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    ChannelHost::restart();
    ASSERT_TRUE(guest_.start(Console::kFeatureMultiport | kFeatureEventIndex));
    ASSERT_EQ(guest_.get<std::uint32_t>(FakeGuest::kDevice + 4), 2U);
  }
  // As a driver begins (§5.3.5).
  void open_channel() {
    ASSERT_TRUE(ChannelHost::tell(guest_, {0xffffffff, 0, 1}));
    EXPECT_EQ(ChannelHost::hear(guest_), (Control{0, 1, 1}));
    EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 1, 1}));
    ASSERT_TRUE(ChannelHost::tell(guest_, {1, 3, 1}));
    std::string name;
    EXPECT_EQ(ChannelHost::hear(guest_, &name), (Control{1, 7, 1}));
    EXPECT_EQ(name, "org.example");
    ASSERT_TRUE(ChannelHost::tell(guest_, {1, 6, 1}));
    EXPECT_TRUE(host_.opened(1));
  }

  ChannelHost host_;
  FakeGuest guest_{host_.make_device()};
};

TEST_F(ChannelTest, PortsAreToldOpenedAndClosed) {
  open_channel();
  EXPECT_FALSE(ChannelHost::hear(guest_, nullptr, 20)) << "nobody is at the host's end";
  host_.channel().set_peer(true);
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 6, 1}));
  host_.channel().set_peer(false);
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 6, 0}));
  ASSERT_TRUE(ChannelHost::tell(guest_, {1, 6, 0}));
  EXPECT_FALSE(host_.opened(1));
  // A console is open at the host's end for ever.
  ASSERT_TRUE(ChannelHost::tell(guest_, {0, 3, 1}));
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{0, 4, 1}));
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{0, 6, 1}));
}

TEST_F(ChannelTest, AClosedPortTakesNoInput) {
  EXPECT_EQ(host_.channel().listener().receive_capacity(), 0U);
  open_channel();
  EXPECT_EQ(host_.channel().resumed(), 1U);
  EXPECT_EQ(host_.channel().listener().receive_capacity(), Console::kInputSize);
  host_.channel().type("ping");
  EXPECT_EQ(guest_.request(ChannelHost::kChannelInput, {{kBuffers, 64, true}})->length, 4U);
  EXPECT_EQ(guest_.request(ChannelHost::kChannelOutput, {{kBuffers, 4, false}})->length, 0U);
  EXPECT_EQ(host_.channel().text(), "ping");
  guest_.reset();
  EXPECT_FALSE(host_.opened(1)) << "the driver is gone";
  EXPECT_EQ(host_.channel().listener().receive_capacity(), 0U);
}

TEST_F(ChannelTest, PortsComeAndGo) {
  open_channel();
  host_.device().remove_port(1);
  EXPECT_FALSE(host_.opened(1));
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 2, 1}));
  host_.device().remove_port(1);
  host_.device().remove_port(77);
  EXPECT_FALSE(ChannelHost::hear(guest_, nullptr, 20)) << "once";
  guest_.queue(ChannelHost::kChannelOutput).offer({{kBuffers, 4, false}});
  guest_.kick(ChannelHost::kChannelOutput);
  EXPECT_FALSE(guest_.wait_used(ChannelHost::kChannelOutput, 20)) << "nobody serves it";
  FakeCharacters other;
  EXPECT_THROW(host_.device().add_port({.number = 2, .name = "too.high", .backend = &other}), Error);
  EXPECT_THROW(host_.device().add_port({.number = 0, .name = "taken", .backend = &other}), Error);
  host_.device().add_port({.number = 1, .name = "another", .is_console = false, .backend = &other});
  EXPECT_TRUE(guest_.wait_used(ChannelHost::kChannelOutput)) << "its queues want to be rung again";
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 1, 1}));
  ASSERT_TRUE(ChannelHost::tell(guest_, {1, 3, 1}));
  std::string name;
  EXPECT_EQ(ChannelHost::hear(guest_, &name), (Control{1, 7, 1}));
  EXPECT_EQ(name, "another");
  ASSERT_TRUE(ChannelHost::tell(guest_, {1, 6, 1}));
  EXPECT_TRUE(host_.opened(1));
  other.type("ping");
  EXPECT_EQ(guest_.request(ChannelHost::kChannelInput, {{kBuffers, 64, true}})->length, 4U);
  // A driver that went away between hears of what there is, and of nothing that was.
  host_.device().remove_port(1);
  guest_.reset();
  ChannelHost::restart();
  ASSERT_TRUE(guest_.start(Console::kFeatureMultiport | kFeatureEventIndex));
  ASSERT_TRUE(ChannelHost::tell(guest_, {0xffffffff, 0, 1}));
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{0, 1, 1}));
  EXPECT_FALSE(ChannelHost::hear(guest_, nullptr, 20));
}

// T7: what was begun for a port that goes is not touched any more.
TEST_F(ChannelTest, T7APortGoesWhileItsOutputWaits) {
  open_channel();
  host_.channel().set_room(2);
  static_cast<void>(guest_.memory().write(GuestAddress{kBuffers}, std::as_bytes(std::span("stay", 4))));
  guest_.queue(ChannelHost::kChannelOutput).offer({{kBuffers, 4, false}});
  guest_.kick(ChannelHost::kChannelOutput);
  ASSERT_TRUE(FakeGuest::eventually([&] { return host_.channel().text() == "st"; }));
  host_.device().remove_port(1);
  EXPECT_EQ(ChannelHost::hear(guest_), (Control{1, 2, 1}));
  EXPECT_FALSE(guest_.wait_used(ChannelHost::kChannelOutput, 20));
  EXPECT_TRUE(host_.works(guest_));
}

// T4: messages about ports that are not there, events that do not exist, and halves of messages.
TEST_F(ChannelTest, T4NonsenseOnTheControlQueueChangesNothing) {
  for (const Control& message :
       {Control{2, 6, 1}, Control{0xffffffff, 3, 1}, Control{1, 99, 1}, Control{1, 3, 0}, Control{0, 0, 0}})
    ASSERT_TRUE(ChannelHost::tell(guest_, message));
  ASSERT_TRUE(guest_.request(ChannelHost::kControlOutput, {{kBuffers, 7, false}}));
  EXPECT_FALSE(ChannelHost::hear(guest_, nullptr, 20));
  ChannelHost::restart();
  ASSERT_TRUE(guest_.start(Console::kFeatureMultiport));
  open_channel();
}

TEST_F(ChannelTest, StateGoesOverToAnotherDevice) {
  open_channel();
  host_.channel().type("kept");
  guest_.transport().pause();
  const ConsoleState state = dynamic_cast<Console&>(guest_.transport().device()).save();
  ASSERT_EQ(state.ports.size(), 2U);
  EXPECT_TRUE(state.ports[1].guest_open);
  ChannelHost other;
  const auto device = other.make_device();
  auto& console = dynamic_cast<Console&>(*device);
  console.restore(state);
  const ConsoleState again = console.save();
  EXPECT_EQ(again.ports[1].input, state.ports[1].input);
  EXPECT_TRUE(again.ports[1].guest_open);
  EXPECT_THROW(console.restore({}), Error);
}

TEST(RngTest, KeepsToItsLimit) {
  EventThread thread("rng-test");
  FakeGuest guest(std::make_unique<Rng>("rng", 100, 50, std::vector<EventThread*>{&thread}));
  ASSERT_TRUE(guest.start(0));
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t got = 0;
  while (got < 500) {
    const auto used = guest.request(0, {{kBuffers, 64, true}});
    ASSERT_TRUE(used);
    got += used->length;
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(150));
}

}  // namespace
}  // namespace warren::vmm::virtio
