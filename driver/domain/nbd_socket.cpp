#include "driver/domain/nbd_socket.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

using Clock = std::chrono::steady_clock;
using vmm::FileDescriptor;

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// What a thread that asks for a name shares with whoever waits for it, and may have given up.
struct Question {
  std::string host, service;
  std::mutex mutex;
  std::condition_variable answered;
  bool is_answered = false;
  int failure = 0;  // of getaddrinfo()
  Addresses found;
};

int milliseconds_until(Clock::time_point limit) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

void ask(const std::shared_ptr<Question>& question) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(question->host.c_str(), question->service.c_str(), &hints, &list);
  const std::lock_guard lock(question->mutex);
  question->found.reset(list);
  question->failure = failure;
  question->is_answered = true;
  question->answered.notify_one();
}

class Connector {
 public:
  Connector(const config::NbdServer& server, const std::string& what, std::chrono::milliseconds limit)
      : server_(server), what_(what), limit_(Clock::now() + limit) {}

  FileDescriptor connect() { return server_.socket.empty() ? connect_tcp() : connect_unix(); }

 private:
  [[noreturn]] void fail(const std::string& why, int error) const {
    throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("{}: cannot connect to the NBD server '{}': {}", what_,
                                                  config::format_nbd_server(server_), why))
        .with_numbers(error, -1);
  }

  // A name server that does not answer holds up a thread that nobody waits for any more.
  Addresses find() const {
    auto question = std::make_shared<Question>();
    question->host = server_.host;
    question->service = std::to_string(server_.port.value_or(config::kNbdPort));
    std::thread([question] { ask(question); }).detach();
    std::unique_lock lock(question->mutex);
    if (!question->answered.wait_until(lock, limit_, [&] { return question->is_answered; }))
      fail("its name was not found in time", ETIMEDOUT);
    if (question->failure != 0) fail(::gai_strerror(question->failure), EHOSTUNREACH);
    return std::move(question->found);
  }

  // 0 or an errno.
  int connect_to(const FileDescriptor& socket, const sockaddr* address, socklen_t length,
                 Clock::time_point limit) const {
    for (;;) {
      if (::connect(socket.get(), address, length) == 0) return 0;
      if (errno == EINPROGRESS || errno == EINTR) break;
      // A server on this host whose queue is full.
      if (errno != EAGAIN) return errno;
      if (milliseconds_until(limit) == 0) return ETIMEDOUT;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    pollfd event{socket.get(), POLLOUT, 0};
    int ready = 0;
    do {
      ready = ::poll(&event, 1, milliseconds_until(limit));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    if (ready < 0 || ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
  }

  // Empty, with errno, where the host lacks the family.
  static FileDescriptor make_socket(int family) {
    return FileDescriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }

  FileDescriptor connect_tcp() const {
    const Addresses list = find();
    int error = EHOSTUNREACH;
    int left = 0;
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) ++left;
    for (const addrinfo* each = list.get(); each != nullptr; each = each->ai_next) {
      // An address that does not answer leaves the others their share of the time.
      const Clock::time_point limit = Clock::now() + (limit_ - Clock::now()) / left--;
      FileDescriptor socket = make_socket(each->ai_family);
      error = socket ? connect_to(socket, each->ai_addr, each->ai_addrlen, limit) : errno;
      if (error != 0) continue;
      const int yes = 1;
      // Small requests go at once, and a server that is gone is found to be.
      if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
          ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes)) != 0)
        fail(std::generic_category().message(errno), errno);
      return socket;
    }
    fail(std::generic_category().message(error), error);
  }

  FileDescriptor connect_unix() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (server_.socket.size() >= sizeof(address.sun_path))
      fail("the path is too long for a socket", ENAMETOOLONG);
    std::memcpy(address.sun_path, server_.socket.data(), server_.socket.size());
    FileDescriptor socket = make_socket(AF_UNIX);
    // The sockets interface wants it as the general type.
    const int error =
        socket ? connect_to(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address), limit_)
               : errno;
    if (error != 0) fail(std::generic_category().message(error), error);
    return socket;
  }

  const config::NbdServer& server_;
  const std::string& what_;
  const Clock::time_point limit_;
};

}  // namespace

FileDescriptor connect_to_nbd(const config::NbdServer& server, const std::string& what,
                              std::chrono::milliseconds limit) {
  return Connector(server, what, limit).connect();
}

}  // namespace warren::driver::domain
