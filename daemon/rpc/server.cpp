#include "daemon/rpc/server.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/rpc/connection.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon::rpc {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// How long accepting rests when the process is out of descriptors or memory.
constexpr auto kAcceptPause = std::chrono::milliseconds(200);

sockaddr_un socket_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) {
    throw vmm::Error(std::errc::filename_too_long, fmt::format("socket {}", path.native()));
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  return address;
}

FileDescriptor make_socket(const std::filesystem::path& path) {
  FileDescriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) vmm::throw_errno(fmt::format("socket {}", path.native()));
  return made;
}

// Whether a process listens there.
bool is_answered(const std::filesystem::path& path, const sockaddr_un& address) {
  FileDescriptor probe = make_socket(path);
  // sockaddr_un is passed as sockaddr, as the socket API has it
  int result = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return result == 0 || errno == EAGAIN;  // EAGAIN: its queue is full
}

FileDescriptor listen_at(const std::filesystem::path& path) {
  sockaddr_un address = socket_address(path);
  if (is_answered(path, address)) {
    throw vmm::Error(std::errc::address_in_use,
                     fmt::format("socket {} is served by another daemon", path.native()));
  }
  ::unlink(path.c_str());
  FileDescriptor listener = make_socket(path);
  // The mode counts from the first moment, so that it is set by umask and not afterwards.
  mode_t mask = ::umask(0177);
  int bound =
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);  // as above
  int bind_error = errno;
  ::umask(mask);
  if (bound != 0) throw vmm::Error::from_errno(bind_error, fmt::format("bind socket {}", path.native()));
  if (::listen(listener.get(), SOMAXCONN) != 0) vmm::throw_errno(fmt::format("listen on {}", path.native()));
  return listener;
}

}  // namespace

struct Server::Listener {
  asio::posix::stream_descriptor socket;
  std::filesystem::path path;
  bool read_only;
  bool owned;  // its file is ours to remove

  ~Listener() {
    if (owned) ::unlink(path.c_str());
  }
};

Server::Server(asio::io_context& loop, SessionServices services, ServerSettings settings)
    : loop_(loop), services_(std::move(services)), settings_(std::move(settings)), tick_(loop), place_(loop) {
  if (settings_.keepalive_interval.count() > 0) {
    asio::co_spawn(loop_, [this] { return tick_loop(); }, asio::detached);
  }
}

Server::~Server() = default;

void Server::listen(const std::filesystem::path& path, bool read_only) {
  begin(listen_at(path), path, read_only, true);
}

void Server::listen_on(FileDescriptor socket, const std::filesystem::path& path, bool read_only) {
  begin(std::move(socket), path, read_only, false);
}

void Server::begin(FileDescriptor socket, const std::filesystem::path& path, bool read_only, bool owned) {
  listeners_.push_back(std::make_unique<Listener>(asio::posix::stream_descriptor(loop_, socket.release()),
                                                  path, read_only, owned));
  Listener& listener = *listeners_.back();
  asio::co_spawn(loop_, [this, &listener] { return accept_loop(listener); }, asio::detached);
}

asio::awaitable<void> Server::accept_loop(Listener& listener) {
  while (!stopping_) {
    if (clients_.size() >= settings_.max_clients) {
      place_.expires_at(asio::steady_timer::time_point::max());
      co_await place_.async_wait(kNoThrow);
      continue;
    }
    auto [error] = co_await listener.socket.async_wait(asio::posix::stream_descriptor::wait_read, kNoThrow);
    if (error) co_return;
    int socket = ::accept4(listener.socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket >= 0) {
      admit(socket, listener.read_only);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      services_.report(
          fmt::format("accept on {}: {}", listener.path.native(), std::system_category().message(errno)));
      place_.expires_after(kAcceptPause);
      co_await place_.async_wait(kNoThrow);
    }
  }
}

void Server::admit(int number, bool read_only) {
  FileDescriptor owned(number);
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(number, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return;
  // Until clients can authenticate, the sockets are for root and the daemon's own user, whatever their modes.
  if (credentials.uid != 0 && credentials.uid != ::geteuid()) {
    services_.report(fmt::format("client with uid {} refused", credentials.uid));
    return;
  }
  if (anonymous_count() >= settings_.max_anonymous_clients) {
    services_.report("client refused: too many that have not opened their connection");
    return;
  }
  Connection::Socket socket(loop_, asio::local::stream_protocol(), owned.release());
  socket.native_non_blocking(true);
  Peer peer{.user_id = credentials.uid,
            .group_id = credentials.gid,
            .process_id = credentials.pid,
            .read_only = read_only,
            .passes_descriptors = true};
  auto connection = std::make_shared<Connection>(std::move(socket), services_, peer, next_id_++,
                                                 [this](Connection& over) { finished(over); });
  clients_.push_back(connection);
  connection->start();
}

unsigned int Server::anonymous_count() const {
  return static_cast<unsigned int>(std::ranges::count_if(
      clients_, [](const std::shared_ptr<Connection>& client) { return !client->session().is_open(); }));
}

std::vector<ClientDescription> Server::clients() const {
  std::vector<ClientDescription> descriptions;
  for (const std::shared_ptr<Connection>& client : clients_) {
    const Session& session = client->session();
    descriptions.push_back({.id = session.caller().connection_id,
                            .connected = client->connected(),
                            .peer = session.peer(),
                            .read_only = session.caller().read_only});
  }
  return descriptions;
}

bool Server::disconnect(std::uint64_t id) {
  auto found = std::ranges::find_if(clients_, [&](const std::shared_ptr<Connection>& client) {
    return client->session().caller().connection_id == id;
  });
  if (found == clients_.end()) return false;
  std::shared_ptr<Connection> client = *found;
  // The reason is that of a connection cut off: the client did not end it itself, and may connect again.
  client->end(VIR_CONNECT_CLOSE_REASON_EOF, "closed by the administrator");
  return true;
}

ClientLimits Server::limits() const {
  return {.most = settings_.max_clients, .most_anonymous = settings_.max_anonymous_clients};
}

void Server::set_limits(const ClientLimits& limits) {
  settings_.max_clients = limits.most;
  settings_.max_anonymous_clients = limits.most_anonymous;
  place_.cancel();  // there may be room now
}

void Server::finished(Connection& connection) {
  std::erase_if(clients_,
                [&](const std::shared_ptr<Connection>& client) { return client.get() == &connection; });
  place_.cancel();
  if (clients_.empty()) idle_();
}

asio::awaitable<void> Server::tick_loop() {
  while (!stopping_) {
    tick_.expires_after(settings_.keepalive_interval);
    co_await tick_.async_wait(kNoThrow);
    auto clients = clients_;
    for (const std::shared_ptr<Connection>& client : clients) client->tick();
  }
}

void Server::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    static_cast<void>(listener->socket.cancel(ignored));
  }
  tick_.cancel();
  place_.cancel();
  auto clients = clients_;
  for (const std::shared_ptr<Connection>& client : clients)
    client->end(VIR_CONNECT_CLOSE_REASON_EOF, "the daemon ends");
}

}  // namespace warren::daemon::rpc
