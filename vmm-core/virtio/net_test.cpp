// The network device with real packets: what its driver asks for it does, and what it says of a packet is
// checked.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/net_header.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

constexpr std::uint64_t kBuffers = FakeGuest::kBuffers, kCommand = kBuffers + 0x8'0000;
constexpr std::uint64_t kEverything = ~(kFeaturePacked | kFeatureEventIndex);

// --- What a driver says of a packet ---

Header tcp() {
  return {.flags = kNeedsChecksum,
          .segmentation = kSegmentTcp4,
          .header_bytes = 54,
          .segment_bytes = 1448,
          .checksum_start = 34,
          .checksum_offset = 16};
}

TEST(NetHeaderTest, WhatHoldsTogetherIsPassedOn) {
  Header header = tcp();
  EXPECT_TRUE(settle_transmit_header(header, kChecksum | kHostTso4, 60000));
  EXPECT_EQ(header.segment_bytes, 1448);
  header = {.flags = 0xfe, .header_bytes = 7, .segment_bytes = 9, .checksum_start = 99, .buffers = 5};
  EXPECT_TRUE(settle_transmit_header(header, 0, 60));
  EXPECT_EQ(
      header.flags | header.header_bytes | header.segment_bytes | header.checksum_start | header.buffers, 0)
      << "what has no meaning is not the kernel's to see";
  header = tcp();
  header.segmentation = kSegmentNone;
  EXPECT_TRUE(settle_transmit_header(header, kChecksum, 60));
  EXPECT_EQ(header.segment_bytes | header.header_bytes, 0);
  header = tcp();
  header.segmentation = kSegmentUdp;
  EXPECT_TRUE(settle_transmit_header(header, kChecksum | kHostUso, 60000));
}

TEST(NetHeaderTest, WhatDoesNotIsRefused) {
  constexpr std::uint64_t kAll = kChecksum | kHostTso4 | kHostTso6 | kHostEcn | kHostUso;
  const auto refused = [](auto change, std::uint64_t features, std::uint64_t bytes = 1500) {
    Header header = tcp();
    change(header);
    return !settle_transmit_header(header, features, bytes);
  };
  const auto nothing = [](Header&) {};
  EXPECT_FALSE(refused(nothing, kAll));
  EXPECT_TRUE(refused(nothing, kHostTso4)) << "checksums were not negotiated";
  EXPECT_TRUE(refused(nothing, kChecksum | kHostTso6)) << "nor this segmentation";
  EXPECT_TRUE(refused([](Header& h) { h.segmentation |= kSegmentEcn; }, kChecksum | kHostTso4));
  EXPECT_TRUE(refused([](Header& h) { h.segmentation = kSegmentUdp | kSegmentEcn; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.segmentation = 3; }, kAll)) << "UDP fragmentation is not offered";
  EXPECT_TRUE(refused([](Header& h) { h.segmentation = 0x7f; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.segment_bytes = 0; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.flags = 0; }, kAll)) << "segments without checksums";
  EXPECT_TRUE(refused([](Header& h) { h.header_bytes = 1501; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.checksum_start = 13; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.checksum_start = 1483; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.checksum_offset = 0xffff; }, kAll));
  EXPECT_TRUE(refused([](Header& h) { h.checksum_start = h.checksum_offset = 0xffff; }, kAll));
  EXPECT_TRUE(refused(nothing, kAll, 51)) << "the checksum is behind the end";
  EXPECT_TRUE(refused(nothing, kAll, 53)) << "so is part of the TCP header";
}

TEST(NetHeaderTest, APacketMadeForAnotherDriverIsNotReceived) {
  const auto received = [](std::uint8_t segmentation, std::uint64_t features) {
    Header header = tcp();
    header.segmentation = segmentation;
    return settle_receive_header(header, features);
  };
  constexpr std::uint8_t kTcp4WithEcn = kSegmentTcp4 | kSegmentEcn, kTcp6WithEcn = kSegmentTcp6 | kSegmentEcn;
  for (const auto& [segmentation, needed] :
       {std::pair(kSegmentNone, std::uint64_t{0}), std::pair(kSegmentTcp4, kGuestTso4),
        std::pair(kSegmentTcp6, kGuestTso6), std::pair(kTcp4WithEcn, kGuestTso4 | kGuestEcn),
        std::pair(kTcp6WithEcn, kGuestTso6 | kGuestEcn), std::pair(kSegmentUdp, kGuestUso4 | kGuestUso6)}) {
    SCOPED_TRACE(unsigned{segmentation});
    EXPECT_TRUE(received(segmentation, kGuestChecksum | needed));
    EXPECT_FALSE(received(segmentation, needed)) << "without checksums";
    for (const std::uint64_t one : {kGuestTso4, kGuestTso6, kGuestEcn, kGuestUso4, kGuestUso6})
      EXPECT_EQ(received(segmentation, kGuestOffloads & ~one), (needed & one) == 0) << one;
  }
  EXPECT_FALSE(received(3, ~std::uint64_t{0})) << "UDP fragmentation is not offered";
  Header header{.flags = 2};
  EXPECT_TRUE(settle_receive_header(header, 0));
  EXPECT_EQ(header.flags, 0) << "a checksum that is right needs no driver that knows of it";
  header.flags = 2;
  EXPECT_TRUE(settle_receive_header(header, kGuestChecksum));
  EXPECT_EQ(header.flags, 2);
}

