// The sockets the daemon listens on, and its clients.
//
// Loop thread only. Keeps the counts: a client above `max_clients` waits in the listening socket's queue.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "daemon/rpc/session.h"

namespace warren::daemon::rpc {

class Connection;

struct ServerSettings {
  unsigned int max_clients = 5000;
  // Clients that have not opened a connection yet; further ones are turned away.
  unsigned int max_anonymous_clients = 20;
  std::chrono::seconds keepalive_interval{5};  // 0: none
};

class Server {
 public:
  Server(boost::asio::io_context& loop, SessionServices services, ServerSettings settings);
  ~Server();

  // Listens on `path`, mode 0600; the file is removed at the end. A socket left behind by a dead process is
  // replaced; one that somebody answers on is not: throws vmm::Error naming it.
  void listen(const std::filesystem::path& path, bool read_only);
  std::size_t client_count() const { return clients_.size(); }
  // Called whenever the last client has gone.
  void on_idle(std::function<void()> idle) { idle_ = std::move(idle); }
  // Stops listening and disconnects everybody; the loop then runs out of work.
  void stop();

 private:
  struct Listener;

  boost::asio::awaitable<void> accept_loop(Listener& listener);
  boost::asio::awaitable<void> tick_loop();
  void admit(int socket, bool read_only);
  unsigned int anonymous_count() const;
  void finished(Connection& connection);

  boost::asio::io_context& loop_;
  SessionServices services_;
  ServerSettings settings_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::shared_ptr<Connection>> clients_;
  boost::asio::steady_timer tick_;
  boost::asio::steady_timer place_;  // cancelled when a client leaves
  std::function<void()> idle_ = [] {};
  std::uint64_t next_id_ = 1;
  bool stopping_ = false;
};

}  // namespace warren::daemon::rpc
