// The guest's side: packets of the queues, and what becomes of a connection.
#include "vmm-core/virtio/vsock.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/vsock_connection.h"

namespace warren::vmm::virtio {

namespace {
// The most of one packet of data; what Linux sends, too.
constexpr std::uint64_t kMaximumPacket = 64 * 1024;
}  // namespace

class Vsock::Wake final : public EventHandler {
 public:
  explicit Wake(Vsock& device) : device_(device) {}
  void on_event(std::uint32_t) noexcept override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(device_.wake_.get(), &count, sizeof(count));
    if (device_.is_running(kTransmit)) device_.work(kTransmit);
  }

 private:
  Vsock& device_;
};

class Vsock::Listener final : public EventHandler {
 public:
  Listener(Vsock& device, FileDescriptor socket, VsockType type)
      : socket_(std::move(socket)), device_(device), type_(type) {}
  void on_event(std::uint32_t) noexcept override { device_.accept_clients(socket_, type_); }
  int socket() const noexcept { return socket_.get(); }

 private:
  const FileDescriptor socket_;
  Vsock& device_;
  const VsockType type_;
};

Vsock::Vsock(std::string name, VsockOptions options, EventThread& thread)
    : ServedDevice(std::move(name), {&thread}),
      options_(std::move(options)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      waker_(std::make_unique<Wake>(*this)) {
  if (!wake_) throw_errno(this->name() + ": eventfd");
  if (options_.guest_cid <= kVsockHostCid || options_.guest_cid >= 0xffff'ffff)
    throw Error(std::errc::invalid_argument, this->name() + ": its CID is not 3 to 4294967294");
  if (options_.listener)
    listeners_[0] = std::make_unique<Listener>(*this, std::move(options_.listener), VsockType::stream);
  if (options_.seqpacket_listener)
    listeners_[1] =
        std::make_unique<Listener>(*this, std::move(options_.seqpacket_listener), VsockType::seqpacket);
  // All there will ever be: nothing below allocates but a new connection.
  connections_.reserve(kMaximumConnections);
  dead_.reserve(kMaximumConnections);
  by_ports_.reserve(kMaximumConnections);
  questions_.reserve(kMaximumAsked);
}

Vsock::~Vsock() {
  Vsock::deactivate();
}

void Vsock::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  read_bytes(std::as_bytes(std::span(&options_.guest_cid, 1)), offset, data);
}

void Vsock::ring() noexcept {
  const std::uint64_t one = 1;
  // A full counter has rung already.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void Vsock::started(std::uint16_t) noexcept {
  if (running_queues_++ != 0) return;
  try {
    thread_of(0).add(wake_.get(), EPOLLIN, *waker_);
    for (const auto& listener : listeners_)
      if (listener) thread_of(0).add(listener->socket(), EPOLLIN, *listener);
    listens_ = true;
  } catch (const Error&) {
    return host()->request_reset();
  }
  // Backwards: one that cannot be waited for may go, and the last one takes its place.
  for (std::size_t i = connections_.size(); i != 0; --i) attach(*connections_[i - 1]);
  if (transmit_waits_) ring();
}

void Vsock::stopped(std::uint16_t) noexcept {
  if (--running_queues_ != 0) return;
  thread_of(0).remove(wake_.get());
  for (const auto& listener : listeners_)
    if (listener) thread_of(0).remove(listener->socket());
  for (const auto& connection : connections_) detach(*connection);
}

void Vsock::listen(bool wanted) noexcept {
  listens_ = wanted;
  for (const auto& listener : listeners_)
    if (listener) thread_of(0).change(listener->socket(), wanted ? std::uint32_t{EPOLLIN} : 0);
}

void Vsock::deactivate() noexcept {
  ServedDevice::deactivate();
  thread_of(0).run([this] { drop_all(); });
}

void Vsock::drop_all() noexcept {
  while (!connections_.empty()) destroy(*connections_.back());
  sweep();
  refusal_count_ = 0;
  transmit_waits_ = false;
}

ServedDevice::Served Vsock::serve(std::uint16_t index) noexcept {
  switch (index) {
    case kReceive:
      return serve_receive();
    case kTransmit:
      return serve_transmit();
    default:
      return serve_event();
  }
}

ServedDevice::Served Vsock::serve_event() noexcept {
  if (!transport_was_reset_.load()) return Served::waiting;
  Chain chain;
  if (!queue(kEvent).pop(chain)) return Served::all;
  transport_was_reset_.store(false);
  Writer writer(chain.writable);
  writer.write(std::as_bytes(std::span(&kVsockTransportReset, 1)));
  chain.ticket.complete(static_cast<std::uint32_t>(writer.written()));
  return Served::waiting;
}

// --- To the guest ---

void Vsock::serve_guest() noexcept {
  if (is_running(kReceive)) work(kReceive);
}

ServedDevice::Served Vsock::serve_receive() noexcept {
  Chain chain;
  unsigned served = 0;
  for (; served < kShare && (refusal_count_ != 0 || !line_.empty()); ++served) {
    if (!queue(kReceive).pop(chain)) return Served::all;
    // §5.10.6: a buffer holds one packet, and a whole header.
    if (chain.writable_bytes < sizeof(VsockHeader)) {
      counters_.malformed.fetch_add(1, std::memory_order_relaxed);
      chain.ticket.complete(0);
      continue;
    }
    if (refusal_count_ != 0) {
      put(chain, refusals_[first_refusal_]);
      first_refusal_ = (first_refusal_ + 1) % refusals_.size();
      --refusal_count_;
      if (std::exchange(transmit_waits_, false)) ring();
      continue;
    }
    Connection& connection = *line_.pop();
    connection.is_queued = false;
    if (!deliver(connection, chain)) queue(kReceive).push_back(chain);
  }
  return served == kShare ? Served::more : Served::waiting;
}

void Vsock::put(Chain& chain, const VsockHeader& header) noexcept {
  Writer writer(chain.writable);
  writer.write(std::as_bytes(std::span(&header, 1)));
  chain.ticket.complete(static_cast<std::uint32_t>(sizeof(header) + header.length));
}

VsockHeader Vsock::header_for(Connection& connection, std::uint16_t operation) const noexcept {
  connection.told_forwarded = connection.forwarded();
  return {.source_cid = kVsockHostCid,
          .destination_cid = options_.guest_cid,
          .source_port = connection.host_port,
          .destination_port = connection.guest_port,
          .type = connection.type,
          .operation = operation,
          .buffer_bytes = kBufferBytes,
          .forwarded_bytes = connection.told_forwarded};
}

// Fills the chain with the connection's next packet; false, with the chain untouched, when it has none.
bool Vsock::deliver(Connection& connection, Chain& chain) noexcept {
  using Untold = Connection::Untold;
  const auto take = [&](Untold which) {
    if ((connection.untold & which) == 0) return false;
    connection.untold = static_cast<std::uint8_t>(connection.untold & ~which);
    return true;
  };
  VsockHeader header;
  if (take(Untold::kReset)) {
    header = header_for(connection, kVsockReset);
    destroy(connection);
  } else if (take(Untold::kRequest)) {
    header = header_for(connection, kVsockRequest);
  } else if (take(Untold::kResponse)) {
    header = header_for(connection, kVsockResponse);
  } else if (take(Untold::kShutdown)) {
    // Its last bytes went before: the flag for sending is set when they have been read.
    header = header_for(connection, kVsockShutdown);
    header.flags = (connection.host_receives_no_more ? kVsockNoReceive : 0) |
                   (connection.host_sends_no_more ? kVsockNoSend : 0);
  } else if (connection.reads() && connection.has_input() && connection.credit() == 0 &&
             !std::exchange(connection.has_asked_for_credit, true)) {
    header = header_for(connection, kVsockCreditRequest);
  } else if (connection.reads() && connection.has_input() && connection.credit() != 0) {
    return connection.type == VsockType::stream ? deliver_data(connection, chain)
                                                : deliver_message(connection, chain);
  } else if (take(Untold::kCreditUpdate)) {
    header = header_for(connection, kVsockCreditUpdate);
  } else {
    return false;
  }
  put(chain, header);
  if (header.operation != kVsockReset) enqueue(connection);
  return true;
}

// From the socket into the guest's buffer, behind the header.
bool Vsock::deliver_data(Connection& connection, Chain& chain) noexcept {
  Reader buffer(chain.writable);
  std::array<iovec, 64> pieces;
  std::size_t count = 0;
  static_cast<void>(buffer.skip(sizeof(VsockHeader)));
  // What does not fit into the pieces is not used.
  static_cast<void>(buffer.rest(pieces, std::min<std::uint64_t>(connection.credit(), kMaximumPacket), count));
  if (count == 0) {
    waste(connection, chain);
    return true;
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t got = ::recvmsg(connection.socket.get(), &message, MSG_DONTWAIT);
  if (got > 0) {
    VsockHeader header = header_for(connection, kVsockData);
    header.length = static_cast<std::uint32_t>(got);
    connection.sent += header.length;
    counters_.to_guest.fetch_add(header.length, std::memory_order_relaxed);
    // Told by this packet.
    connection.untold = static_cast<std::uint8_t>(connection.untold & ~Connection::kCreditUpdate);
    put(chain, header);
    enqueue(connection);
    return true;
  }
  nothing_read(connection, got);
  return false;
}

// A header's room and no more: such a buffer is good for other packets only.
void Vsock::waste(Connection& connection, Chain& chain) noexcept {
  counters_.malformed.fetch_add(1, std::memory_order_relaxed);
  chain.ticket.complete(0);
  enqueue(connection);
}

// As much of the message at hand, or of the next one, as the buffer and the guest's credit hold.
bool Vsock::deliver_message(Connection& connection, Chain& chain) noexcept {
  if (connection.message.empty() && !read_message(connection)) return false;
  auto piece = connection.message.left();
  piece = piece.first(std::min({piece.size(), std::size_t{connection.credit()}, std::size_t{kMaximumPacket},
                                std::size_t{chain.writable_bytes - sizeof(VsockHeader)}}));
  if (piece.empty()) {
    waste(connection, chain);
    return true;
  }
  VsockHeader header = header_for(connection, kVsockData);
  header.length = static_cast<std::uint32_t>(piece.size());
  if (piece.size() == connection.message.left().size()) header.flags = kVsockEndOfMessage;
  connection.sent += header.length;
  counters_.to_guest.fetch_add(header.length, std::memory_order_relaxed);
  // Told by this packet.
  connection.untold = static_cast<std::uint8_t>(connection.untold & ~Connection::kCreditUpdate);
  Writer writer(chain.writable);
  writer.write(std::as_bytes(std::span(&header, 1)));
  writer.write(piece);
  chain.ticket.complete(static_cast<std::uint32_t>(writer.written()));
  connection.message.take(piece.size());
  enqueue(connection);
  return true;
}

// --- From the guest ---

ServedDevice::Served Vsock::serve_transmit() noexcept {
  sweep();
  Chain chain;
  Served result = Served::more;
  for (unsigned served = 0; served < kShare; ++served) {
    // A refusal must not be lost: the guest waits for it. It gets on when it has taken some.
    if (refusal_count_ == refusals_.size()) {
      transmit_waits_ = true;
      result = Served::waiting;
      break;
    }
    if (!queue(kTransmit).pop(chain)) {
      result = Served::all;
      break;
    }
    take(chain);
    chain.ticket.complete(0);
  }
  if (refusal_count_ != 0 || !line_.empty()) serve_guest();
  return result;
}

void Vsock::take(Chain& chain) noexcept {
  Reader reader(chain.readable);
  VsockHeader header;
  if (!reader.read_object(header) || header.length > reader.left() ||
      header.source_cid != options_.guest_cid) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (header.destination_cid != kVsockHostCid || !takes(header.type)) return refuse(header);
  Connection* connection = find(header.destination_port, header.source_port);
  if (connection != nullptr && connection->type != header.type) return refuse(header);
  if (connection != nullptr) return take_for(*connection, header, reader);
  if (header.operation == kVsockRequest) return take_request(header);
  refuse(header);
}

// Streams need no feature (§5.10.3).
bool Vsock::takes(VsockType type) const noexcept {
  return type == VsockType::stream ||
         (type == VsockType::seqpacket && (accepted_features() & kFeatureSeqpacket) != 0);
}

// RST for a packet that has no connection; none for an RST (§5.10.6.5).
void Vsock::refuse(const VsockHeader& header) noexcept {
  if (header.operation == kVsockReset) return;
  counters_.refused.fetch_add(1, std::memory_order_relaxed);
  refusals_[(first_refusal_ + refusal_count_++) % refusals_.size()] = {.source_cid = header.destination_cid,
                                                                       .destination_cid = header.source_cid,
                                                                       .source_port = header.destination_port,
                                                                       .destination_port = header.source_port,
                                                                       .type = header.type,
                                                                       .operation = kVsockReset};
}

void Vsock::take_for(Connection& connection, const VsockHeader& header, Reader& payload) noexcept {
  using State = Connection::State;
  // Its RST is on the way.
  if (connection.state == State::resetting) {
    if (header.operation == kVsockReset) destroy(connection);
    return;
  }
  connection.peer_buffer = header.buffer_bytes;
  connection.peer_forwarded = header.forwarded_bytes;
  connection.has_asked_for_credit = false;
  if (connection.has_input()) enqueue(connection);
  const bool is_open = connection.state == State::open;
  switch (header.operation) {
    case kVsockReset:
      return take_reset(connection);
    case kVsockResponse:
      if (connection.state == State::asking_guest) return guest_accepted(connection);
      break;
    case kVsockShutdown:
      if (is_open) return take_shutdown(connection, header.flags);
      break;
    case kVsockData:
      if (is_open && !connection.guest_sends_no_more) return write_out(connection, payload, header);
      break;
    case kVsockCreditUpdate:
      if (is_open) return;
      break;
    case kVsockCreditRequest:
      if (!is_open) break;
      connection.untold |= Connection::kCreditUpdate;
      return enqueue(connection);
    default:
      break;
  }
  counters_.malformed.fetch_add(1, std::memory_order_relaxed);
  reset(connection);
}

void Vsock::take_request(const VsockHeader& header) noexcept {
  expire_questions();
  if (!options_.connect || questions_.size() >= kMaximumAsked) return refuse(header);
  Connection* connection = make_connection(header.type);
  if (connection == nullptr) return refuse(header);
  if (!give_ports(*connection, header.destination_port, header.source_port)) {
    destroy(*connection);
    return refuse(header);
  }
  connection->state = Connection::State::asking_host;
  connection->peer_buffer = header.buffer_bytes;
  connection->peer_forwarded = header.forwarded_bytes;
  connection->request = next_request_++;
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  questions_.push_back({connection->request, now.tv_sec});
  options_.connect({connection->request, header.destination_port, header.type});
}

void Vsock::take_shutdown(Connection& connection, std::uint32_t flags) noexcept {
  connection.guest_receives_no_more |= (flags & kVsockNoReceive) != 0;
  connection.guest_sends_no_more |= (flags & kVsockNoSend) != 0;
  // A host program that writes on gets EPIPE.
  if (connection.guest_receives_no_more) ::shutdown(connection.socket.get(), SHUT_RD);
  update_interest(connection);
  check_ends(connection);
}

// The guest is through with the connection. What it sent before is the host's still (nothing is lost).
void Vsock::take_reset(Connection& connection) noexcept {
  if (connection.state != Connection::State::open || !connection.has_output()) return destroy(connection);
  forget_ports(connection);
  line_.remove(&connection);
  connection.is_queued = false;
  connection.untold = 0;
  connection.state = Connection::State::draining;
  update_interest(connection);
}

void Vsock::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("served_by", "worker");
  node.add("guest_cid", options_.guest_cid);
  node.add("connections", counters_.connections.load(std::memory_order_relaxed));
  node.add("opened", counters_.opened.load(std::memory_order_relaxed));
  node.add("refused", counters_.refused.load(std::memory_order_relaxed));
  node.add("malformed", counters_.malformed.load(std::memory_order_relaxed));
  node.add("bytes_to_guest", counters_.to_guest.load(std::memory_order_relaxed));
  node.add("bytes_to_host", counters_.to_host.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm::virtio