// --- What of the wire is wanted ---

constexpr MacAddress kOwn = {2, 0, 0, 0, 0, 1}, kOther = {2, 0, 0, 0, 0, 2}, kGroup = {1, 0, 0x5e, 0, 0, 1},
                     kAllOnes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

bool wants(const ReceiveFilter& filter, const MacAddress& to, unsigned vlan = 0, unsigned type = 0x8100) {
  std::array<std::byte, 18> frame{};
  std::memcpy(frame.data(), to.data(), to.size());
  if (vlan != 0) {
    frame[12] = std::byte(type >> 8);
    frame[13] = std::byte(type & 0xff);
    frame[14] = std::byte(vlan >> 8 | 0xe0);  // a priority beside it
    frame[15] = std::byte(vlan & 0xff);
  }
  return filter.wants(frame, true);
}

TEST(NetFilterTest, AddressesThatWereAskedForPass) {
  ReceiveFilter filter;
  filter.own = kOwn;
  EXPECT_TRUE(wants(filter, kOther)) << "a driver that says nothing gets everything";
  filter.promiscuous = false;
  EXPECT_TRUE(wants(filter, kOwn));
  EXPECT_TRUE(wants(filter, kAllOnes));
  EXPECT_FALSE(wants(filter, kOther));
  EXPECT_FALSE(wants(filter, kGroup));
  filter.unicast.addresses[0] = kOther;
  EXPECT_FALSE(wants(filter, kOther)) << "it is not counted";
  filter.unicast.count = 1;
  EXPECT_TRUE(wants(filter, kOther));
  filter.multicast.addresses[0] = kGroup;
  filter.multicast.count = 1;
  EXPECT_TRUE(wants(filter, kGroup));
  filter.no_multicast = filter.no_unicast = filter.no_broadcast = true;
  for (const auto& each : {kOwn, kOther, kGroup, kAllOnes}) EXPECT_FALSE(wants(filter, each));
  filter = {};
  filter.promiscuous = false;
  filter.all_multicast = true;
  EXPECT_TRUE(wants(filter, kGroup));
  EXPECT_FALSE(wants(filter, kOther));
  filter.all_unicast = true;
  EXPECT_TRUE(wants(filter, kOther));
  filter = {};
  filter.promiscuous = false;
  filter.unicast.is_full = true;
  EXPECT_TRUE(wants(filter, kOther)) << "more than there is room for: all of them";
}

TEST(NetFilterTest, VlansThatWereAddedPass) {
  ReceiveFilter filter;
  filter.own = kOwn;
  filter.promiscuous = false;
  EXPECT_TRUE(wants(filter, kOwn)) << "no VLAN at all";
  EXPECT_FALSE(wants(filter, kOwn, 7));
  EXPECT_FALSE(wants(filter, kOwn, 7, 0x88a8));
  filter.vlans[7] = true;
  EXPECT_TRUE(wants(filter, kOwn, 7));
  EXPECT_FALSE(wants(filter, kOther, 7));
  EXPECT_FALSE(wants(filter, kOwn, 4095));
  std::array<std::byte, 18> frame{};
  std::memcpy(frame.data(), kOwn.data(), kOwn.size());
  frame[12] = std::byte{0x81};
  frame[15] = std::byte{9};
  EXPECT_FALSE(filter.wants(frame, true));
  EXPECT_TRUE(filter.wants(frame, false)) << "VLANs were not negotiated";
  EXPECT_TRUE(filter.wants(std::span(frame).first(14), true)) << "no more than a header";
  EXPECT_FALSE(filter.wants(std::span(frame).first(13), true));
}

