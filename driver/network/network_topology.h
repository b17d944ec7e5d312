// For tests: a host with a bridge, two guests on it and a machine outside, each a network name space, with
// both families of addresses; and probes that tell whether one reaches another. Needs root.
//
// A socket belongs to the name space its thread was in when it was made: one thread plays everybody.
#pragma once

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "driver/contract/error.h"
#include "driver/tool/tool.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::network {

class NameSpace {
 public:
  // A new one; the thread stays where it is.
  NameSpace() {
    const vmm::FileDescriptor here = current();
    if (::unshare(CLONE_NEWNET) != 0) throw system_error(errno, "unshare the network: this needs root");
    file_ = current();
    ::setns(here.get(), CLONE_NEWNET);
  }
  int get() const { return file_.get(); }
  static vmm::FileDescriptor current() {
    return vmm::FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }

 private:
  vmm::FileDescriptor file_;
};

// The thread is in a name space for a while.
class Inside {
 public:
  explicit Inside(const NameSpace& place) : before_(NameSpace::current()) {
    if (::setns(place.get(), CLONE_NEWNET) != 0) throw system_error(errno, "enter a network name space");
  }
  ~Inside() { ::setns(before_.get(), CLONE_NEWNET); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  vmm::FileDescriptor before_;
};

// What becomes of what one sends to another: it is answered, refused with a word (ICMP), or lost.
enum class Fate { reached, rejected, lost };

inline std::ostream& operator<<(std::ostream& stream, Fate fate) {
  return stream << (fate == Fate::reached ? "reached" : fate == Fate::rejected ? "rejected" : "lost");
}

struct Host {
  NameSpace place;
  std::string ipv4, ipv6;
};

class Topology {
 public:
  static constexpr const char* kBridge = "virbr7";
  static constexpr const char* kOutward = "out0";

  Topology() {
    for (Host* host : {&router, &first, &second, &outside}) quiet(*host);
    run(router, fmt::format("link add {} type bridge stp_state 0 forward_delay 0", kBridge));
    connect(first, "guest1");
    connect(second, "guest2");
    run(router, fmt::format("addr add {}/24 dev {}", router.ipv4, kBridge));
    run(router, fmt::format("addr add {}/64 dev {} nodad", router.ipv6, kBridge));
    run(router, fmt::format("link set {} up", kBridge));
    for (Host* guest : {&first, &second}) address(*guest, "eth0", router.ipv4, router.ipv6);
    wire("out", kOutward, outside);
    run(router, fmt::format("addr add 10.72.0.1/24 dev {}", kOutward));
    run(router, fmt::format("addr add 2001:db8:72::1/64 dev {} nodad", kOutward));
    run(router, fmt::format("link set {} up", kOutward));
    address(outside, "eth0", "10.72.0.1", "2001:db8:72::1");
  }

  Host router{{}, "10.71.0.1", "2001:db8:71::1"};
  Host first{{}, "10.71.0.11", "2001:db8:71::11"};
  Host second{{}, "10.71.0.12", "2001:db8:71::12"};
  Host outside{{}, "10.72.0.2", "2001:db8:72::2"};

  // One ip(8) command.
  static void run(const Host& host, const std::string& command) {
    const Inside inside(host.place);
    std::vector<std::string> words;
    for (std::string_view word : split_fields(command, ' ')) words.emplace_back(word);
    require_tool({.name = "ip", .arguments = std::move(words)});
  }
  static void set(const Host& host, const std::string& setting, const std::string& value) {
    const Inside inside(host.place);
    std::ofstream file("/proc/sys/net/" + setting);
    file << value << std::flush;
    if (!file) throw system_error(errno, "set " + setting);
  }

 private:
  static void quiet(const Host& host) {
    set(host, "ipv6/conf/default/accept_dad", "0");
    set(host, "ipv6/conf/all/forwarding", "1");
    set(host, "ipv4/ip_forward", "1");
    // Every refusal is told, however many there are.
    set(host, "ipv4/icmp_ratelimit", "0");
    set(host, "ipv6/icmp/ratelimit", "0");
    run(host, "link set lo up");
  }
  void wire(const std::string& name, const std::string& end, const Host& host) {
    run(router, fmt::format("link add {} type veth peer name {}-far", end, name));
    const Inside inside(router.place);
    // ip(8) wants a number of a process or a name: our descriptor of the name space has one.
    require_tool({.name = "ip",
                  .arguments = {"link", "set", name + "-far", "netns",
                                fmt::format("/proc/{}/fd/{}", ::getpid(), host.place.get())}});
    run(host, fmt::format("link set {}-far name eth0", name));
  }
  void connect(const Host& guest, const std::string& name) {
    wire(name, name, guest);
    run(router, fmt::format("link set {} master {} up", name, kBridge));
  }
  static void address(const Host& host, const std::string& device, const std::string& gateway4,
                      const std::string& gateway6) {
    run(host, fmt::format("link set {} up", device));
    run(host, fmt::format("addr add {}/24 dev {}", host.ipv4, device));
    run(host, fmt::format("addr add {}/64 dev {} nodad", host.ipv6, device));
    run(host, fmt::format("route add default via {}", gateway4));
    run(host, fmt::format("-6 route add default via {}", gateway6));
  }
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  // sockaddr_storage is made to be read as any of the families'.
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

