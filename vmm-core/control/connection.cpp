#include "vmm-core/control/connection.h"

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fcntl.h>

#include "vmm-core/control/protocol.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace asio = boost::asio;

Connection::Connection(asio::io_context& loop, FileDescriptor socket)
    : socket_(loop, socket.get()), channel_(socket.get()) {
  socket.release();  // Asio closes it
  socket_.native_non_blocking(true);
}

void Connection::open(OnMessage on_message, OnClosed on_closed) {
  on_message_ = std::move(on_message);
  on_closed_ = std::move(on_closed);
  wait_to_read();
}

void Connection::send(boost::json::object message, std::vector<FileDescriptor> descriptors) {
  if (!socket_.is_open()) return;
  if (!descriptors.empty()) message["descriptors"] = descriptors.size();
  try {
    channel_.send(boost::json::serialize(message), std::move(descriptors));
    wait_to_write();
  } catch (const Error& error) {
    asio::post(socket_.get_executor(),
               [self = shared_from_this(), reason = std::string(error.what())] { self->fail(reason); });
  }
}

void Connection::close() {
  on_message_ = nullptr;
  on_closed_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void Connection::wait_to_read() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code failed) {
                       if (!failed) self->read();
                     });
}

void Connection::wait_to_write() {
  if (waits_to_write_ || !channel_.has_unsent()) return;
  waits_to_write_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this()](boost::system::error_code failed) {
                       self->waits_to_write_ = false;
                       if (failed || !self->socket_.is_open()) return;
                       try {
                         self->channel_.flush();
                       } catch (const Error& error) {
                         return self->fail(error.what());
                       }
                       self->wait_to_write();
                     });
}

void Connection::read() {
  if (!socket_.is_open()) return;
  try {
    auto lines = channel_.receive();
    if (!lines) return fail("");
    for (const auto& line : *lines) {
      handle(line);
      if (!socket_.is_open()) return;
    }
  } catch (const Error& error) {
    return fail(error.what());
  }
  wait_to_read();
}

void Connection::handle(const std::string& line) {
  boost::json::error_code failed;
  boost::json::parse_options options;
  options.max_depth = 16;
  boost::json::value value = boost::json::parse(line, failed, {}, options);
  if (failed || !value.is_object())
    throw Error(std::errc::protocol_error, "control message is not a JSON object");
  std::vector<FileDescriptor> descriptors;
  if (const auto* count = value.get_object().if_contains("descriptors")) {
    const std::int64_t* number = count->if_int64();
    if (number == nullptr || *number < 0 || *number > std::int64_t{kMaximumDescriptorsPerMessage}) {
      throw Error(std::errc::protocol_error, "control message's count of descriptors");
    }
    descriptors = channel_.take_descriptors(static_cast<std::size_t>(*number));
  }
  // A copy, since the handler may close the connection.
  if (auto on_message = on_message_) on_message(std::move(value.get_object()), std::move(descriptors));
}

void Connection::fail(const std::string& reason) {
  if (!socket_.is_open()) return;
  auto on_closed = std::move(on_closed_);
  close();
  if (on_closed) on_closed(reason);
}

}  // namespace warren::vmm::control