class NetTest : public testing::Test {
 protected:
  void make(std::size_t pairs) {
    guest_.reset();  // its device has a thread of the host before
    try {
      host_ = std::make_unique<NetHost>(pairs);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    guest_ = std::make_unique<FakeGuest>(host_->make_device());
  }
  // Brings the interface up and listens to it.
  void listen() {
    socket_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
    ASSERT_TRUE(socket_);
    ifreq request{};
    host_->interface().copy(request.ifr_name, IFNAMSIZ - 1);
    ASSERT_EQ(::ioctl(socket_.get(), SIOCGIFINDEX, &request), 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = request.ifr_ifindex;
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);  // sockets' way
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(socket_.get(), SIOCSIFFLAGS, &request), 0);
    // That it was down when the socket came is no error any more.
    int error = 0;
    socklen_t size = sizeof(error);
    ASSERT_EQ(::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
  }
  static std::vector<std::uint8_t> frame(std::size_t size, std::uint8_t mark) {
    std::vector<std::uint8_t> bytes(size, mark);
    std::fill_n(bytes.begin(), 12, std::uint8_t{0x02});
    bytes[12] = 0x88;
    bytes[13] = 0xb5;  // for experiments: nobody else sends it
    return bytes;
  }

  // To the guest's own address, or another.
  void inject(std::vector<std::uint8_t> bytes, const MacAddress& to) {
    std::ranges::copy(to, bytes.begin());
    ASSERT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  // Whether the interface leaves checksums to whoever reads from it.
  bool leaves_checksums() {
    ethtool_value value{.cmd = ETHTOOL_GTXCSUM, .data = 0};
    ifreq request{};
    host_->interface().copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);  // ioctl()'s way
    EXPECT_EQ(::ioctl(socket_.get(), SIOCETHTOOL, &request), 0);
    return value.data != 0;
  }
  Net& device() { return dynamic_cast<Net&>(guest_->transport().device()); }
  // The answer to a control command; 0xff when there is none.
  std::uint8_t command(std::vector<std::uint8_t> bytes) {
    static_cast<void>(guest_->memory().write(GuestAddress{kCommand}, std::as_bytes(std::span(bytes))));
    static_cast<void>(guest_->memory().write_object({kCommand + 0x1000}, std::uint8_t{0xff}));
    const auto size = static_cast<std::uint32_t>(bytes.size());
    const std::size_t queue = control_queue_;
    if (!guest_->request(queue, {{kCommand, size, false}, {kCommand + 0x1000, 1, true}})) return 0xff;
    return guest_->memory().read_object<std::uint8_t>({kCommand + 0x1000}).value();
  }
  // The marks of frames of our own that the guest has got, until none comes for a while.
  std::vector<std::uint8_t> received() {
    std::vector<std::uint8_t> marks;
    for (;;) {
      const std::uint64_t at = kBuffers + 0x1000 * (next_ % 64);
      if (!is_offered_) {
        guest_->queue(0).offer({{at, 2048, true}});
        guest_->kick(0);
        is_offered_ = true;
      }
      const auto used = guest_->wait_used(0, 150);
      if (!used) return marks;
      is_offered_ = false;
      ++next_;
      std::array<std::uint8_t, 32> bytes{};
      static_cast<void>(guest_->memory().read(GuestAddress{at}, std::as_writable_bytes(std::span(bytes))));
      if (bytes[24] == 0x88 && bytes[25] == 0xb5) marks.push_back(bytes[26]);
      if (bytes[24] == 0x81 && bytes[25] == 0x00) marks.push_back(bytes[30]);
    }
  }
  static std::vector<std::uint8_t> tagged(std::size_t size, std::uint8_t mark, std::uint16_t vlan) {
    auto bytes = frame(size, mark);
    bytes[12] = 0x81;
    bytes[13] = 0;
    bytes[14] = static_cast<std::uint8_t>(vlan >> 8);
    bytes[15] = static_cast<std::uint8_t>(vlan);
    bytes[16] = 0x88;
    bytes[17] = 0xb5;
    return bytes;
  }

  std::size_t control_queue_ = 2;
  bool is_offered_ = false;
  std::unique_ptr<NetHost> host_;
  std::unique_ptr<FakeGuest> guest_;
  FileDescriptor socket_;
  std::uint64_t next_ = 0, taken_ = 0;
};

TEST_F(NetTest, PacketsGoBothWays) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures | kFeatureIndirect | kFeatureEventIndex));
  ASSERT_NO_FATAL_FAILURE(listen());
  const auto sent = frame(500, 7);
  ASSERT_TRUE(guest_->memory().write(GuestAddress{kBuffers + 12}, std::as_bytes(std::span(sent))));
  EXPECT_EQ(guest_->request(1, {{kBuffers, 12, false}, {kBuffers + 12, 500, false}})->length, 0U);
  EXPECT_EQ(host_->counters().transmit_packets.load(), 1U);
  std::array<std::uint8_t, 2048> got{};
  EXPECT_TRUE(FakeGuest::eventually([&] {
    ssize_t size = 0;
    while ((size = ::recv(socket_.get(), got.data(), got.size(), 0)) > 0) {
      if (size == 500 && got[12] == 0x88 && std::equal(sent.begin(), sent.end(), got.begin())) return true;
    }
    return false;
  }));
  EXPECT_EQ(guest_->request(1, {{kBuffers, 12, false}})->length, 0U) << "no frame";
  EXPECT_EQ(host_->counters().malformed_chains.load(), 1U);
  // To the guest: 1,000 bytes in buffers of 400, of which there are too few at first. The packets that the
  // kernel sends by itself are received too.
  const auto wanted = frame(1000, 9);
  ASSERT_EQ(::send(socket_.get(), wanted.data(), wanted.size(), 0), 1000);
  bool seen = false;
  for (unsigned packets = 0; packets < 20 && !seen; ++packets) {
    std::vector<std::uint8_t> packet;
    std::uint16_t buffers = 1;
    for (std::uint16_t i = 0; i < buffers; ++i) {
      std::optional<FakeUsed> used;
      for (std::uint64_t slot = 0; !(used = guest_->wait_used(0, 20)) && slot < 6; ++slot) {
        guest_->queue(0).offer({{kBuffers + 0x1000 * (next_ % 64), 400, true}});
        ++next_;
        if (guest_->queue(0).kick_wanted(true)) guest_->kick(0);
      }
      ASSERT_TRUE(used) << "a packet is there, and buffers";
      std::vector<std::uint8_t> bytes(used->length);
      const std::uint64_t at = kBuffers + 0x1000 * (taken_++ % 64);
      ASSERT_TRUE(guest_->memory().read(GuestAddress{at}, std::as_writable_bytes(std::span(bytes))));
      if (i == 0) buffers = static_cast<std::uint16_t>(bytes[10] | bytes[11] << 8);
      packet.insert(packet.end(), bytes.begin(), bytes.end());
    }
    seen = packet.size() == 1012 && std::equal(wanted.begin(), wanted.end(), packet.begin() + 12);
    EXPECT_TRUE(!seen || buffers == 3);
  }
  EXPECT_TRUE(seen);
}

