// One client's unix socket: reads frames for a Session, writes what it sends, at once where the socket takes
// it.
//
// Loop thread only. Owned by the Server until it is finished.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/rpc/packet.h"
#include "daemon/rpc/session.h"
#include "daemon/rpc/transport.h"

namespace warren::daemon::rpc {

class Connection final : public Transport, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // `on_finished` is called once, from the loop, when the connection is over.
  Connection(Socket socket, SessionServices& services, const Peer& peer, std::uint64_t id,
             std::function<void(Connection&)> on_finished);

  void start();
  // The server's clock, once each keepalive interval.
  void tick();
  const Session& session() const { return *session_; }
  std::chrono::system_clock::time_point connected() const { return connected_; }
  // Ends it from this side, with a virConnectCloseReason for a client that asked to be told.
  void end(int reason, std::string_view why);

  void send(std::span<const std::byte> frame, std::vector<FileDescriptor> descriptors) override;
  std::size_t backlog() const override { return backlog_; }
  void resume() override;
  void close_when_sent() override { closing_ = true; }
  void abort(std::string_view reason) override;

 private:
  struct Outgoing {
    std::vector<std::byte> data;
    std::size_t sent = 0;
    FileDescriptor descriptor;  // sent with the data, which is then one byte
  };

  boost::asio::awaitable<void> read_loop();
  boost::asio::awaitable<void> write_loop();
  boost::asio::awaitable<void> serve();
  bool serve_buffered();
  // Bytes received; 0 at the end, -1 when there is nothing yet or the connection has failed.
  ssize_t receive();
  // Sends from the queue; false when the socket takes no more.
  bool flush();
  ssize_t send_some(const Outgoing& item);
  void queue(Outgoing item);
  void fail(std::string_view reason);

  Socket socket_;
  const std::chrono::system_clock::time_point connected_ = std::chrono::system_clock::now();
  SessionServices& services_;
  std::function<void(Connection&)> on_finished_;
  std::shared_ptr<Session> session_;
  FrameReader reader_;
  boost::asio::steady_timer resume_;  // never expires; cancelled to wake the reader
  std::deque<Outgoing> outgoing_;
  std::size_t backlog_ = 0;
  bool writing_ = false;      // write_loop runs
  bool paused_ = false;       // the session accepts nothing at the moment
  bool closing_ = false;      // close when everything has been sent
  bool half_closed_ = false;  // the peer sends no more
  bool failed_ = false;
  unsigned int closing_ticks_ = 0;
};

}  // namespace warren::daemon::rpc
