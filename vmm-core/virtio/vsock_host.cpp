// The host's side of a virtio socket device: unix sockets, and which connections there are.
#include <cerrno>
#include <charconv>
#include <ctime>
#include <exception>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/vsock.h"
#include "vmm-core/virtio/vsock_connection.h"

namespace warren::vmm::virtio {

namespace {
constexpr std::string_view kConnect = "CONNECT ";
constexpr unsigned kAcceptedAtOnce = 16;
}  // namespace

// --- Which connections there are ---

Vsock::Connection* Vsock::find(std::uint32_t host_port, std::uint32_t guest_port) noexcept {
  const auto found = by_ports_.find(std::uint64_t{host_port} << 32 | guest_port);
  return found == by_ports_.end() ? nullptr : found->second;
}

// Null when there are as many as there may be, or the host has no memory.
Vsock::Connection* Vsock::make_connection(VsockType type) noexcept {
  if (connections_.size() >= kMaximumConnections) return nullptr;
  auto made = std::unique_ptr<Connection>(new (std::nothrow) Connection(*this, type));
  if (!made) return nullptr;
  Connection* connection = made.get();
  connections_.push_back(std::move(made));
  counters_.connections.store(connections_.size(), std::memory_order_relaxed);
  return connection;
}

bool Vsock::give_ports(Connection& connection, std::uint32_t host_port, std::uint32_t guest_port) noexcept {
  connection.host_port = host_port;
  connection.guest_port = guest_port;
  try {
    connection.has_ports = by_ports_.emplace(connection.key(), &connection).second;
  } catch (const std::exception&) {
    return false;
  }
  return connection.has_ports;
}

void Vsock::forget_ports(Connection& connection) noexcept {
  if (std::exchange(connection.has_ports, false)) by_ports_.erase(connection.key());
}

void Vsock::sweep() noexcept {
  dead_.clear();
}

void Vsock::enqueue(Connection& connection) noexcept {
  if (std::exchange(connection.is_queued, true)) return;
  line_.push(&connection);
}

void Vsock::attach(Connection& connection) noexcept {
  if (!connection.socket || connection.is_attached || connection.has_hung_up || running_queues_ == 0) return;
  try {
    connection.waits_for = 0;
    thread_of(0).add(connection.socket.get(), 0, connection);
    connection.is_attached = true;
  } catch (const Error&) {
    // The host has no memory to wait for one more descriptor.
    return reset(connection);
  }
  update_interest(connection);
}

void Vsock::detach(Connection& connection) noexcept {
  if (!std::exchange(connection.is_attached, false)) return;
  thread_of(0).remove(connection.socket.get());
}

void Vsock::update_interest(Connection& connection) noexcept {
  if (!connection.is_attached) return;
  std::uint32_t events = 0;
  if (connection.state == Connection::State::greeting || (connection.reads() && !connection.is_readable))
    events |= EPOLLIN;
  if (connection.has_output()) events |= EPOLLOUT;
  if (events == connection.waits_for) return;
  connection.waits_for = events;
  thread_of(0).change(connection.socket.get(), events);
}

void Vsock::reset(Connection& connection) noexcept {
  if (!connection.has_ports) return destroy(connection);
  detach(connection);
  connection.socket.reset();
  connection.buffer.clear();
  connection.message.clear();
  connection.state = Connection::State::resetting;
  connection.untold = Connection::kReset;
  enqueue(connection);
}

void Vsock::destroy(Connection& connection) noexcept {
  if (connection.state == Connection::State::dead) return;
  detach(connection);
  forget_ports(connection);
  if (std::exchange(connection.is_queued, false)) line_.remove(&connection);
  connection.state = Connection::State::dead;
  connection.socket.reset();
  const auto place = std::ranges::find(connections_, &connection, &std::unique_ptr<Connection>::get);
  // Its caller may look at it once more.
  if (dead_.size() == dead_.capacity()) dead_.erase(dead_.begin());
  dead_.push_back(std::move(*place));
  *place = std::move(connections_.back());
  connections_.pop_back();
  counters_.connections.store(connections_.size(), std::memory_order_relaxed);
  if (!listens_ && running_queues_ != 0) listen(true);
}

// --- From the host to the guest ---

void Vsock::accept_clients(const FileDescriptor& listener, VsockType type) noexcept {
  sweep();
  for (unsigned i = 0; i < kAcceptedAtOnce; ++i) {
    if (connections_.size() >= kMaximumConnections) {
      // The rest waits in the socket's backlog until one of these has ended.
      return listen(false);
    }
    FileDescriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    Connection* connection = make_connection(type);
    if (connection == nullptr) return;
    connection->socket = std::move(socket);
    attach(*connection);
  }
}

void Vsock::socket_event(Connection& connection, std::uint32_t events) noexcept {
  using State = Connection::State;
  sweep();
  if (connection.state == State::greeting) return read_greeting(connection);
  if ((events & EPOLLOUT) != 0) flush(connection);
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && connection.socket) {
    // There is no end of these events, and none follows them.
    detach(connection);
    connection.has_hung_up = true;
    if (connection.state == State::draining) return destroy(connection);
    if (connection.state == State::asking_guest) {
      reset(connection);
    } else if (!connection.reads()) {
      connection.host_sends_no_more = true;
      stop_writing(connection);
    } else {
      connection.is_readable = true;  // at least the end of the file
      enqueue(connection);
    }
  } else if ((events & EPOLLIN) != 0 && connection.reads()) {
    connection.is_readable = true;
    enqueue(connection);
  }
  serve_guest();
  update_interest(connection);
}