TEST_F(NetTest, TheLinkGoesDownAndUp) {
  make(1);
  if (IsSkipped()) return;
  guest_->enable_msix();
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  guest_->set<std::uint16_t>(0x10, 3);
  EXPECT_EQ(guest_->get<std::uint16_t>(FakeGuest::kDevice + 6), 1U);
  const auto generation = guest_->get<std::uint8_t>(0x15);
  dynamic_cast<Net&>(guest_->transport().device()).set_link(false);
  EXPECT_EQ(guest_->get<std::uint16_t>(FakeGuest::kDevice + 6), 0U);
  EXPECT_NE(guest_->get<std::uint8_t>(0x15), generation);
  EXPECT_EQ(guest_->messages().signalled(3), 1U);
  EXPECT_EQ(guest_->request(1, {{kBuffers, 100, false}})->length, 0U);
  EXPECT_EQ(host_->counters().transmit_drops.load(), 1U);
}

// T4: queues of pairs that were not negotiated are enabled and rung; nothing answers, and nothing breaks.
TEST_F(NetTest, T4QueuesBehindThoseNegotiatedAreNotServed) {
  make(2);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  ASSERT_EQ(guest_->queue_count(), 5U);
  for (const std::size_t queue : {3U, 4U}) {
    guest_->queue(queue).offer({{kBuffers, 100, false}});
    guest_->kick(queue);
    EXPECT_FALSE(guest_->wait_used(queue, 30));
  }
  EXPECT_TRUE(host_->works(*guest_));
  constexpr std::uint64_t kMultiQueue = 1 << 22;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures | kMultiQueue));
  const auto set_pairs = [&](std::uint8_t count) {
    static_cast<void>(guest_->memory().write_object({kBuffers}, std::array<std::uint8_t, 4>{4, 0, count, 0}));
    EXPECT_EQ(guest_->request(4, {{kBuffers, 4, false}, {kBuffers + 64, 1, true}})->length, 1U);
    return *guest_->memory().read_object<std::uint8_t>({kBuffers + 64});
  };
  EXPECT_EQ(set_pairs(2), 0U);
  EXPECT_EQ(set_pairs(3), 1U);
  EXPECT_EQ(set_pairs(0), 1U);
  EXPECT_EQ(dynamic_cast<Net&>(guest_->transport().device()).save().pairs, 2U);
  guest_->reset();
  EXPECT_EQ(dynamic_cast<Net&>(guest_->transport().device()).save().pairs, 1U);
}

constexpr MacAddress kMacOfTheGuest = {0x52, 0x54, 0, 1, 2, 3};

