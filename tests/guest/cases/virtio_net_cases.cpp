// virtio-net (virtio 1.2 §5.1): ARP and ICMP echo with whatever answers on the other side. The command line
// says who: net_self=, net_peer= (IPv4 as one number), by default 10.0.2.15 and 10.0.2.2.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/device.h"

extern "C" void* memcpy(void*, const void*, std::size_t);
extern "C" int memcmp(const void*, const void*, std::size_t);

namespace guest {
namespace {

constexpr std::uint64_t kMac = 1 << 5, kStatus = 1 << 16, kMergeableBuffers = 1 << 15;
constexpr std::uint64_t kControlQueue = 1 << 17, kControlReceive = 1 << 18, kControlMac = 1 << 23,
                        kChecksum = 1 << 0, kHostTso4 = 1 << 11;
constexpr std::uint16_t kReceive = 0, kTransmit = 1, kControl = 2;
constexpr std::uint32_t kHeaderBytes = 12, kBufferBytes = 2048;

void put16(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}
unsigned get16(const std::uint8_t* at) {
  return at[0] << 8u | at[1];
}

unsigned internet_checksum(const std::uint8_t* data, unsigned bytes) {
  unsigned sum = 0;
  for (unsigned i = 0; i + 1 < bytes; i += 2) sum += get16(data + i);
  if (bytes % 2) sum += data[bytes - 1] << 8u;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

std::uint32_t self() {
  return static_cast<std::uint32_t>(command_line_number("net_self", 0x0a00020f));
}
std::uint32_t peer() {
  return static_cast<std::uint32_t>(command_line_number("net_peer", 0x0a000202));
}

void ethernet(std::uint8_t* frame, const std::uint8_t* to, const std::uint8_t* from, unsigned type) {
  memcpy(frame, to, 6);
  memcpy(frame + 6, from, 6);
  put16(frame + 12, type);
}

class Network {
 public:
  explicit Network(std::uint64_t features) : device_(VirtioType::net) {
    if (!device_ || !device_.negotiate(features | kMac | kStatus)) return;
    receive_ = &device_.set_up_queue(kReceive, 64);
    transmit_ = &device_.set_up_queue(kTransmit, 64);
    if (device_.negotiated() & kControlQueue) control_ = &device_.set_up_queue(kControl, 16);
    for (auto& buffer : buffers_) buffer = allocate_array<std::uint8_t>(kBufferBytes, 64);
    device_.start();
    for (std::uint16_t i = 0; i < kBuffers; ++i) offer(i);
    for (unsigned i = 0; i < 6; ++i) mac_[i] = read8(device_.configuration() + i);
  }

  VirtioDevice& device() { return device_; }
  bool ready() const { return transmit_ != nullptr; }
  const std::uint8_t* mac() const { return mac_; }

  // Whether the device does what the bytes say (§5.1.6.5).
  bool command(std::span<const std::uint8_t> bytes) {
    auto* words = allocate_array<std::uint8_t>(bytes.size() + 1, 16);
    memcpy(words, bytes.data(), bytes.size());
    words[bytes.size()] = 0xff;
    Segment chain[] = {{physical(words), static_cast<std::uint32_t>(bytes.size()), false},
                       writable(words + bytes.size(), 1)};
    control_->add(chain);
    device_.notify(kControl, *control_);
    auto used = wait_used(*control_);
    return used.has_value() && used->length == 1 && words[bytes.size()] == 0;
  }
  bool take_address(const std::uint8_t* mac) {
    std::uint8_t bytes[8] = {1, 1};
    memcpy(bytes + 2, mac, 6);
    memcpy(mac_, mac, 6);
    return command(bytes);
  }

  // Sends a frame (without virtio header) and waits until the device has it.
  bool send(const std::uint8_t* frame, std::uint32_t bytes) {
    auto* packet = allocate_array<std::uint8_t>(kHeaderBytes + bytes, 16);
    memcpy(packet + kHeaderBytes, frame, bytes);
    Segment chain[] = {{physical(packet), kHeaderBytes, false},
                       {physical(packet) + kHeaderBytes, bytes, false}};
    transmit_->add(chain);
    device_.notify(kTransmit, *transmit_);
    auto used = wait_used(*transmit_);
    return used.has_value() && used->length == 0;
  }

  // The next frame for which `wanted` is true; its length, 0 after the time.
  template <typename Wanted>
  std::uint32_t receive(std::uint8_t* frame, Wanted wanted, std::uint32_t milliseconds = 2000) {
    std::uint64_t deadline = now_nanoseconds() + milliseconds * kMillisecond;
    while (now_nanoseconds() < deadline) {
      auto used = wait_used(*receive_, 100);
      if (!used) continue;
      std::uint16_t buffer = ids_[used->id % 64];
      std::uint32_t bytes = used->length > kHeaderBytes ? used->length - kHeaderBytes : 0;
      if (bytes > kBufferBytes - kHeaderBytes) bytes = 0;
      memcpy(frame, buffers_[buffer] + kHeaderBytes, bytes);
      offer(buffer);
      if (bytes > 14 && wanted(frame)) return bytes;
      if (bytes >= 42) answer_arp(frame);
    }
    return 0;
  }

 private:
  static constexpr std::uint16_t kBuffers = 16;

  // The peer asks now and then whether we are still there, and stops talking when nobody says so (RFC 826).
  void answer_arp(const std::uint8_t* request) {
    if (get16(request + 12) != 0x0806 || get16(request + 20) != 1) return;
    std::uint8_t frame[60] = {};
    ethernet(frame, request + 6, mac_, 0x0806);
    put32(frame + 14, 0x00010800);
    put32(frame + 18, 0x06040002);
    memcpy(frame + 22, mac_, 6);
    put32(frame + 28, self());
    memcpy(frame + 32, request + 22, 10);
    if (memcmp(request + 38, frame + 28, 4) == 0) send(frame, sizeof frame);
  }

  void offer(std::uint16_t buffer) {
    Segment chain[] = {writable(buffers_[buffer], kBufferBytes)};
    std::uint16_t id = receive_->add(chain);
    ids_[id % 64] = buffer;
    receive_->request_interrupts(true);
    device_.notify(kReceive, *receive_);
  }

  VirtioDevice device_;
  Queue *receive_ = nullptr, *transmit_ = nullptr, *control_ = nullptr;
  std::uint8_t* buffers_[kBuffers];
  std::uint16_t ids_[64] = {};
  std::uint8_t mac_[6] = {};
};

// Asks for the peer's address (RFC 826); false when nobody answers.
bool resolve(Network& network, std::uint8_t* peer_mac) {
  constexpr std::uint8_t kBroadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  std::uint8_t frame[kBufferBytes] = {};
  for (int attempt = 0; attempt < 5; ++attempt) {
    ethernet(frame, kBroadcast, network.mac(), 0x0806);
    put32(frame + 14, 0x00010800);
    put32(frame + 18, 0x06040001);
    memcpy(frame + 22, network.mac(), 6);
    put32(frame + 28, self());
    put32(frame + 38, peer());
    if (!network.send(frame, 60)) return false;
    if (network.receive(
            frame, [](const std::uint8_t* got) { return get16(got + 12) == 0x0806 && get16(got + 20) == 2; },
            500)) {
      memcpy(peer_mac, frame + 22, 6);
      return true;
    }
  }
  return false;
}

// One ICMP echo (RFC 792) with a patterned payload; true when it comes back the same.
bool echo(Network& network, const std::uint8_t* peer_mac, std::uint16_t sequence, std::uint32_t payload) {
  std::uint8_t frame[kBufferBytes] = {}, answer[kBufferBytes];
  ethernet(frame, peer_mac, network.mac(), 0x0800);
  std::uint8_t* ip = frame + 14;
  put16(ip, 0x4500);
  put16(ip + 2, 28 + payload);
  ip[8] = 64;
  ip[9] = 1;
  put32(ip + 12, self());
  put32(ip + 16, peer());
  put16(ip + 10, internet_checksum(ip, 20));
  std::uint8_t* icmp = ip + 20;
  icmp[0] = 8;
  put16(icmp + 4, 0x5741);
  put16(icmp + 6, sequence);
  for (std::uint32_t i = 0; i < payload; ++i) icmp[8 + i] = static_cast<std::uint8_t>(i * 7 + sequence);
  put16(icmp + 2, internet_checksum(icmp, 8 + payload));
  std::uint32_t bytes = 42 + payload;
  // A wire wants 60; a passt of Debian 12 takes what pads a packet up to it for a mistake.
  const std::uint32_t least = command_line_number("net_unpadded", 0) != 0 ? bytes : 60;
  if (!network.send(frame, bytes < least ? least : bytes)) return false;
  std::uint32_t got = network.receive(answer, [&](const std::uint8_t* data) {
    return get16(data + 12) == 0x0800 && data[23] == 1 && data[34] == 0 && get16(data + 40) == sequence;
  });
  return got >= bytes && memcmp(answer + 42, icmp + 8, payload) == 0;
}

void arp_and_echo(std::uint64_t features) {
  Network network(features);
  if (!network.device()) SKIP("no virtio-net device");
  REQUIRE(network.ready());
  if (features & kRingPacked && !(network.device().negotiated() & kRingPacked))
    SKIP("packed rings are not offered");
  std::uint8_t peer_mac[6];
  REQUIRE(resolve(network, peer_mac));
  for (std::uint16_t i = 0; i < 100; ++i)  // around the ring, from the smallest frame to the largest
    REQUIRE(echo(network, peer_mac, i, i * 14u));
}

}  // namespace

TEST(virtio_net, mac) {
  Network network(0);
  if (!network.device()) SKIP("no virtio-net device");
  REQUIRE(network.ready());
  EXPECT((network.device().negotiated() & kMac) != 0);
  EXPECT_EQUAL(network.mac()[0] & 1, 0);  // no group address
  if (auto tail = command_line_number("mac_tail", 0)) {
    std::uint64_t ours = 0;
    for (unsigned i = 3; i < 6; ++i) ours = ours << 8 | network.mac()[i];
    EXPECT_EQUAL(ours, tail);
  }
}

TEST(virtio_net, link_status) {
  Network network(0);
  if (!network.device()) SKIP("no virtio-net device");
  if (!(network.device().negotiated() & kStatus)) SKIP("link status is not offered");
  EXPECT_EQUAL(read16(network.device().configuration() + 6) & 1, 1);
}

TEST(virtio_net, split) {
  arp_and_echo(0);
}
TEST(virtio_net, split_event_index) {
  arp_and_echo(kEventIndex | kIndirectDescriptors);
}
TEST(virtio_net, mergeable_buffers) {
  arp_and_echo(kMergeableBuffers);
}
TEST(virtio_net, packed) {
  arp_and_echo(kRingPacked);
}
TEST(virtio_net, packed_event_index) {
  arp_and_echo(kRingPacked | kEventIndex);
}

// What is not for the guest stays away, what is arrives, also at an address of its own choice.
TEST(virtio_net, receive_filter) {
  Network network(kControlQueue | kControlReceive | kControlMac);
  if (!network.device()) SKIP("no virtio-net device");
  REQUIRE(network.ready());
  constexpr std::uint64_t kWanted = kControlQueue | kControlReceive | kControlMac;
  if ((network.device().negotiated() & kWanted) != kWanted) SKIP("filters are not offered");
  constexpr std::uint8_t kNotAll[] = {0, 0, 0}, kNoBroadcast[] = {0, 5, 1}, kNoCommand[] = {0, 77, 0};
  REQUIRE(network.command(kNotAll));
  EXPECT(!network.command(kNoCommand));
  EXPECT(!network.command(kNoBroadcast));  // VIRTIO_NET_F_CTRL_RX_EXTRA is not negotiated
  std::uint8_t peer_mac[6];
  REQUIRE(resolve(network, peer_mac));
  EXPECT(echo(network, peer_mac, 1, 100));
  // The peer answers whom it was asked by: without its address in the filter nothing comes.
  std::uint8_t frame[kBufferBytes] = {};
  const std::uint8_t other[6] = {0x52, 0x54, 0, 0x77, 0x77, 0x77};
  ethernet(frame, peer_mac, other, 0x0806);
  put32(frame + 14, 0x00010800);
  put32(frame + 18, 0x06040001);
  memcpy(frame + 22, other, 6);
  put32(frame + 28, self());
  put32(frame + 38, peer());
  const auto is_answer = [](const std::uint8_t* got) {
    return get16(got + 12) == 0x0806 && get16(got + 20) == 2;
  };
  REQUIRE(network.send(frame, 60));
  EXPECT_EQUAL(network.receive(frame, is_answer, 300), 0u);
  REQUIRE(network.take_address(other));
  EXPECT_EQUAL(read8(network.device().configuration() + 3), 0x77);
  REQUIRE(resolve(network, peer_mac));
  EXPECT(echo(network, peer_mac, 2, 100));
}

// T3: virtio headers that promise what the packet does not have. Nothing but the packet is lost.
TEST(virtio_net, hostile_headers) {
  Network network(kChecksum | kHostTso4);
  if (!network.device()) SKIP("no virtio-net device");
  REQUIRE(network.ready());
  network.device().reset();
  REQUIRE(network.device().negotiate(kMac | kChecksum | kHostTso4));
  auto& queue = network.device().set_up_queue(kTransmit, 64);
  network.device().start();
  // Flags, segmentation, header bytes, segment bytes, where the checksum starts and how far behind it is.
  const std::uint16_t headers[][6] = {
      {1, 0, 0, 0, 60, 16},    {1, 0, 0, 0, 0xffff, 0xffff}, {0, 1, 54, 100, 0, 0},
      {1, 1, 54, 0, 34, 16},   {1, 1, 0xffff, 100, 34, 16},  {1, 3, 42, 100, 34, 6},
      {1, 4, 74, 100, 54, 16}, {1, 0x7f, 54, 100, 34, 16},   {0xff, 0, 7, 7, 3, 3}};
  auto* packet = allocate_array<std::uint8_t>(kHeaderBytes + 60, 16);
  for (const auto& header : headers) {
    packet[0] = static_cast<std::uint8_t>(header[0]);
    packet[1] = static_cast<std::uint8_t>(header[1]);
    memcpy(packet + 2, header + 2, 8);
    Segment chain[] = {{physical(packet), kHeaderBytes + 60, false}};
    queue.add(chain);
    network.device().ring(kTransmit);
    auto used = wait_used(queue);
    REQUIRE(used.has_value());
    EXPECT_EQUAL(used->length, 0u);
  }
  EXPECT_EQUAL(network.device().status() & kNeedsReset, 0);
}

// T1: transmissions a device must survive: shorter than its header, empty, huge, and from nowhere.
TEST(virtio_net, malformed_transmissions) {
  Network network(0);
  if (!network.device()) SKIP("no virtio-net device");
  network.device().reset();
  REQUIRE(network.device().negotiate(kMac));
  auto& queue = network.device().set_up_queue(kTransmit, 64);
  network.device().start();
  auto* data = allocate_array<std::uint8_t>(4096, 4096);
  Segment chains[] = {{physical(data), 1, false},          {physical(data), 11, false},
                      {physical(data), 12, false},         {physical(data), 0x7fffffff, false},
                      {std::uint64_t{1} << 44, 64, false}, {physical(data), 64, true}};
  for (const auto& chain : chains) {
    queue.add({&chain, 1});
    network.device().ring(kTransmit);
    auto used = wait_used(queue);
    REQUIRE(used.has_value());
    EXPECT_EQUAL(used->length, 0u);
  }
  EXPECT_EQUAL(network.device().status() & kNeedsReset, 0);
}

// Somebody outside opens a connection to a port of the guest's: its SYN is on the wire (RFC 9293 §3.5).
TEST(virtio_net, connection) {
  const std::uint64_t port = command_line_number("await_port", 0);
  if (port == 0) SKIP("nobody is to connect");
  Network network(0);
  REQUIRE(network.ready());
  std::uint8_t peer_mac[6], frame[kBufferBytes];
  REQUIRE(resolve(network, peer_mac));
  print("AWAITING\n");
  const std::uint32_t got = network.receive(
      frame,
      [&](const std::uint8_t* data) {
        return get16(data + 12) == 0x0800 && data[23] == 6 && get16(data + 36) == port && data[47] == 2;
      },
      20'000);
  EXPECT(got >= 54);
}

// Who moves the packets goes, and another comes, as often as the command line says.
TEST(virtio_net, link_comes_back) {
  const std::uint64_t rounds = command_line_number("await_link", 0);
  if (rounds == 0) SKIP("the link stays");
  Network network(0);
  REQUIRE(network.ready());
  const auto wait_for_link = [&](unsigned state) {
    const std::uint64_t deadline = now_nanoseconds() + 30'000 * kMillisecond;
    while ((read16(network.device().configuration() + 6) & 1) != state)
      if (now_nanoseconds() > deadline) return false;
    return true;
  };
  std::uint8_t peer_mac[6];
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    REQUIRE(resolve(network, peer_mac));
    EXPECT(echo(network, peer_mac, static_cast<std::uint16_t>(round), 100));
    print("LINKED ", round, "\n");
    REQUIRE(wait_for_link(0));
    REQUIRE(wait_for_link(1));
  }
  REQUIRE(resolve(network, peer_mac));
  EXPECT(echo(network, peer_mac, 99, 1000));
}

}  // namespace guest