// One line, read byte by byte: what may come behind it is the guest's. Or one message, which is the line.
void Vsock::read_greeting(Connection& connection) noexcept {
  const bool is_stream = connection.type == VsockType::stream;
  for (;;) {
    std::array<char, 33> next{};
    const ssize_t got =
        ::recv(connection.socket.get(), next.data(), is_stream ? std::size_t{1} : next.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) return destroy(connection);
    std::string_view text(next.data(), static_cast<std::size_t>(got));
    const bool ends = !is_stream || text == "\n";
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.size() > connection.line.size() - connection.line_length) return destroy(connection);
    connection.line_length += text.copy(connection.line.data() + connection.line_length, text.size());
    if (ends) break;
  }
  if (!takes(connection.type)) return destroy(connection);  // the guest's driver does not know such sockets
  const std::string_view line(connection.line.data(), connection.line_length);
  if (!line.starts_with(kConnect)) return destroy(connection);
  const std::string_view number = line.substr(kConnect.size());
  std::uint32_t port = 0;
  const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), port);
  if (failed != std::errc{} || end != number.data() + number.size()) return destroy(connection);
  begin_request(connection, port);
}

void Vsock::begin_request(Connection& connection, std::uint32_t port) noexcept {
  // There are far more ports than connections.
  while (find(next_host_port_, port) != nullptr)
    next_host_port_ = std::max(next_host_port_ + 1, kFirstHostPort);
  if (!give_ports(connection, next_host_port_, port)) return destroy(connection);
  next_host_port_ = std::max(next_host_port_ + 1, kFirstHostPort);
  connection.state = Connection::State::asking_guest;
  connection.untold |= Connection::kRequest;
  enqueue(connection);
  update_interest(connection);
  serve_guest();
}

void Vsock::guest_accepted(Connection& connection) noexcept {
  std::array<char, 16> text = {'O', 'K', ' '};
  char* end = std::to_chars(text.data() + 3, text.data() + text.size() - 1, connection.host_port).ptr;
  *end++ = '\n';
  const auto length = static_cast<std::size_t>(end - text.data());
  const ssize_t sent = ::send(connection.socket.get(), text.data(), length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(length)) return reset(connection);
  connection.state = Connection::State::open;
  counters_.opened.fetch_add(1, std::memory_order_relaxed);
  connection.is_readable = true;  // there may be something, from before it was read
  enqueue(connection);
}

// What a read that brought nothing means: an errno, or the end of the file.
void Vsock::nothing_read(Connection& connection, std::ptrdiff_t result) noexcept {
  if (result < 0 && errno == EINTR) {
    enqueue(connection);
  } else if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    connection.is_readable = false;
    update_interest(connection);
    if (connection.untold != 0) enqueue(connection);
  } else if (result == 0) {
    connection.host_sends_no_more = true;
    if (connection.has_hung_up) stop_writing(connection);
    connection.untold |= Connection::kShutdown;
    enqueue(connection);
    update_interest(connection);
  } else {
    reset(connection);
  }
}

// The program's next message, whole. False when there is none, which has been seen to.
bool Vsock::read_message(Connection& connection) noexcept {
  const int socket = connection.socket.get();
  const ssize_t length = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (length <= 0) {
    nothing_read(connection, length);
    return false;
  }
  const auto bytes = static_cast<std::size_t>(length);
  const bool fits = bytes <= kBufferBytes && bytes <= connection.peer_buffer;
  const auto room = fits ? connection.message.begin(bytes) : std::span<std::byte>();
  if (room.empty() || ::recv(socket, room.data(), room.size(), MSG_DONTWAIT) != length) {
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    reset(connection);
    return false;
  }
  connection.message.filled(bytes);
  return true;
}

// --- From the guest to the host ---

