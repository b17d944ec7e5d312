// What is at the other end of a tap that a guest is measured on: it sends frames into it as fast as it can,
// or sends back what comes.
//
//   warren-net-load source INTERFACE BYTES SECONDS   frames of experimental type; longer than 1514 bytes: TCP
//   to cut warren-net-load reflect INTERFACE SECONDS        every experimental frame goes back
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kExperimental = 0x88b5;
constexpr std::size_t kLongestFrame = 1514, kBatch = 32;

// virtio_net_hdr (virtio 1.2 §5.1.6): the kernel's own header is no C++.
struct Header {
  std::uint8_t flags = 0, segmentation = 0;
  std::uint16_t header_bytes = 0, segment_bytes = 0, checksum_start = 0, checksum_offset = 0;
};
static_assert(sizeof(Header) == 10);

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_socket(const char* interface, int protocol) {
  const int opened = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, protocol == 0 ? 0 : htons(kExperimental));
  if (opened < 0) fail("socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = protocol == 0 ? std::uint16_t{0} : htons(kExperimental);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
  if (::bind(opened, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
  return opened;
}

void set(int socket, int option) {
  const int on = 1;
  if (::setsockopt(socket, SOL_PACKET, option, &on, sizeof(on)) != 0) fail("setsockopt");
}

void put16(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

unsigned folded(const std::uint8_t* data, std::size_t bytes, unsigned sum) {
  for (std::size_t i = 0; i + 1 < bytes; i += 2) sum += unsigned{data[i]} << 8 | data[i + 1];
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// One TCP segment over IPv4, with the sum of its pseudo header.
void make_segment(std::uint8_t* frame, std::size_t bytes) {
  put16(frame + 12, ETHERTYPE_IP);
  std::uint8_t* const ip = frame + 14;
  ip[0] = 0x45;
  put16(ip + 2, static_cast<unsigned>(bytes - 14));
  ip[8] = 64;
  ip[9] = IPPROTO_TCP;
  ip[12] = ip[16] = 10;
  ip[15] = 1;
  ip[19] = 2;
  put16(ip + 10, ~folded(ip, 20, 0) & 0xffff);
  std::uint8_t* const tcp = ip + 20;
  put16(tcp, 1000);
  put16(tcp + 2, 2000);
  tcp[12] = 0x50;
  tcp[13] = 0x10;
  put16(tcp + 16, folded(ip + 12, 8, static_cast<unsigned>(IPPROTO_TCP + bytes - 34)));
}

// Whoever started this may begin to measure.
void say_ready() {
  std::puts("READY");
  std::fflush(stdout);
}

void send_for(const char* interface, std::size_t bytes, double seconds) {
  const int socket = open_socket(interface, 0);
  const bool is_long = bytes > kLongestFrame;
  if (is_long) {
    set(socket, PACKET_VNET_HDR);
  } else {
    set(socket, PACKET_QDISC_BYPASS);
  }
  Header header;
  std::vector<std::uint8_t> frame(bytes);
  std::fill_n(frame.begin(), 12, std::uint8_t{0x02});
  put16(frame.data() + 12, kExperimental);
  if (is_long) {
    make_segment(frame.data(), bytes);
    header = {.flags = 1,         // needs checksum
              .segmentation = 1,  // TCP over IPv4
              .header_bytes = 54,
              .segment_bytes = 1448,
              .checksum_start = 34,
              .checksum_offset = 16};
  }
  std::array<iovec, 2> parts = {iovec{&header, sizeof(header)}, iovec{frame.data(), frame.size()}};
  std::array<mmsghdr, kBatch> batch{};
  for (auto& each : batch) {
    each.msg_hdr.msg_iov = parts.data() + (is_long ? 0 : 1);
    each.msg_hdr.msg_iovlen = is_long ? 2 : 1;
  }
  say_ready();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    // One that finds the tap full gives its processor to whoever empties it.
    if (::sendmmsg(socket, batch.data(), kBatch, 0) < static_cast<int>(kBatch)) ::sched_yield();
  }
}

void reflect_for(const char* interface, double seconds) {
  const int socket = open_socket(interface, kExperimental);
  set(socket, PACKET_IGNORE_OUTGOING);
  std::array<std::uint8_t, 2048> frame{};
  say_ready();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    // It looks without sleeping: waking up would be most of what is measured.
    const ssize_t got = ::recv(socket, frame.data(), frame.size(), MSG_DONTWAIT);
    if (got > 0) {
      if (::send(socket, frame.data(), static_cast<std::size_t>(got), 0) != got) ::sched_yield();
    } else {
      ::sched_yield();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == "source") {
    send_for(argv[2], static_cast<std::size_t>(std::atol(argv[3])), std::atof(argv[4]));
  } else if (argc == 4 && std::string_view(argv[1]) == "reflect") {
    reflect_for(argv[2], std::atof(argv[3]));
  } else {
    std::fprintf(stderr, "warren-net-load source INTERFACE BYTES SECONDS | reflect INTERFACE SECONDS\n");
    return 2;
  }
  return 0;
}
