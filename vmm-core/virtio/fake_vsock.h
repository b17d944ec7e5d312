// A virtio socket device with both of its sides in the hands of a test.
#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vmm-core/virtio/fake_devices.h"
#include "vmm-core/virtio/vsock.h"

namespace warren::vmm::virtio {

class VsockHost final : public FakeHost {
 public:
  static constexpr std::uint64_t kCid = 42;
  static constexpr std::uint64_t kTransmitBuffer = FakeGuest::kBuffers,
                                 kReceiveBuffers = FakeGuest::kBuffers + 0x2'0000;
  static constexpr std::uint32_t kReceiveBytes = 8192;

  struct Packet {
    VsockHeader header;
    std::string data;
  };

  std::unique_ptr<Device> make_device() override {
    auto device = std::make_unique<Vsock>("vsock",
                                          VsockOptions{.guest_cid = kCid,
                                                       .listener = streams_.socket.duplicate(),
                                                       .seqpacket_listener = messages_.socket.duplicate(),
                                                       .connect =
                                                           [this](const VsockQuestion& question) {
                                                             const std::lock_guard lock(mutex_);
                                                             asked_.push_back(question);
                                                           }},
                                          thread_);
    device_ = device.get();
    posted_ = 0;
    return device;
  }
  // A packet of no connection is answered.
  bool works(FakeGuest& guest) override {
    posted_ = 0;
    const std::uint32_t port = next_port_++;
    if (!send(guest, {.source_port = port, .destination_port = 7, .operation = kVsockData})) return false;
    // Connections of clients that a fuzzer let in may have their say first.
    for (int i = 0; i < 64; ++i) {
      const auto packet = receive(guest);
      if (!packet) return false;
      if (packet->header.operation == kVsockReset && packet->header.destination_port == port) return true;
    }
    return false;
  }
  std::size_t offer(FakeGuest& guest) override {
    const VsockHeader header = complete({.source_port = 9, .operation = kVsockReset});
    static_cast<void>(guest.memory().write_object({kTransmitBuffer}, header));
    guest.queue(1).offer({{kTransmitBuffer, sizeof(header), false}});
    return 1;
  }
  std::vector<std::size_t> served_queues() const override { return {1}; }

  // Sends a packet of the guest; false when the device did not take it.
  static bool send(FakeGuest& guest, const VsockHeader& wanted, std::string_view data = {}) {
    VsockHeader header = complete(wanted);
    if (header.length == 0) header.length = static_cast<std::uint32_t>(data.size());
    static_cast<void>(guest.memory().write_object({kTransmitBuffer}, header));
    static_cast<void>(
        guest.memory().write({kTransmitBuffer + 64}, std::as_bytes(std::span(data.data(), data.size()))));
    std::vector<FakeBuffer> chain = {{kTransmitBuffer, sizeof(header), false}};
    if (!data.empty())
      chain.push_back({kTransmitBuffer + 64, static_cast<std::uint32_t>(data.size()), false});
    return guest.request(1, chain).has_value();
  }
  static VsockHeader complete(VsockHeader header) {
    if (header.source_cid == 0) header.source_cid = kCid;
    if (header.destination_cid == 0) header.destination_cid = kVsockHostCid;
    if (header.type == VsockType{}) header.type = VsockType::stream;
    return header;
  }
  // The next packet for the guest; nothing after so long.
  std::optional<Packet> receive(FakeGuest& guest, int milliseconds = 5000) {
    if (posted_ == 0) {
      guest.queue(0).offer({{kReceiveBuffers, kReceiveBytes, true}});
      posted_ = 1;
      guest.kick(0);
    }
    const auto used = guest.wait_used(0, milliseconds);
    if (!used) return std::nullopt;
    posted_ = 0;
    Packet packet;
    const auto header = guest.memory().read_object<VsockHeader>({kReceiveBuffers});
    if (!header || used->length != sizeof(VsockHeader) + header->length) return std::nullopt;
    packet.header = *header;
    packet.data.resize(header->length);
    static_cast<void>(guest.memory().read({kReceiveBuffers + sizeof(VsockHeader)},
                                          std::as_writable_bytes(std::span(packet.data))));
    return packet;
  }
  // After a new start of the driver, whose rings are empty.
  void forget_buffers() noexcept { posted_ = 0; }

  // A program of the host that connects.
  FileDescriptor connect(VsockType type = VsockType::stream) const {
    const Listening& listener = type == VsockType::stream ? streams_ : messages_;
    FileDescriptor socket(::socket(AF_UNIX, listener.type | SOCK_CLOEXEC, 0));
    if (!socket || ::connect(socket.get(), listener.name(), listener.length) != 0) throw_errno("connect");
    return socket;
  }
  FileDescriptor connect_to(std::uint32_t port) const {
    FileDescriptor socket = connect();
    say(socket, "CONNECT " + std::to_string(port) + "\n");
    return socket;
  }
  static bool say(const FileDescriptor& socket, std::string_view text) {
    return ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // What there is to read, waited for; "EOF" at the end of the file, "" when nothing comes.
  static std::string hear(const FileDescriptor& socket, int milliseconds = 5000) {
    pollfd wait{.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, milliseconds) <= 0) return {};
    std::string text(65536, 0);
    const ssize_t got = ::recv(socket.get(), text.data(), text.size(), 0);
    if (got <= 0) return "EOF";
    text.resize(static_cast<std::size_t>(got));
    return text;
  }

  std::optional<VsockQuestion> take_asked() {
    const std::lock_guard lock(mutex_);
    if (asked_.empty()) return std::nullopt;
    const VsockQuestion first = asked_.front();
    asked_.pop_front();
    return first;
  }
  Vsock& device() noexcept { return *device_; }

 private:
  struct Listening {
    explicit Listening(int its_type)
        : type(its_type), socket(::socket(AF_UNIX, its_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
      // An abstract name the kernel chooses.
      const sa_family_t family = AF_UNIX;
      sockaddr wanted{};
      wanted.sa_family = family;
      length = sizeof(address);
      if (!socket || ::bind(socket.get(), &wanted, sizeof(family)) != 0 || ::listen(socket.get(), 600) != 0 ||
          ::getsockname(socket.get(), name(), &length) != 0)
        throw_errno("listener");
    }
    sockaddr* name() const noexcept {
      // The kernel's interface takes every address by this type.
      return reinterpret_cast<sockaddr*>(const_cast<sockaddr_un*>(&address));
    }

    int type;
    FileDescriptor socket;
    sockaddr_un address{};
    socklen_t length = 0;
  };

  Listening streams_{SOCK_STREAM}, messages_{SOCK_SEQPACKET};
  Vsock* device_ = nullptr;
  unsigned posted_ = 0;
  std::uint32_t next_port_ = 5000;
  std::mutex mutex_;
  std::deque<VsockQuestion> asked_;
};

}  // namespace warren::vmm::virtio