void Vsock::answer(std::uint32_t request, FileDescriptor socket) noexcept {
  thread_of(0).run([&] { answered(request, std::move(socket)); });
}

void Vsock::answered(std::uint32_t request, FileDescriptor socket) noexcept {
  sweep();
  if (std::erase_if(questions_, [&](const Question& each) { return each.request == request; }) == 0) return;
  Connection* found = asking(request);
  if (found == nullptr) return;  // the guest has given up
  Connection& connection = *found;
  if (!socket) {
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    reset(connection);
  } else {
    connection.state = Connection::State::open;
    connection.socket = std::move(socket);
    connection.untold |= Connection::kResponse;
    connection.is_readable = true;
    counters_.opened.fetch_add(1, std::memory_order_relaxed);
    enqueue(connection);
    attach(connection);
  }
  serve_guest();
  update_interest(connection);
}

Vsock::Connection* Vsock::asking(std::uint32_t request) noexcept {
  const auto found = std::ranges::find_if(connections_, [&](const auto& each) {
    return each->state == Connection::State::asking_host && each->request == request;
  });
  return found == connections_.end() ? nullptr : found->get();
}

// Those that nobody has answered, and nobody will: whoever answers was not there.
void Vsock::expire_questions() noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  std::erase_if(questions_, [&](const Question& question) {
    if (now.tv_sec - question.asked_at <= kPatienceSeconds) return false;
    if (Connection* connection = asking(question.request)) reset(*connection);
    return true;
  });
}

void Vsock::write_out(Connection& connection, Reader& payload, const VsockHeader& header) noexcept {
  // More than it was told it may send (§5.10.6.3).
  if (header.length > connection.buffer.room()) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return reset(connection);
  }
  connection.received += header.length;
  counters_.to_host.fetch_add(header.length, std::memory_order_relaxed);
  const std::uint64_t sent = write_directly(connection, payload, header);
  static_cast<void>(payload.skip(sent));
  if (!connection.buffer.append(payload, static_cast<std::size_t>(header.length - sent)))
    return reset(connection);
  const bool ends = connection.type == VsockType::seqpacket && (header.flags & kVsockEndOfMessage) != 0;
  if (ends && !connection.buffer.end_message()) return reset(connection);
  connection.note_forwarded();
  if (connection.untold != 0) enqueue(connection);
  update_interest(connection);
}

// How much of it there is no need to keep: what the host socket takes at once, and all that nobody wants.
std::uint64_t Vsock::write_directly(Connection& connection, const Reader& payload,
                                    const VsockHeader& header) noexcept {
  if (connection.host_receives_no_more) return header.length;  // as the guest knows or will
  if (!connection.buffer.empty() || header.length == 0) return 0;
  const bool is_message = connection.type == VsockType::seqpacket;
  if (is_message && (header.flags & kVsockEndOfMessage) == 0) return 0;
  std::array<iovec, 64> pieces;
  std::size_t count = 0;
  if (!payload.rest(pieces, header.length, count) && is_message) return 0;
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t result = ::sendmsg(connection.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (result >= 0) return static_cast<std::uint64_t>(result);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  stop_writing(connection);
  return header.length;
}

void Vsock::flush(Connection& connection) noexcept {
  const bool is_message = connection.type == VsockType::seqpacket;
  while (connection.has_output()) {
    const std::size_t length = is_message ? connection.buffer.first_message() : connection.buffer.size();
    auto pieces = connection.buffer.pieces(length);
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const ssize_t sent = ::sendmsg(connection.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (sent < 0) {
      stop_writing(connection);
      break;
    }
    if (is_message) {
      connection.buffer.drop_message(length);
    } else {
      connection.buffer.drop(static_cast<std::size_t>(sent));
    }
  }
  if (!connection.has_output() && connection.state == Connection::State::draining) return destroy(connection);
  connection.note_forwarded();
  if (connection.untold != 0) enqueue(connection);
  check_ends(connection);
}

// The program reads no more; what it had not read is nobody's.
void Vsock::stop_writing(Connection& connection) noexcept {
  connection.buffer.clear();
  if (connection.state != Connection::State::open || std::exchange(connection.host_receives_no_more, true))
    return;
  connection.untold |= Connection::kShutdown;
  enqueue(connection);
}

// The guest's end of the file comes behind its last byte; when both directions are over so is the connection,
// which RST confirms (§5.10.6.6).
void Vsock::check_ends(Connection& connection) noexcept {
  if (connection.state != Connection::State::open || connection.has_output()) return;
  if (!connection.guest_sends_no_more) return;
  if (connection.guest_receives_no_more) return reset(connection);
  if (!std::exchange(connection.is_write_shut, true)) ::shutdown(connection.socket.get(), SHUT_WR);
}

}  // namespace warren::vmm::virtio
