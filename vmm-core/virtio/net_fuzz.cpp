// A network device under any driver, as every device; and under one whose rings are sound, and whose
// commands, virtio headers, packets and buffers are not, with packets coming from the host meanwhile.
#include <algorithm>
#include <array>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "vmm-core/virtio/device_fuzz.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kEverything = ~std::uint64_t{0};
constexpr std::uint64_t kCommand = FakeGuest::kBuffers, kPacket = kCommand + 0x1'0000,
                        kAnswer = kCommand + 0x2'0000, kReceived = kCommand + 0x3'0000;

// The host's end of the tap.
class Wire {
 public:
  explicit Wire(const std::string& interface)
      : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
        unfinished_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    address_.sll_family = AF_PACKET;
    const int on = 1;
    if (!socket_ || !unfinished_ || ::ioctl(socket_.get(), SIOCGIFINDEX, &request) != 0 ||
        ::setsockopt(unfinished_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0)
      std::abort();
    address_.sll_ifindex = request.ifr_ifindex;
    request.ifr_flags = IFF_UP;
    if (::ioctl(socket_.get(), SIOCSIFFLAGS, &request) != 0) std::abort();
  }
  void send(std::span<const std::uint8_t> frame) { send(socket_, frame); }
  // One with checksums to be made, or still to be cut: behind ten bytes of a virtio header.
  void send_unfinished(std::span<const std::uint8_t> frame) { send(unfinished_, frame); }

 private:
  void send(const FileDescriptor& socket, std::span<const std::uint8_t> frame) {
    // A frame the kernel does not take is none; sockets' way of addresses.
    static_cast<void>(::sendto(socket.get(), frame.data(), frame.size(), 0,
                               reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)));
  }

  FileDescriptor socket_, unfinished_;
  sockaddr_ll address_{};
};

class PacketFuzzer {
 public:
  explicit PacketFuzzer(NetHost& host) : host_(host), guest_(host.make_device()), wire_(host.interface()) {}

  void run(std::span<const std::uint8_t> data) {
    if (data.empty()) return;
    // Some features are away now and then.
    const std::uint64_t away = (data[0] & 1) != 0 ? std::uint64_t{1} << (data[0] >> 2) : 0;
    const std::uint64_t rings = kFeaturePacked | kFeatureEventIndex;
    if (!guest_.start(kEverything & ~away & ~((data[0] & 2) != 0 ? rings : 0))) std::abort();
    out_ = {};
    data = data.subspan(1);
    while (data.size() >= 3) {
      const std::uint8_t action = data[0];
      const std::size_t size = std::min(data[1] | std::size_t{data[2]} % 8 << 8, data.size() - 3);
      step(action, data.subspan(3, size));
      data = data.subspan(3 + size);
    }
    if (!guest_.start(NetHost::kFeatures | kFeatureIndirect) || !host_.works(guest_)) std::abort();
  }

 private:
  void step(std::uint8_t action, std::span<const std::uint8_t> bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    switch (action % 5) {
      case 0:
        put(kCommand, bytes);
        return offer(2, {{kCommand, size, false}, {kAnswer, 1, true}});
      case 1:  // in pieces anywhere
        put(kPacket, bytes);
        if (const std::uint32_t first = action / 5; first != 0 && first < size)
          return offer(1, {{kPacket, first, false}, {kPacket + first, size - first, false}});
        return offer(1, {{kPacket, size, false}});
      case 2:
        return action % 2 == 0 ? wire_.send(bytes) : wire_.send_unfinished(bytes);
      case 3: {
        const std::uint32_t room = bytes.empty() ? action : bytes[0] * 16u + 1;
        return offer(0, {{kReceived, room, true}, {kReceived + room, action % 64u + 1, true}});
      }
      default:
        if (auto* const device = dynamic_cast<Net*>(&guest_.transport().device())) {
          if (action % 3 == 0) device->set_link(!bytes.empty());
          if (action % 3 == 1) device->announce();
        }
        if (action % 3 == 2) pause();
        for (std::size_t queue = 0; queue < 3; ++queue)
          while (const auto used = guest_.queue(queue).take_used()) take(queue, used->id);
    }
  }
  // Every chain is either back or not yet taken (class T7).
  void pause() {
    guest_.transport().pause();
    for (const QueuePosition& position : guest_.transport().save().positions)
      if (position.next_available != position.next_used || position.available_wrap != position.used_wrap)
        std::abort();
    guest_.transport().resume();
  }
  void put(std::uint64_t address, std::span<const std::uint8_t> bytes) {
    static_cast<void>(guest_.memory().write(GuestAddress{address}, std::as_bytes(bytes)));
  }
  void offer(std::size_t queue, const std::vector<FakeBuffer>& chain) {
    if (const auto id = guest_.queue(queue).offer(chain)) ++out_[queue][*id];
    guest_.kick(queue);
  }
  void take(std::size_t queue, std::uint16_t id) {
    if (id >= FakeGuest::kQueueSize || out_[queue][id] == 0) std::abort();
    --out_[queue][id];
  }

  NetHost& host_;
  FakeGuest guest_;
  Wire wire_;
  std::array<std::array<unsigned, FakeGuest::kQueueSize>, 3> out_{};  // chains, by queue and id
};

}  // namespace
}  // namespace warren::vmm::virtio

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio;
  static NetHost rings_host, packets_host;
  static DeviceFuzzer rings(rings_host, kEverything & ~(kFeaturePacked | kFeatureEventIndex));
  static PacketFuzzer packets(packets_host);
  if (size == 0) return 0;
  if (data[0] % 2 == 0) {
    rings.run(data + 1, size - 1);
  } else {
    packets.run({data + 1, size - 1});
  }
  return 0;
}
