#include "daemon/rpc/connection.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

namespace warren::daemon::rpc {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// Ticks that a closing connection gets to read what it is still owed.
constexpr unsigned int kClosingTicks = 2;
// Descriptors taken from one recvmsg(); the kernel attaches those of one sendmsg() at most.
constexpr std::size_t kDescriptorsPerMessage = 32;

std::vector<FileDescriptor> attached_descriptors(msghdr& message) {
  std::vector<FileDescriptor> found;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + at, sizeof number);
      found.emplace_back(number);
    }
  }
  return found;
}

// Whether the peer has closed its end, and not just its direction of it (poll(2), POLLHUP).
bool has_hung_up(int socket) {
  pollfd state{socket, 0, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0;
}

}  // namespace

Connection::Connection(Socket socket, SessionServices& services, const Peer& peer, std::uint64_t id,
                       std::function<void(Connection&)> on_finished)
    : socket_(std::move(socket)),
      services_(services),
      on_finished_(std::move(on_finished)),
      session_(std::make_shared<Session>(*this, services, peer, id)),
      resume_(socket_.get_executor(), asio::steady_timer::time_point::max()) {}

void Connection::start() {
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()]() { return self->serve(); }, asio::detached);
}

asio::awaitable<void> Connection::serve() {
  try {
    co_await read_loop();
  } catch (const std::exception& error) {  // the end of memory
    services_.report(fmt::format("client disconnected: {}", error.what()));
  }
  failed_ = true;
  session_->on_closed();
  boost::system::error_code ignored;
  static_cast<void>(socket_.close(ignored));
  on_finished_(*this);
}

asio::awaitable<void> Connection::read_loop() {
  while (!failed_) {
    if (!serve_buffered()) co_return;
    if (closing_ && outgoing_.empty()) co_return;
    if (half_closed_ && !session_->busy() && outgoing_.empty()) co_return;
    if (half_closed_ || closing_ || !session_->accepting()) {
      paused_ = true;
      co_await resume_.async_wait(kNoThrow);
      paused_ = false;
      continue;
    }
    // Before every read: one client that sends without a pause does not keep the others waiting, and for a
    // client that waits for its reply it costs less than a read that finds nothing.
    auto [error] = co_await socket_.async_wait(Socket::wait_read, kNoThrow);
    if (error) co_return;
    if (receive() != 0) continue;
    half_closed_ = true;
    // Closed in both directions nobody is left to hear of what is still being done.
    if (has_hung_up(socket_.native_handle())) co_return;
  }
}

// Hands the received frames to the session. False when the connection is beyond repair.
bool Connection::serve_buffered() {
  Frame frame;
  while (!failed_ && !closing_ && session_->accepting()) {
    switch (reader_.next(frame)) {
      case FrameReader::Next::frame:
        session_->receive(frame);
        break;
      case FrameReader::Next::incomplete:
        return true;
      case FrameReader::Next::violation:
        services_.report("client disconnected: malformed packet");
        return false;
    }
  }
  return !failed_;
}

ssize_t Connection::receive() {
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsPerMessage * sizeof(int))];
  std::span<std::byte> space = reader_.space();
  iovec part{space.data(), space.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      fail(std::system_category().message(errno));
    return -1;
  }
  std::vector<FileDescriptor> descriptors;
  if (message.msg_controllen > 0) descriptors = attached_descriptors(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    fail("more descriptors in one message than can be taken");
    return -1;
  }
  reader_.received(static_cast<std::size_t>(size), std::move(descriptors));
  return size;
}

void Connection::send(std::span<const std::byte> frame, std::vector<FileDescriptor> descriptors) {
  if (failed_) return;
  if (outgoing_.empty()) {
    ssize_t sent = ::send(socket_.native_handle(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      fail(std::system_category().message(errno));
      return;
    }
    frame = frame.subspan(sent < 0 ? 0 : static_cast<std::size_t>(sent));
  }
  if (!frame.empty()) queue({.data = {frame.begin(), frame.end()}});
  for (FileDescriptor& descriptor : descriptors) {
    queue({.data = {std::byte{0}}, .descriptor = std::move(descriptor)});
  }
  if (!outgoing_.empty() && !writing_) {
    writing_ = true;
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()]() { return self->write_loop(); }, asio::detached);
  }
}

void Connection::queue(Outgoing item) {
  backlog_ += item.data.size();
  outgoing_.push_back(std::move(item));
}

asio::awaitable<void> Connection::write_loop() {
  // Waits first: the session that is sending is still on the stack.
  do {
    auto [error] = co_await socket_.async_wait(Socket::wait_write, kNoThrow);
    if (error) break;
  } while (!failed_ && !flush());
  writing_ = false;
}

bool Connection::flush() {
  while (!outgoing_.empty()) {
    Outgoing& item = outgoing_.front();
    ssize_t sent = send_some(item);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      if (errno == EINTR) continue;
      fail(std::system_category().message(errno));
      return true;
    }
    item.sent += static_cast<std::size_t>(sent);
    backlog_ -= static_cast<std::size_t>(sent);
    if (item.sent == item.data.size()) outgoing_.pop_front();
    session_->on_room();
  }
  resume();
  return true;
}

ssize_t Connection::send_some(const Outgoing& item) {
  std::span<const std::byte> rest = std::span(item.data).subspan(item.sent);
  if (!item.descriptor) {
    return ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{const_cast<std::byte*>(rest.data()), rest.size()};  // sendmsg() does not write to it
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int number = item.descriptor.get();
  std::memcpy(CMSG_DATA(rights), &number, sizeof number);
  return ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Connection::resume() {
  if (paused_) resume_.cancel();
}

void Connection::tick() {
  if (closing_ && ++closing_ticks_ > kClosingTicks) fail("client does not read its last replies");
  if (!failed_) session_->keepalive_tick(!paused_);
}

void Connection::end(int reason, std::string_view why) {
  session_->send_close_reason(reason);
  fail(why);
}

void Connection::abort(std::string_view reason) {
  fail(reason);
}

// Only marks the end: the reader finds it and finishes, when nothing of the session is on the stack.
void Connection::fail(std::string_view reason) {
  if (std::exchange(failed_, true)) return;
  services_.report(fmt::format("client disconnected: {}", reason));
  outgoing_.clear();
  backlog_ = 0;
  boost::system::error_code ignored;
  static_cast<void>(socket_.cancel(ignored));
  resume_.cancel();
}

}  // namespace warren::daemon::rpc