  static SocketAddress of(const std::string& text, std::uint16_t port) {
    SocketAddress address;
    auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
    if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
      four->sin_family = AF_INET;
      four->sin_port = htons(port);
      address.length = sizeof(*four);
      return address;
    }
    auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) != 1) throw invalid_argument(text);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    address.length = sizeof(*six);
    return address;
  }
  std::string text() const {
    char buffer[INET6_ADDRSTRLEN] = {};
    const auto* four = reinterpret_cast<const sockaddr_in*>(&storage);
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&storage);
    const void* bytes = storage.ss_family == AF_INET ? static_cast<const void*>(&four->sin_addr)
                                                     : static_cast<const void*>(&six->sin6_addr);
    ::inet_ntop(storage.ss_family, bytes, buffer, sizeof(buffer));
    return buffer;
  }
  std::uint16_t port() const {
    // Of both families at the same place.
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  }
};

class Probe {
 public:
  // `seen` is the sender as the receiver saw it. The receiver answers.
  static Fate send(const Host& from, const Host& to, int type, bool ipv6, SocketAddress* seen = nullptr,
                   std::uint16_t port = 7000) {
    Probe probe(from, to, type, SocketAddress::of(ipv6 ? to.ipv6 : to.ipv4, port));
    if (type == SOCK_STREAM) return probe.stream(seen);
    return probe.datagram(seen);
  }

 private:
  static constexpr int kPatience = 250;  // ms

  Probe(const Host& from, const Host& to, int type, SocketAddress goal) : goal_(goal) {
    receiver_ = make(to, type);
    const int on = 1;
    ::setsockopt(receiver_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(receiver_.get(), goal_.get(), goal_.length) != 0) throw system_error(errno, "bind a probe");
    if (type == SOCK_STREAM) ::listen(receiver_.get(), 1);
    sender_ = make(from, type);
    ::setsockopt(sender_.get(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    if (::connect(sender_.get(), goal_.get(), goal_.length) != 0 && errno != EINPROGRESS) failed_ = errno;
  }

  vmm::FileDescriptor make(const Host& host, int type) const {
    const Inside inside(host.place);
    return vmm::FileDescriptor(::socket(goal_.storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  static bool wait(int file, short events) {
    pollfd wanted{file, events, 0};
    return ::poll(&wanted, 1, kPatience) > 0;
  }
  static Fate fate_of(int error) { return error == ECONNREFUSED ? Fate::rejected : Fate::lost; }

  // An ICMPv6 error that arrives while connect(2) still runs, as it does within one machine, is only noted:
  // the next SYN, a second later, would fail. It is told at once by the queue of errors (ipv6(7)).
  int told_error() const {
    char byte = 0;
    alignas(cmsghdr) char room[256];
    iovec vector{&byte, 1};
    msghdr message{.msg_iov = &vector, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    if (::recvmsg(sender_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      sock_extended_err error{};
      if (part->cmsg_level != IPPROTO_IPV6 || part->cmsg_type != IPV6_RECVERR) continue;
      std::memcpy(&error, CMSG_DATA(part), sizeof(error));
      return static_cast<int>(error.ee_errno);
    }
    return 0;
  }

  Fate stream(SocketAddress* seen) {
    if (failed_ != 0) return fate_of(failed_);
    if (!wait(sender_.get(), POLLOUT)) return Fate::lost;
    int error = told_error();
    socklen_t length = sizeof(error);
    if (error == 0) ::getsockopt(sender_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return fate_of(error);
    SocketAddress peer;
    peer.length = sizeof(peer.storage);
    const vmm::FileDescriptor accepted(::accept4(receiver_.get(), peer.get(), &peer.length, SOCK_CLOEXEC));
    if (!accepted) return Fate::lost;
    if (seen != nullptr) *seen = peer;
    return Fate::reached;
  }

  Fate datagram(SocketAddress* seen) {
    if (failed_ != 0) return fate_of(failed_);
    char byte = 'x';
    if (::send(sender_.get(), &byte, 1, MSG_NOSIGNAL) != 1) return fate_of(errno);
    pollfd wanted[] = {{receiver_.get(), POLLIN, 0}, {sender_.get(), POLLIN, 0}};
    if (::poll(wanted, 2, kPatience) <= 0) return Fate::lost;
    if (wanted[0].revents == 0) return fate_of(::recv(sender_.get(), &byte, 1, 0) < 0 ? errno : 0);
    SocketAddress peer;
    peer.length = sizeof(peer.storage);
    if (::recvfrom(receiver_.get(), &byte, 1, 0, peer.get(), &peer.length) != 1) return Fate::lost;
    if (seen != nullptr) *seen = peer;
    ::sendto(receiver_.get(), &byte, 1, MSG_NOSIGNAL, peer.get(), peer.length);
    if (!wait(sender_.get(), POLLIN)) return Fate::lost;
    return ::recv(sender_.get(), &byte, 1, 0) == 1 ? Fate::reached : fate_of(errno);
  }

  SocketAddress goal_;
  vmm::FileDescriptor receiver_, sender_;
  int failed_ = 0;
};

}  // namespace warren::driver::network
