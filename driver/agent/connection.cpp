#include "driver/agent/connection.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace warren::driver::agent {

namespace {

// A reply to a synchronization is a few bytes: longer lines are late replies and need not be kept.
constexpr std::size_t kMaximumSynchronizationReply = 256;
// What may wait for a guest that does not read.
constexpr std::size_t kMaximumUnsent = std::size_t{8} << 20;
constexpr std::size_t kReadSize = 16384;

}  // namespace

Connection::Connection(boost::asio::io_context& loop)
    : loop_(loop),
      socket_(loop),
      timer_(loop),
      input_(kReadSize, '\0'),
      // Ids of an earlier daemon's exchanges do not come again.
      id_(std::chrono::duration_cast<std::chrono::microseconds>(
              std::chrono::system_clock::now().time_since_epoch())
              .count()) {}

Connection::~Connection() = default;

std::shared_ptr<Connection> Connection::open(boost::asio::io_context& loop, const std::string& path,
                                             std::move_only_function<void()> closed) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return nullptr;
  path.copy(address.sun_path, path.size());
  // Not blocking, so that a listener whose queue is full is one that is not there yet.
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return nullptr;
  auto connection = std::make_shared<Connection>(loop);
  boost::system::error_code failed;
  connection->socket_.assign(boost::asio::local::stream_protocol(), descriptor, failed);
  if (failed) {
    ::close(descriptor);
    return nullptr;
  }
  // The sockets interface takes every kind of address as a sockaddr.
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return nullptr;
  connection->closed_ = std::move(closed);
  connection->read();
  return connection;
}

void Connection::exchange(Exchange exchange, Answer answer) {
  exchange_ = std::move(exchange);
  answer_ = std::move(answer);
  state_ = State::synchronizing;
  reader_.clear();
  reader_.set_limit(kMaximumSynchronizationReply);
  ++id_;
  if (!socket_.is_open() || output_.size() > kMaximumUnsent) {
    const Failure failure = socket_.is_open() ? Failure::not_synchronized : Failure::disconnected;
    boost::asio::post(loop_, [self = shared_from_this(), failure, id = id_] {
      if (id == self->id_) self->finish(std::unexpected(failure));
    });
    return;
  }
  expire_in(exchange_.synchronization_deadline, Failure::not_synchronized);
  // 0xff makes the agent's parser drop what an earlier, unfinished request has left in it.
  write(fmt::format("\xff{{\"execute\":\"guest-sync-delimited\",\"arguments\":{{\"id\":{}}}}}\n", id_));
}

void Connection::close() {
  closed_ = nullptr;
  lost();
}

void Connection::lost() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  output_.clear();
  if (state_ != State::idle) finish(std::unexpected(Failure::disconnected));
  if (auto closed = std::exchange(closed_, nullptr)) closed();
}

void Connection::expire_in(std::chrono::milliseconds time, Failure failure) {
  timer_.expires_after(time);
  timer_.async_wait(
      [weak = weak_from_this(), id = id_, state = state_, failure](boost::system::error_code cancelled) {
        auto self = weak.lock();
        // A timer that ran out just before it was set anew tells of an exchange or state that is over.
        if (cancelled || !self || self->id_ != id || self->state_ != state) return;
        self->finish(std::unexpected(failure));
      });
}

void Connection::finish(std::expected<Reply, Failure> outcome) {
  if (state_ == State::idle) return;
  state_ = State::idle;
  timer_.cancel();
  reader_.clear();
  exchange_ = {};
  if (auto answer = std::exchange(answer_, nullptr)) answer(std::move(outcome));
}

void Connection::read() {
  socket_.async_read_some(boost::asio::buffer(input_),
                          [weak = weak_from_this()](boost::system::error_code failed, std::size_t size) {
                            auto self = weak.lock();
                            if (!self) return;
                            if (failed == boost::asio::error::operation_aborted) return;
                            if (failed) return self->lost();
                            self->received(std::string_view(self->input_).substr(0, size));
                            if (self->socket_.is_open()) self->read();
                          });
}

void Connection::received(std::string_view bytes) {
  if (state_ == State::idle) return;
  reader_.feed(bytes, [this](std::string line) { return line_received(std::move(line)); });
  if (state_ == State::waiting && reader_.has_overflowed()) finish(std::unexpected(Failure::malformed));
}

// False when nothing more is wanted.
bool Connection::line_received(std::string line) {
  auto value = Value::parse(line, exchange_.command);
  if (state_ == State::synchronizing) {
    // Whatever is not the reply to this synchronization is late or nonsense.
    if (!value || !value->is_object() || !value->has("return")) return true;
    try {
      if (value->number("return") != id_) return true;
    } catch (const std::exception&) {
      return true;
    }
    if (exchange_.line.empty()) {
      finish(Reply{std::move(*value), std::move(line)});
      return false;
    }
    state_ = State::waiting;
    reader_.clear();
    reader_.set_limit(kMaximumReply);
    timer_.cancel();
    if (exchange_.deadline) expire_in(*exchange_.deadline, Failure::timed_out);
    write(std::exchange(exchange_.line, {}) + "\n");
    return true;
  }
  if (!value || !value->is_object()) {
    finish(std::unexpected(Failure::malformed));
  } else {
    finish(Reply{std::move(*value), std::move(line)});
  }
  return false;
}

void Connection::write(std::string text) {
  output_ += text;
  if (sending_.empty()) flush();
}

void Connection::flush() {
  if (output_.empty() || !socket_.is_open()) return;
  sending_ = std::exchange(output_, {});
  // Holds itself: the bytes must stay until the kernel has them. close() ends it.
  boost::asio::async_write(socket_, boost::asio::buffer(sending_),
                           [self = shared_from_this()](boost::system::error_code failed, std::size_t) {
                             self->sending_.clear();
                             if (failed == boost::asio::error::operation_aborted) return;
                             if (failed) return self->lost();
                             self->flush();
                           });
}

}  // namespace warren::driver::agent