TEST_F(NetTest, WhatWasNotAskedForDoesNotArrive) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  ASSERT_NO_FATAL_FAILURE(listen());
  inject(frame(60, 1), kOther);
  EXPECT_THAT(received(), testing::Contains(1)) << "everything, as nobody has said what";
  ASSERT_EQ(command({0, 0, 0}), 0);
  const auto before = host_->counters().receive_filtered.load();
  inject(frame(60, 2), kOther);
  inject(frame(60, 3), kMacOfTheGuest);
  inject(frame(60, 4), kGroup);
  inject(frame(60, 5), kAllOnes);
  EXPECT_EQ(received(), (std::vector<std::uint8_t>{3, 5}));
  EXPECT_GE(host_->counters().receive_filtered.load(), before + 2);
  // Two tables (§5.1.6.5.2): one address each.
  ASSERT_EQ(command({1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 2, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1}), 0);
  inject(frame(60, 6), kOther);
  inject(frame(60, 7), kGroup);
  ASSERT_EQ(command({0, 5, 1}), 0);  // no broadcasts
  inject(frame(60, 8), kAllOnes);
  EXPECT_EQ(received(), (std::vector<std::uint8_t>{6, 7}));
  // Another address of its own, which the configuration shows.
  ASSERT_EQ(command({1, 1, 2, 0, 0, 0, 0, 9}), 0);
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kDevice + 5), 9);
  inject(frame(60, 9), kMacOfTheGuest);
  inject(frame(60, 10), {2, 0, 0, 0, 0, 9});
  EXPECT_EQ(received(), (std::vector<std::uint8_t>{10}));
  inject(tagged(64, 11, 5), {2, 0, 0, 0, 0, 9});
  ASSERT_EQ(command({2, 0, 5, 0}), 0);
  inject(tagged(64, 12, 5), {2, 0, 0, 0, 0, 9});
  EXPECT_THAT(received(), testing::Not(testing::Contains(11)));
  const NetState state = device().save();
  EXPECT_TRUE(state.filter.vlans[5]);
  guest_->reset();
  EXPECT_TRUE(device().save().filter.promiscuous) << "a reset forgets it all";
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kDevice + 5), 3);
  device().restore(state);
  EXPECT_EQ(device().save().filter.own[5], 9);
}

TEST_F(NetTest, T1CommandsThatAreNoneAreRefused) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  for (const auto& bytes :
       std::vector<std::vector<std::uint8_t>>{{0},
                                              {0, 0},
                                              {0, 6, 1},
                                              {9, 0, 0},
                                              {1, 0, 1, 0, 0, 0, 2, 0, 0},
                                              {1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
                                              {1, 0, 0, 0, 0, 0},
                                              {1, 1, 2, 0, 0},
                                              {1, 2, 0, 0, 0, 0, 0, 0},
                                              {2, 0, 0, 0x10},
                                              {2, 2, 1, 0},
                                              {2, 0, 1},
                                              {3, 1},
                                              {4, 0, 1, 0},
                                              {5, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
                                              {5, 0, 0}})
    EXPECT_EQ(command(bytes), 1) << testing::PrintToString(bytes);
  EXPECT_TRUE(device().save().filter.promiscuous) << "and nothing has changed";
  ASSERT_TRUE(guest_->start(kMac | kStatus | kControlQueue));
  for (const auto& bytes : std::vector<std::vector<std::uint8_t>>{{0, 0, 1},
                                                                  {0, 2, 1},
                                                                  {1, 1, 2, 0, 0, 0, 0, 9},
                                                                  {2, 0, 1, 0},
                                                                  {3, 0},
                                                                  {5, 0, 0, 0, 0, 0, 0, 0, 0, 0}})
    EXPECT_EQ(command(bytes), 1) << "not negotiated: " << testing::PrintToString(bytes);
}

// T8: more addresses than are kept are as good as all.
TEST_F(NetTest, T8ATableThatIsTooLongLetsAllPass) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  std::vector<std::uint8_t> bytes = {1, 0, 100, 0, 0, 0};
  bytes.resize(bytes.size() + 600);
  bytes.insert(bytes.end(), {0, 0, 0, 0});
  EXPECT_EQ(command(bytes), 0);
  EXPECT_TRUE(device().save().filter.unicast.is_full);
  EXPECT_FALSE(device().save().filter.multicast.is_full);
}

TEST_F(NetTest, OffloadsAreChangedWhileItRuns) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything & ~kGuestEcn));
  EXPECT_NE(guest_->offered() & kHostUso, 0U) << "of a kernel that knows it";
  EXPECT_EQ(command({5, 0, 2, 0, 0, 0, 0, 0, 0, 0}), 0);
  EXPECT_EQ(device().save().guest_offloads, kGuestChecksum);
  EXPECT_EQ(command({5, 0, 2, 2, 0, 0, 0, 0, 0, 0}), 1) << "not negotiated";
  EXPECT_EQ(device().save().guest_offloads, kGuestChecksum);
  guest_->reset();
  EXPECT_EQ(device().save().guest_offloads, ~std::uint64_t{0});
}

