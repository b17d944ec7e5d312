// One conversation over a control socket: JSON objects and descriptors, in and out, on an Asio loop.
// Implementation header of control/, shared by client and server. One thread (the loop's).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/json/object.hpp>

#include "vmm-core/control/message_channel.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::control {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using OnMessage = std::function<void(boost::json::object, std::vector<FileDescriptor>)>;
  // Called once, with an empty reason when the peer closed in order.
  using OnClosed = std::function<void(const std::string& reason)>;

  Connection(boost::asio::io_context& loop, FileDescriptor socket);

  // Begins to read. The handlers are called from the loop, never from within send() or close().
  void open(OnMessage on_message, OnClosed on_closed);
  // Never throws for the peer's sake: a peer that is gone shows in on_closed.
  void send(boost::json::object message, std::vector<FileDescriptor> descriptors = {});
  // Drops the handlers and the socket.
  void close();

 private:
  void wait_to_read();
  void wait_to_write();
  void read();
  void handle(const std::string& line);
  void fail(const std::string& reason);

  boost::asio::posix::stream_descriptor socket_;
  MessageChannel channel_;
  OnMessage on_message_;
  OnClosed on_closed_;
  bool waits_to_write_ = false;
};

}  // namespace warren::vmm::control
