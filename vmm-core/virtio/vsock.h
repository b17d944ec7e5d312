// The virtio socket device (virtio 1.2 §5.10): sockets between programs of the guest and of the host, without
// a network. On the host they are unix sockets of the same type, SOCK_STREAM or SOCK_SEQPACKET:
//
// - to the guest: a program connects to the device's listening socket of the type, writes "CONNECT <port>\n"
// and
//   reads "OK <its own port>\n" when the guest has accepted, or the end of the file when it has not;
// - to the host: for a connection of the guest to CID 2 somebody else is asked for a connected socket, since
//   this process can reach none.
//
// A message is delivered whole: it is kept until its end has come, and is at most kBufferBytes long. A longer
// one, or one that the other side's buffer could never hold, ends its connection. An empty message cannot be
// told from the end of a unix socket, and is taken for it; the guest's empty ones are dropped.
//
// Nothing is lost and nothing grows: bytes are read from a host socket only when the guest has said that it
// takes them, and of the guest's bytes that a host socket does not take at least kBufferBytes are kept, which
// is what the guest is told it may send (§5.10.6.3).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/virtio/served_device.h"
#include "vmm-core/virtio/vsock_packet.h"

namespace warren::vmm::virtio {

// The guest wants a connection to `port` of the host.
struct VsockQuestion {
  std::uint32_t request = 0;  // for the answer
  std::uint32_t port = 0;
  VsockType type = VsockType::stream;
};

struct VsockOptions {
  std::uint64_t guest_cid = 3;        // 3 to 2^32 - 2
  FileDescriptor listener;            // a listening unix stream socket, non-blocking; or none
  FileDescriptor seqpacket_listener;  // the same of the other type
  // answer() is called with the question's number, soon or never. On the device's thread; does not throw.
  // None: every such connection is refused.
  std::function<void(const VsockQuestion& question)> connect;
};

class Vsock final : public ServedDevice {
 public:
  static constexpr std::uint64_t kFeatureStream = 1, kFeatureSeqpacket = 2;  // §5.10.3
  static constexpr std::size_t kBufferBytes = 128 * 1024;
  // Class T8: 64 MiB when no program reads, and as much again when no guest reads its messages.
  static constexpr std::size_t kMaximumConnections = 512;
  static constexpr std::size_t kMaximumAsked = 64;      // connections of the guest not yet answered
  static constexpr std::int64_t kPatienceSeconds = 10;  // with whoever answers
  static constexpr std::uint32_t kFirstHostPort = 1U << 30;

  Vsock(std::string name, VsockOptions options, EventThread& thread);
  ~Vsock() override;

  // What was asked for: a connected socket of the type, or none when the host refuses.
  // Any thread but the device's.
  void answer(std::uint32_t request, FileDescriptor socket) noexcept;
  // The machine was set to an earlier state, whose connections are gone: the driver is told (§5.10.6.7).
  // While the device is paused.
  void tell_transport_reset() noexcept { transport_was_reset_.store(true); }

  DeviceType type() const noexcept override { return DeviceType::vsock; }
  std::uint64_t features() const noexcept override { return kFeatureStream | kFeatureSeqpacket; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 3; }
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}
  // Every connection ends.
  void deactivate() noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  class Connection;
  class Listener;
  class Wake;
  enum : std::uint16_t { kReceive = 0, kTransmit = 1, kEvent = 2 };  // §5.10.2

  // Connections with something for the guest, each once, in turn.
  class Line {
   public:
    Line() : places_(kMaximumConnections) {}
    bool empty() const noexcept { return count_ == 0; }
    void push(Connection* connection) noexcept { places_[(first_ + count_++) % places_.size()] = connection; }
    Connection* pop() noexcept {
      Connection* front = places_[first_];
      first_ = (first_ + 1) % places_.size();
      --count_;
      return front;
    }
    void remove(const Connection* connection) noexcept {
      for (std::size_t i = count_; i != 0; --i)
        if (Connection* each = pop(); each != connection) push(each);
    }

   private:
    std::vector<Connection*> places_;
    std::size_t first_ = 0, count_ = 0;
  };