// T7: what the tap holds since an earlier driver does not reach one that cannot read it; what comes between
// two drivers every one can.
TEST_F(NetTest, T7OffloadsOfADriverEndWithIt) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  ASSERT_NO_FATAL_FAILURE(listen());
  EXPECT_TRUE(leaves_checksums());
  const int on = 1;
  ASSERT_EQ(::setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
  const auto send_unfinished = [&](std::uint8_t mark) {
    auto bytes = frame(100, mark);
    constexpr std::size_t kHeaderSize = 10;  // without the count of buffers
    const Header header{.flags = kNeedsChecksum, .checksum_start = 34, .checksum_offset = 16};
    bytes.insert(bytes.begin(), kHeaderSize, 0);
    std::memcpy(bytes.data(), &header, kHeaderSize);
    ASSERT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  };
  send_unfinished(1);
  guest_->reset();
  EXPECT_FALSE(leaves_checksums());
  send_unfinished(2);
  const auto before = host_->counters().receive_drops.load();
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  EXPECT_EQ(received(), (std::vector<std::uint8_t>{2}));
  EXPECT_EQ(host_->counters().receive_drops.load(), before + 1);
}

// Each change of a tap takes a lock of the whole network.
TEST_F(NetTest, ATapThatIsAsItShouldBeIsLeftAlone) {
  make(2);
  if (IsSkipped()) return;
  const auto taps = host_->make_taps();
  net::Wire& tap = *taps[0];
  ASSERT_NO_FATAL_FAILURE(listen());
  ASSERT_TRUE(tap.set_offloads({.checksum = true}));
  ASSERT_TRUE(tap.set_attached(true));
  // Behind its back.
  ifreq request{};
  request.ifr_flags = IFF_DETACH_QUEUE;
  ASSERT_EQ(::ioctl(tap.descriptor(), TUNSETQUEUE, &request), 0);
  ASSERT_EQ(::ioctl(tap.descriptor(), TUNSETOFFLOAD, 0), 0);
  EXPECT_TRUE(tap.set_offloads({.checksum = true}));
  EXPECT_FALSE(leaves_checksums());
  EXPECT_TRUE(tap.set_attached(true));
  EXPECT_NE(::ioctl(tap.descriptor(), TUNSETQUEUE, &request), 0) << "it is detached still";
  // And what differs is told.
  EXPECT_TRUE(tap.set_attached(false));
  EXPECT_TRUE(tap.set_attached(true));
  EXPECT_EQ(::ioctl(tap.descriptor(), TUNSETQUEUE, &request), 0);
}

TEST_F(NetTest, AGuestThatGoesOnElsewhereAnnouncesItself) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  const auto status = [&] { return guest_->get<std::uint16_t>(FakeGuest::kDevice + 6); };
  EXPECT_EQ(status(), 1);
  device().announce();
  EXPECT_EQ(status(), 3);
  EXPECT_TRUE(guest_->interrupt_line());
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kIsr), 2U);
  EXPECT_EQ(command({3, 0}), 0);
  EXPECT_EQ(status(), 1);
  // Of a machine that is restored, when it goes on.
  guest_->get<std::uint8_t>(FakeGuest::kIsr);
  guest_->transport().pause();
  device().restore(device().save());
  guest_->transport().resume();
  EXPECT_EQ(status(), 3);
  EXPECT_TRUE(guest_->interrupt_line());
  NetState foreign = device().save();
  foreign.pairs = 2;
  EXPECT_THROW(device().restore(foreign), Error);
  foreign = device().save();
  foreign.version = 4;
  EXPECT_THROW(device().restore(foreign), Error);
  foreign = device().save();
  foreign.filter.unicast.count = 65;
  EXPECT_THROW(device().restore(foreign), Error);
}

// T3: headers that ask the kernel for what cannot be never reach it.
TEST_F(NetTest, T3PacketsWithHostileHeadersAreDroppedAndCounted) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(kEverything));
  ASSERT_NO_FATAL_FAILURE(listen());
  const auto sends = [&](const Header& header, std::uint32_t bytes) {
    static_cast<void>(guest_->memory().write_object({kBuffers}, header));
    return guest_->request(1, {{kBuffers, 12 + bytes, false}})->length == 0;
  };
  std::uint64_t bad = 0;
  for (Header header : {Header{.flags = 1, .checksum_start = 60, .checksum_offset = 4},
                        Header{.segmentation = 1, .segment_bytes = 100},
                        Header{.flags = 1, .segmentation = 4, .checksum_start = 54, .checksum_offset = 16},
                        Header{.flags = 1, .segmentation = 9, .segment_bytes = 1, .checksum_start = 14}}) {
    EXPECT_TRUE(sends(header, 60));
    EXPECT_EQ(host_->counters().transmit_malformed.load(), ++bad);
  }
  EXPECT_EQ(host_->counters().transmit_packets.load(), 0U);
  EXPECT_TRUE(sends({}, 60));
  EXPECT_EQ(host_->counters().transmit_packets.load(), 1U);
  // A header in pieces, the packet behind it in others.
  EXPECT_EQ(guest_
                ->request(1, {{kBuffers, 5, false},
                              {kBuffers + 5, 6, false},
                              {kBuffers + 11, 40, false},
                              {kBuffers + 51, 21, false}})
                ->length,
            0U);
  EXPECT_EQ(host_->counters().transmit_packets.load(), 2U);
}

