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

#include "daemon/rpc/administration.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc {

class Connection;

struct ServerSettings {
  std::string name = "virtwarrend";  // for administrators
  unsigned int max_clients = 5000;
  // Clients that have not opened a connection yet; further ones are turned away.
  unsigned int max_anonymous_clients = 20;
  std::chrono::seconds keepalive_interval{5};  // 0: none
};

class Server final : public ManagedServer {
 public:
  Server(boost::asio::io_context& loop, SessionServices services, ServerSettings settings);
  ~Server();

  // Listens on `path`, mode 0600; the file is removed at the end. A socket left behind by a dead process is
  // replaced; one that somebody answers on is not: throws vmm::Error naming it.
  void listen(const std::filesystem::path& path, bool read_only);
  // The same on a socket that listens there already, whose file is its maker's.
  void listen_on(FileDescriptor socket, const std::filesystem::path& path, bool read_only);
  std::size_t client_count() const { return clients_.size(); }
  // Called whenever the last client has gone.
  void on_idle(std::function<void()> idle) { idle_ = std::move(idle); }

  const std::string& name() const override { return settings_.name; }
  std::vector<ClientDescription> clients() const override;
  unsigned int anonymous_count() const override;
  bool disconnect(std::uint64_t client) override;
  ClientLimits limits() const override;
  void set_limits(const ClientLimits& limits) override;

  // Stops listening and disconnects everybody; the loop then runs out of work.
  void stop();

 private:
  struct Listener;

  boost::asio::awaitable<void> accept_loop(Listener& listener);
  boost::asio::awaitable<void> tick_loop();
  void begin(FileDescriptor socket, const std::filesystem::path& path, bool read_only, bool owned);
  void admit(int socket, bool read_only);
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
