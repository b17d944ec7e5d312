// The network device on a stream: packets both ways, what cannot be left to the other side, and a program
// that goes, lies, does not read, and is replaced (T29).
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "vmm-core/net/stream.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/net_layout.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

constexpr std::uint64_t kBuffers = FakeGuest::kBuffers;
constexpr std::uint64_t kEverything = ~(kFeaturePacked | kFeatureEventIndex);

class NetStreamTest : public testing::Test {
 protected:
  NetStreamTest() {
    std::vector<std::unique_ptr<net::Wire>> wires;
    wires.push_back(std::make_unique<net::Stream>(connect(), "net0"));
    NetOptions options{.mac = {0x52, 0x54, 0, 1, 2, 3}, .mtu = 1500};
    options.lost = [this] { ++losses_; };
    auto device = std::make_unique<Net>("net0", std::move(wires), options, counters_,
                                        std::vector<EventThread*>{&thread_});
    device_ = device.get();
    guest_ = std::make_unique<FakeGuest>(std::move(device));
  }

  // Returns the device's end of a new connection, of which the other is peer_.
  FileDescriptor connect() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer_ = FileDescriptor(ends[0]);
    return FileDescriptor(ends[1]);
  }
  bool link_is_up() { return (guest_->get<std::uint16_t>(FakeGuest::kDevice + 6) & kLinkUp) != 0; }

  void say(std::size_t size, std::uint8_t mark) {
    std::vector<std::uint8_t> bytes(4 + size, mark);
    bytes[0] = bytes[1] = 0;
    bytes[2] = static_cast<std::uint8_t>(size >> 8);
    bytes[3] = static_cast<std::uint8_t>(size);
    ASSERT_EQ(::write(peer_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // The guest sends a frame; what its driver got back.
  bool send(std::uint32_t size) {
    return guest_->request(1, {{kBuffers, 12, false}, {kBuffers + 12, size, false}}).has_value();
  }
  // Exactly so many bytes of what the guest has sent.
  std::vector<std::uint8_t> heard(std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    std::size_t got = 0;
    EXPECT_TRUE(FakeGuest::eventually([&] {
      const ssize_t more = ::recv(peer_.get(), bytes.data() + got, size - got, MSG_DONTWAIT);
      if (more > 0) got += static_cast<std::size_t>(more);
      return got == size;
    }));
    return bytes;
  }
  void offer_buffer() {
    ASSERT_TRUE(guest_->queue(0).offer({{kBuffers + 0x1'0000, 2048, true}}));
    guest_->kick(0);
  }
  // The guest gets one packet of that size.
  void expect_packet(std::uint32_t size, std::uint8_t mark) {
    offer_buffer();
    expect_in_buffer(size, mark);
  }
  void expect_in_buffer(std::uint32_t size, std::uint8_t mark) {
    const auto used = guest_->wait_used(0);
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(used->length, 12 + size);
    std::array<std::uint8_t, 32> bytes{};
    ASSERT_TRUE(
        guest_->memory().read(GuestAddress{kBuffers + 0x1'0000}, std::as_writable_bytes(std::span(bytes))));
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(bytes[i], 0) << i;
    EXPECT_EQ(bytes[20], mark);
  }

  EventThread thread_{"test"};
  NetCounters counters_{};
  std::atomic<int> losses_{0};
  FileDescriptor peer_;
  Net* device_ = nullptr;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(NetStreamTest, NothingIsLeftToTheOtherSide) {
  constexpr std::uint64_t kOffloads = kChecksum | kGuestChecksum | kControlOffloads | kGuestTso4 |
                                      kGuestTso6 | kGuestEcn | kHostTso4 | kHostTso6 | kHostEcn | kGuestUso4 |
                                      kGuestUso6 | kHostUso | kMultiQueue;
  EXPECT_EQ(guest_->offered() & kOffloads, 0u);
  EXPECT_EQ(guest_->offered() & (kMergeable | kStatus | kMtu), kMergeable | kStatus | kMtu);
}

TEST_F(NetStreamTest, PacketsGoBothWays) {
  ASSERT_TRUE(guest_->start(kEverything));
  EXPECT_TRUE(link_is_up());
  ASSERT_TRUE(send(500));
  const auto bytes = heard(504);
  EXPECT_EQ(std::vector<std::uint8_t>(bytes.begin(), bytes.begin() + 4),
            (std::vector<std::uint8_t>{0, 0, 500 >> 8, 500 & 0xff}));
  say(60, 7);
  expect_packet(60, 7);
  // Several at once, for which there are no buffers yet.
  say(61, 8);
  say(62, 9);
  expect_packet(61, 8);
  expect_packet(62, 9);
  EXPECT_EQ(counters_.receive_packets.load(), 3u);
  EXPECT_EQ(counters_.transmit_bytes.load(), 500u);
}

TEST_F(NetStreamTest, OneThatDoesNotReadLosesNothing) {
  ASSERT_TRUE(guest_->start(kEverything));
  constexpr std::uint32_t kSize = 1400;
  std::size_t sent = 0;
  // Until a packet stays with the guest, which has sixteen places.
  for (bool waits = false; !waits; ++sent) {
    ASSERT_LT(sent, 10'000u);
    ASSERT_TRUE(guest_->queue(1).offer({{kBuffers, 12, false}, {kBuffers + 12, kSize, false}}));
    guest_->kick(1);
    waits = !guest_->wait_used(1, 300).has_value();
  }
  const auto bytes = heard(sent * (4 + kSize));
  for (std::size_t i = 0; i < sent; ++i) ASSERT_EQ(bytes[i * (4 + kSize) + 3], kSize & 0xff) << i;
  EXPECT_TRUE(guest_->wait_used(1).has_value());
}

TEST_F(NetStreamTest, OneThatGoesTakesTheLinkAlongAndAnotherBringsItBack) {
  ASSERT_TRUE(guest_->start(kEverything));
  for (int round = 1; round <= 3; ++round) {
    offer_buffer();
    peer_.reset();
    ASSERT_TRUE(FakeGuest::eventually([&] { return losses_.load() == round; }));
    EXPECT_FALSE(link_is_up());
    EXPECT_TRUE(device_->is_lost());
    ASSERT_TRUE(send(100)) << "it is dropped";
    EXPECT_EQ(counters_.transmit_drops.load(), static_cast<std::uint64_t>(round));
    device_->reconnect(connect());
    EXPECT_TRUE(link_is_up());
    ASSERT_TRUE(send(101));
    EXPECT_EQ(heard(105)[3], 101);
    say(60, 7);
    expect_in_buffer(60, 7);
  }
}

TEST_F(NetStreamTest, OneThatGoesWhileTheGuestWaitsForIt) {
  ASSERT_TRUE(guest_->start(kEverything));
  for (bool waits = false; !waits;) {
    ASSERT_TRUE(guest_->queue(1).offer({{kBuffers, 12, false}, {kBuffers + 12, 1400, false}}));
    guest_->kick(1);
    waits = !guest_->wait_used(1, 300).has_value();
  }
  peer_.reset();
  EXPECT_TRUE(guest_->wait_used(1).has_value());
  device_->reconnect(connect());
  ASSERT_TRUE(send(101));
  EXPECT_EQ(heard(105)[3], 101);
}

// A guest without buffers reads nothing, and finds out when it sends.
TEST_F(NetStreamTest, OneThatGoesIsMissedByWhoSends) {
  ASSERT_TRUE(guest_->start(kEverything));
  peer_.reset();
  ASSERT_TRUE(send(100));
  ASSERT_TRUE(FakeGuest::eventually([&] { return losses_.load() == 1; }));
  EXPECT_FALSE(link_is_up());
}

TEST_F(NetStreamTest, OneThatLiesIsLeft) {
  ASSERT_TRUE(guest_->start(kEverything));
  const std::array<std::uint8_t, 8> lie = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
  ASSERT_EQ(::write(peer_.get(), lie.data(), lie.size()), 8);
  offer_buffer();
  ASSERT_TRUE(FakeGuest::eventually([&] { return losses_.load() == 1; }));
  EXPECT_FALSE(link_is_up());
  EXPECT_FALSE(guest_->wait_used(0, 100).has_value());
}

TEST_F(NetStreamTest, AResetGuestGoesOn) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(guest_->start(kEverything & ~kMergeable));
    ASSERT_TRUE(send(100));
    EXPECT_EQ(heard(104)[3], 100);
  }
  // Lost while no driver is there, which the next one finds out.
  guest_->reset();
  peer_.reset();
  ASSERT_TRUE(guest_->start(kEverything));
  offer_buffer();
  EXPECT_TRUE(FakeGuest::eventually([&] { return losses_.load() == 1; }));
}

TEST_F(NetStreamTest, OnlyAStreamIsConnectedAgain) {
  EXPECT_THROW(device_->reconnect(FileDescriptor(::dup(0))), Error);
  ASSERT_TRUE(guest_->start(kEverything));
  ASSERT_TRUE(send(100)) << "the old one is still there";
  EXPECT_EQ(heard(104)[3], 100);
}

}  // namespace
}  // namespace warren::vmm::virtio