// Long packets arrive in buffers of any size, and whole; short ones between them take no more than they need.
TEST_F(NetTest, PacketsOfAllSizesArriveInBuffersOfAllSizes) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  ASSERT_NO_FATAL_FAILURE(listen());
  std::uint8_t mark = 20;
  for (const std::uint32_t buffer : {128U, 400U, 1514U + 12, 4096U}) {
    for (const std::size_t size : {60U, 1500U, 61U, 1200U, 1514U}) {
      const auto wanted = frame(size, ++mark);
      ASSERT_EQ(::send(socket_.get(), wanted.data(), wanted.size(), 0), static_cast<ssize_t>(size));
      bool seen = false;
      for (int packets = 0; packets < 20 && !seen; ++packets) {
        std::vector<std::uint8_t> packet;
        std::uint16_t buffers = 1;
        for (std::uint16_t i = 0; i < buffers; ++i) {
          std::optional<FakeUsed> used;
          for (int tries = 0; tries < 16 && !(used = guest_->wait_used(0, 20)); ++tries) {
            if (guest_->queue(0).offer({{kBuffers + 0x1000 * (next_ % 64), buffer, true}})) ++next_;
            guest_->kick(0);
          }
          ASSERT_TRUE(used) << size << " in " << buffer;
          std::vector<std::uint8_t> bytes(used->length);
          const std::uint64_t at = kBuffers + 0x1000 * (taken_++ % 64);
          ASSERT_TRUE(guest_->memory().read(GuestAddress{at}, std::as_writable_bytes(std::span(bytes))));
          if (i == 0) buffers = static_cast<std::uint16_t>(bytes[10] | bytes[11] << 8);
          packet.insert(packet.end(), bytes.begin(), bytes.end());
        }
        seen = packet.size() == size + 12 && std::equal(wanted.begin(), wanted.end(), packet.begin() + 12);
      }
      EXPECT_TRUE(seen) << size << " in " << buffer;
    }
    // Buffers of another size: those that wait are taken back.
    ASSERT_TRUE(guest_->start(NetHost::kFeatures));
    next_ = taken_ = 0;
  }
  EXPECT_EQ(host_->counters().receive_errors.load(), 0U);
}

// T7: buffers that were taken and not yet used are there for whoever goes on.
TEST_F(NetTest, T7BuffersInHandAreGivenBackByAPause) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  ASSERT_NO_FATAL_FAILURE(listen());
  for (std::uint64_t i = 0; i < 8; ++i) guest_->queue(0).offer({{kBuffers + 0x1000 * i, 2048, true}});
  guest_->kick(0);
  std::uint16_t taken = 0;
  for (int rounds = 0; rounds < 20; ++rounds) {
    guest_->transport().pause();
    while (guest_->queue(0).take_used()) ++taken;
    const QueuePosition position = guest_->transport().save().positions[0];
    EXPECT_EQ(position.next_available, position.next_used) << "none is in nobody's hands";
    EXPECT_EQ(position.next_available, taken);
    guest_->transport().resume();
  }
}

