// A network name space with a bridge of two ports, for tests: "guest0" leads to a guest that may say
// anything, "peer0" to an honest neighbour. Frames go through packet sockets on the far ends.
//
// One thread; needs root. Nothing of the host's is touched.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "driver/config/identity.h"
#include "driver/config/ip_address.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::nwfilter {

using Frame = std::vector<std::uint8_t>;

inline void run(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

inline vmm::FileDescriptor open_packets(const std::string& device) {
  vmm::FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
  // The socket interface's way of passing addresses.
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

// A frame piece by piece.
class FrameBuilder {
 public:
  FrameBuilder& bytes(std::span<const std::uint8_t> data) {
    frame_.insert(frame_.end(), data.begin(), data.end());
    return *this;
  }
  FrameBuilder& byte(unsigned value) {
    frame_.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  FrameBuilder& word(unsigned value) { return byte(value >> 8 & 0xff).byte(value & 0xff); }
  FrameBuilder& mac(const char* text) { return bytes(*config::parse_mac_address(text)); }
  FrameBuilder& ip(const char* text) {
    const config::IpAddress address = *config::parse_ip_address(text);
    return bytes(std::span(address.bytes).first(address.bits() / 8));
  }
  FrameBuilder& zeros(std::size_t count) {
    frame_.insert(frame_.end(), count, 0);
    return *this;
  }
  Frame take() { return std::move(frame_); }
  std::size_t size() const { return frame_.size(); }

 private:
  Frame frame_;
};

inline Frame arp_frame(const char* source, const char* sender_mac, const char* sender_ip,
                       const char* target_ip, unsigned operation = 1,
                       const char* destination = "ff:ff:ff:ff:ff:ff") {
  return FrameBuilder()
      .mac(destination)
      .mac(source)
      .word(0x0806)
      .word(1)
      .word(0x0800)
      .word(0x0604)
      .word(operation)
      .mac(sender_mac)
      .ip(sender_ip)
      .mac("00:00:00:00:00:00")
      .ip(target_ip)
      .zeros(18)
      .take();
}

inline Frame ipv4_frame(const char* source_mac, const char* destination_mac, const char* source,
                        const char* destination, unsigned protocol, const Frame& payload) {
  FrameBuilder header;
  header.word(0x4500)
      .word(static_cast<unsigned>(20 + payload.size()))
      .word(0)
      .word(0)
      .byte(64)
      .byte(protocol);
  Frame start = header.take(), end = FrameBuilder().ip(source).ip(destination).take();
  std::uint32_t sum = 0;
  for (const Frame* part : {&start, &end})
    for (std::size_t i = 0; i < part->size(); i += 2) sum += (*part)[i] * 256U + (*part)[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return FrameBuilder()
      .mac(destination_mac)
      .mac(source_mac)
      .word(0x0800)
      .bytes(start)
      .word(~sum & 0xffff)
      .bytes(end)
      .bytes(payload)
      .take();
}

inline Frame udp_payload(unsigned from, unsigned to, const Frame& data) {
  return FrameBuilder()
      .word(from)
      .word(to)
      .word(static_cast<unsigned>(8 + data.size()))
      .word(0)
      .bytes(data)
      .take();
}

inline Frame ipv6_frame(const char* source_mac, const char* source, const char* destination) {
  return FrameBuilder()
      .mac("33:33:00:00:00:01")
      .mac(source_mac)
      .word(0x86dd)
      .word(0x6000)
      .word(0)
      .word(8)
      .byte(17)
      .byte(255)
      .ip(source)
      .ip(destination)
      .bytes(udp_payload(1000, 2000, {}))
      .take();
}

// RFC 2131: `type` 5 is DHCPACK, 7 DHCPRELEASE.
inline Frame dhcp_message(const char* guest, unsigned type, const char* client, const char* given,
                          std::uint32_t lease_s) {
  FrameBuilder message;
  message.byte(type == 5 || type == 2 ? 2 : 1).byte(1).byte(6).byte(0).zeros(8).ip(client).ip(given).zeros(8);
  message.mac(guest).zeros(10 + 64 + 128).word(0x6382).word(0x5363);
  message.byte(53).byte(1).byte(type);
  if (lease_s != 0) message.byte(51).byte(4).word(lease_s >> 16).word(lease_s & 0xffff);
  return message.byte(255).take();
}

class NetworkFixture : public testing::Test {
 protected:
  static constexpr const char* kGuest = "52:54:00:00:00:01";
  static constexpr const char* kPeer = "52:54:00:00:00:02";
  static constexpr const char* kOther = "52:54:00:00:00:66";
  static constexpr const char* kBroadcast = "ff:ff:ff:ff:ff:ff";

  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    run("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up");
    add_port("guest");
    add_port("peer");
    guest_ = open_packets("guest1");
    peer_ = open_packets("peer1");
    ASSERT_TRUE(passes(guest_, peer_, arp_frame(kOther, kOther, "9.9.9.9", "8.8.8.8")))
        << "the bridge forwards";
    ASSERT_TRUE(passes(peer_, guest_, arp_frame(kPeer, kPeer, "9.9.9.8", "8.8.8.8")))
        << "the bridge forwards";
  }

  static void add_port(const std::string& name) {
    run("ip link add " + name + "0 type veth peer name " + name + "1 && sysctl -qw net.ipv6.conf." + name +
        "1.disable_ipv6=1 net.ipv6.conf." + name + "0.disable_ipv6=1 && ip link set " + name +
        "0 master br0 up && ip link set " + name + "1 up");
  }

  static void send(const vmm::FileDescriptor& from, const Frame& frame) {
    ASSERT_EQ(::send(from.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }

  static bool comes(const vmm::FileDescriptor& to, const Frame& frame, std::chrono::milliseconds wait) {
    const auto end = std::chrono::steady_clock::now() + wait;
    std::array<std::uint8_t, 4096> buffer;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now())
              .count();
      pollfd ready{.fd = to.get(), .events = POLLIN};
      if (left < 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      // The socket interface's way of passing addresses.
      const ssize_t size =
          ::recvfrom(to.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
      if (Frame(buffer.data(), buffer.data() + size) == frame) return true;
    }
  }

  // Whether it arrives. What does not is told by a frame behind it that does: `after`, where there is one.
  static bool passes(const vmm::FileDescriptor& from, const vmm::FileDescriptor& to, const Frame& frame) {
    send(from, frame);
    return comes(to, frame, std::chrono::milliseconds(150));
  }
  bool leaves(const Frame& frame) { return passes(guest_, peer_, frame); }
  bool reaches(const Frame& frame) { return passes(peer_, guest_, frame); }

  vmm::FileDescriptor guest_, peer_;
};

}  // namespace warren::driver::nwfilter
