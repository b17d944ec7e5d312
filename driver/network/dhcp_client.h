// For tests: as much of a DHCP client (RFC 2131) and a DHCPv6 client (RFC 8415) as it takes to get a lease.
#pragma once

#include <array>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <net/if.h>

#include "driver/network/network_topology.h"

namespace warren::driver::network {

class DhcpClient {
 public:
  DhcpClient(const Host& host, std::array<std::uint8_t, 6> mac) : host_(host), mac_(mac) {}

  // The address it gets; empty: none.
  std::string lease(const std::string& host_name) {
    open(AF_INET, 68, "0.0.0.0");
    const auto goal = SocketAddress::of("255.255.255.255", 67);
    const std::vector<std::uint8_t> offer = ask(message(1, {}, host_name), goal, 2);
    if (offer.empty()) return {};
    // What is offered (50), and by whom (54).
    std::vector<std::uint8_t> wanted{50, 4};
    wanted.insert(wanted.end(), offer.begin() + 16, offer.begin() + 20);
    if (const auto server = option(offer, 54)) {
      wanted.insert(wanted.end(), {54, 4});
      wanted.insert(wanted.end(), server->begin(), server->end());
    }
    const std::vector<std::uint8_t> answer = ask(message(3, wanted, host_name), goal, 5);
    return answer.empty() ? "" : text(AF_INET, &answer[16]);
  }

  // By one SOLICIT that is answered at once (rapid commit).
  std::string lease6() {
    open(AF_INET6, 546, "::");
    SocketAddress goal = SocketAddress::of("ff02::1:2", 547);
    // sockaddr_storage is made to be read as any of the families'.
    reinterpret_cast<sockaddr_in6*>(&goal.storage)->sin6_scope_id = index_;
    std::vector<std::uint8_t> ask{1, 0, 0, 7, 0, 1, 0, 10, 0, 3, 0, 1};
    ask.insert(ask.end(), mac_.begin(), mac_.end());
    ask.insert(ask.end(), {0, 14, 0, 0, 0, 8, 0, 2, 0, 0, 0, 3, 0, 12, 0, 0, 0, 77});
    ask.resize(ask.size() + 8);
    ::sendto(socket_.get(), ask.data(), ask.size(), 0, goal.get(), goal.length);
    std::array<std::uint8_t, 1500> buffer;
    pollfd wait{socket_.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPatience) <= 0) return {};
    const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    // An address is option 5, of 24 bytes, within the association.
    const std::uint8_t head[] = {0, 5, 0, 24};
    for (ssize_t place = 4; place + 28 <= length; ++place)
      if (std::memcmp(&buffer[static_cast<std::size_t>(place)], head, 4) == 0)
        return text(AF_INET6, &buffer[static_cast<std::size_t>(place) + 4]);
    return {};
  }

 private:
  static constexpr int kPatience = 3000;  // ms
  static constexpr std::size_t kOptions = 240;

  void open(int family, std::uint16_t port, const char* any) {
    const Inside inside(host_.place);
    index_ = ::if_nametoindex("eth0");
    socket_.reset(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4);
    const SocketAddress here = SocketAddress::of(any, port);
    if (::bind(socket_.get(), here.get(), here.length) != 0) throw system_error(errno, "bind a DHCP client");
  }

  std::vector<std::uint8_t> message(std::uint8_t type, const std::vector<std::uint8_t>& options,
                                    const std::string& host_name) const {
    std::vector<std::uint8_t> bytes(kOptions);
    bytes[0] = 1;  // BOOTREQUEST, of Ethernet
    bytes[1] = 1;
    bytes[2] = 6;
    bytes[7] = type;   // the transaction's number
    bytes[10] = 0x80;  // answered by broadcast
    std::memcpy(&bytes[28], mac_.data(), mac_.size());
    const std::uint8_t cookie[] = {99, 130, 83, 99};
    std::memcpy(&bytes[236], cookie, 4);
    bytes.insert(bytes.end(), {53, 1, type});
    bytes.insert(bytes.end(), options.begin(), options.end());
    bytes.insert(bytes.end(), {12, static_cast<std::uint8_t>(host_name.size())});
    bytes.insert(bytes.end(), host_name.begin(), host_name.end());
    bytes.push_back(255);
    return bytes;
  }

  static std::optional<std::vector<std::uint8_t>> option(const std::vector<std::uint8_t>& bytes,
                                                         std::uint8_t wanted) {
    for (std::size_t place = kOptions; place + 2 <= bytes.size() && bytes[place] != 255;
         place += 2u + bytes[place + 1]) {
      const std::size_t end = place + 2 + bytes[place + 1];
      if (bytes[place] == wanted && end <= bytes.size())
        return std::vector<std::uint8_t>(bytes.begin() + static_cast<std::ptrdiff_t>(place) + 2,
                                         bytes.begin() + static_cast<std::ptrdiff_t>(end));
    }
    return std::nullopt;
  }

  // The answer of that type to this message; empty: none.
  std::vector<std::uint8_t> ask(const std::vector<std::uint8_t>& bytes, const SocketAddress& goal,
                                std::uint8_t type) {
    ::sendto(socket_.get(), bytes.data(), bytes.size(), 0, goal.get(), goal.length);
    pollfd wait{socket_.get(), POLLIN, 0};
    while (::poll(&wait, 1, kPatience) > 0) {
      std::vector<std::uint8_t> answer(1500);
      const ssize_t length = ::recv(socket_.get(), answer.data(), answer.size(), 0);
      answer.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
      if (answer.size() < kOptions || answer[7] != bytes[7]) continue;
      if (option(answer, 53) == std::vector<std::uint8_t>{type}) return answer;
    }
    return {};
  }

  static std::string text(int family, const void* bytes) {
    char buffer[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(family, bytes, buffer, sizeof(buffer));
    return buffer;
  }

  const Host& host_;
  std::array<std::uint8_t, 6> mac_;
  vmm::FileDescriptor socket_;
  unsigned index_ = 0;
};

}  // namespace warren::driver::network