// T7: a buffer that is too short, between two in hand, is returned once, and so is every other.
TEST_F(NetTest, T7BuffersInHandAroundOneThatWasRefusedAreReturnedOnce) {
  for (const std::uint64_t layout : {std::uint64_t{0}, kFeaturePacked}) {
    SCOPED_TRACE(layout);
    make(1);
    if (IsSkipped()) return;
    ASSERT_TRUE(guest_->start(NetHost::kFeatures | layout));
    ASSERT_NO_FATAL_FAILURE(listen());
    ASSERT_EQ(command({0, 0, 0}), 0);  // what the kernel sends by itself stays out
    // Nothing is returned until there is room for the whole packet.
    constexpr std::array<std::uint32_t, 4> kLengths = {512, 8, 512, 0};
    std::vector<std::uint16_t> offered, returned;
    for (std::uint64_t i = 0; i < kLengths.size(); ++i)
      offered.push_back(guest_->queue(0).offer({{kBuffers + 0x1000 * i, kLengths[i], true}}).value());
    inject(frame(1500, 1), kMacOfTheGuest);
    guest_->kick(0);
    EXPECT_TRUE(FakeGuest::eventually([&] { return host_->counters().malformed_chains.load() == 2; }));
    guest_->transport().pause();
    while (const auto used = guest_->queue(0).take_used()) {
      returned.push_back(used->id);
      EXPECT_EQ(used->length, 0U);
    }
    EXPECT_EQ(guest_->transport().save().positions[0].next_available, returned.size());
    guest_->transport().resume();
    inject(frame(1500, 2), kMacOfTheGuest);
    for (std::uint64_t i = 4; i < 12; ++i) {
      const auto id = guest_->queue(0).offer({{kBuffers + 0x1000 * i, 512, true}});
      if (id) offered.push_back(*id);
    }
    guest_->kick(0);
    EXPECT_TRUE(FakeGuest::eventually([&] { return host_->counters().receive_packets.load() >= 1; }));
    guest_->transport().pause();
    while (const auto used = guest_->queue(0).take_used()) returned.push_back(used->id);
    const QueuePosition position = guest_->transport().save().positions[0];
    EXPECT_EQ(position.next_available, position.next_used);
    EXPECT_EQ(position.next_available, returned.size());
    EXPECT_EQ(host_->counters().malformed_chains.load(), 2U);
    EXPECT_EQ(host_->counters().receive_errors.load(), 0U);
  }
}

// A guest that makes chains available as fast as they are served, on the rings of one queue, and rings.
class Flood {
 public:
  static constexpr auto kLength = std::chrono::seconds(20);
  Flood(FakeGuest& guest, std::size_t queue)
      : thread_([this, &guest, queue] {
          const QueueConfiguration rings = guest.queue(queue).configuration();
          GuestMemory& memory = guest.memory();
          const auto end = std::chrono::steady_clock::now() + kLength;
          while (!stop_ && std::chrono::steady_clock::now() < end) {
            guest.kick(queue);
            for (int i = 0; i < 1000; ++i) {
              const auto used = memory.load_acquire_u16({rings.device.value + 2}).value_or(0);
              static_cast<void>(memory.store_release_u16({rings.driver.value + 2},
                                                         static_cast<std::uint16_t>(used + rings.size)));
            }
          }
          is_over_ = true;
        }) {}
  ~Flood() {
    stop_ = true;
    thread_.join();
  }
  bool is_over() const { return is_over_; }

 private:
  std::atomic<bool> stop_{false}, is_over_{false};
  std::thread thread_;
};

// T8: the thread is there for others, too, whatever the guest fills its rings with.
TEST_F(NetTest, T8AGuestThatFloodsADeviceDoesNotKeepItsThread) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  const std::array<std::uint8_t, 3> kPromiscuousOn = {0, 0, 1};
  ASSERT_TRUE(guest_->memory().write_object({kCommand}, kPromiscuousOn));
  const auto flood = [&](std::size_t queue) {
    const Flood guest(*guest_, queue);
    for (int i = 0; i < 3; ++i) {
      InspectNode node;
      device().inspect(node);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (queue == 0) {
      EXPECT_TRUE(FakeGuest::eventually([&] { return host_->counters().malformed_chains.load() > 100; }));
    }
    EXPECT_FALSE(guest.is_over()) << queue;
  };
  // All entries of the rings are the first descriptor.
  guest_->queue(0).write_split_descriptor(0, {kBuffers, 8, kDescriptorWrite, 0});
  flood(0);
  guest_->queue(1).write_split_descriptor(0, {kBuffers, 0, 0, 0});
  flood(1);
  guest_->queue(2).write_split_descriptor(0, {kCommand, 3, kDescriptorNext, 1});
  guest_->queue(2).write_split_descriptor(1, {kCommand + 8, 1, kDescriptorWrite, 0});
  flood(2);
}

// A packet no number of buffers takes is dropped, and does not keep the next one out.
TEST_F(NetTest, T1APacketThatFitsInNoBuffersIsDropped) {
  make(1);
  if (IsSkipped()) return;
  ASSERT_TRUE(guest_->start(NetHost::kFeatures));
  ASSERT_NO_FATAL_FAILURE(listen());
  inject(frame(1500, 1), kOther);
  for (std::uint64_t i = 0; i < FakeGuest::kQueueSize; ++i)
    guest_->queue(0).offer({{kBuffers + 0x1000 * i, 64, true}});
  guest_->kick(0);
  EXPECT_TRUE(FakeGuest::eventually([&] { return host_->counters().receive_errors.load() >= 1; }));
  inject(frame(60, 2), kOther);
  EXPECT_TRUE(FakeGuest::eventually([&] { return host_->counters().receive_packets.load() >= 1; }));
}

}  // namespace
}  // namespace warren::vmm::virtio