  // vsock.cpp: the guest's side.
  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  Served serve_receive() noexcept;
  Served serve_transmit() noexcept;
  Served serve_event() noexcept;
  bool deliver(Connection& connection, Chain& chain) noexcept;
  bool deliver_data(Connection& connection, Chain& chain) noexcept;
  bool deliver_message(Connection& connection, Chain& chain) noexcept;
  void waste(Connection& connection, Chain& chain) noexcept;
  bool takes(VsockType type) const noexcept;
  void put(Chain& chain, const VsockHeader& header) noexcept;
  void take(Chain& chain) noexcept;
  void take_for(Connection& connection, const VsockHeader& header, Reader& payload) noexcept;
  void take_request(const VsockHeader& header) noexcept;
  void take_shutdown(Connection& connection, std::uint32_t flags) noexcept;
  void take_reset(Connection& connection) noexcept;
  void refuse(const VsockHeader& header) noexcept;
  VsockHeader header_for(Connection& connection, std::uint16_t operation) const noexcept;

  // vsock_host.cpp: the host's side.
  void accept_clients(const FileDescriptor& listener, VsockType type) noexcept;
  void socket_event(Connection& connection, std::uint32_t events) noexcept;
  void read_greeting(Connection& connection) noexcept;
  void begin_request(Connection& connection, std::uint32_t port) noexcept;
  void guest_accepted(Connection& connection) noexcept;
  bool read_message(Connection& connection) noexcept;
  void nothing_read(Connection& connection, std::ptrdiff_t result) noexcept;
  void write_out(Connection& connection, Reader& payload, const VsockHeader& header) noexcept;
  std::uint64_t write_directly(Connection& connection, const Reader& payload,
                               const VsockHeader& header) noexcept;
  void flush(Connection& connection) noexcept;
  void stop_writing(Connection& connection) noexcept;
  void answered(std::uint32_t request, FileDescriptor socket) noexcept;
  Connection* asking(std::uint32_t request) noexcept;
  void expire_questions() noexcept;

  // Of connections; on the device's thread.
  Connection* find(std::uint32_t host_port, std::uint32_t guest_port) noexcept;
  Connection* make_connection(VsockType type) noexcept;
  bool give_ports(Connection& connection, std::uint32_t host_port, std::uint32_t guest_port) noexcept;
  void forget_ports(Connection& connection) noexcept;
  void enqueue(Connection& connection) noexcept;
  void listen(bool wanted) noexcept;
  void attach(Connection& connection) noexcept;
  void detach(Connection& connection) noexcept;
  void update_interest(Connection& connection) noexcept;
  void check_ends(Connection& connection) noexcept;
  void reset(Connection& connection) noexcept;    // the guest is told
  void destroy(Connection& connection) noexcept;  // nobody is
  void sweep() noexcept;
  void drop_all() noexcept;
  void serve_guest() noexcept;
  void ring() noexcept;

  VsockOptions options_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> dead_;  // freed when nothing can be looking at them any more
  std::unordered_map<std::uint64_t, Connection*> by_ports_;
  Line line_;
  std::array<VsockHeader, 64> refusals_;  // of packets of no connection
  std::size_t first_refusal_ = 0, refusal_count_ = 0;
  bool transmit_waits_ = false;  // until there is room for a refusal
  std::uint32_t next_host_port_ = kFirstHostPort, next_request_ = 1;
  // Put to the host and not answered; a guest that gives its connection up does not take its question back.
  struct Question {
    std::uint32_t request = 0;
    std::int64_t asked_at = 0;  // seconds
  };
  std::vector<Question> questions_;
  FileDescriptor wake_;
  std::unique_ptr<Wake> waker_;
  std::array<std::unique_ptr<Listener>, 2> listeners_;  // null: there is none of that type
  bool listens_ = false;
  unsigned running_queues_ = 0;
  std::atomic<bool> transport_was_reset_{false};

  struct Counters {
    std::atomic<std::uint64_t> connections{0}, opened{0}, refused{0}, malformed{0}, to_guest{0}, to_host{0};
  };
  Counters counters_;
};

}  // namespace warren::vmm::virtio
