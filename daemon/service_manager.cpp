#include "daemon/service_manager.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace warren::daemon {
namespace {

constexpr int kFirstDescriptor = 3;  // SD_LISTEN_FDS_START
constexpr int kMostDescriptors = 64;

std::optional<int> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const char* end = text + std::strlen(text);
  auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// The path a descriptor listens on; none if it is no listening Unix stream socket.
std::optional<std::filesystem::path> listening_path(int descriptor) {
  int listens = 0;
  int type = 0;
  socklen_t size = sizeof listens;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0)
    return std::nullopt;
  size = sizeof type;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
    return std::nullopt;
  sockaddr_un address{};
  size = sizeof address;
  // sockaddr_un is passed as sockaddr, as the socket API has it
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.sun_family != AF_UNIX || size <= sizeof(sa_family_t)) return std::nullopt;
  std::string_view path(address.sun_path, size - sizeof(sa_family_t));
  path = path.substr(0, path.find('\0'));
  if (path.empty()) return std::nullopt;  // an abstract name
  return std::filesystem::path(path);
}

}  // namespace

InheritedSockets take_inherited_sockets() {
  InheritedSockets inherited;
  const std::optional<int> process = number(std::getenv("LISTEN_PID"));
  const std::optional<int> count = number(std::getenv("LISTEN_FDS"));
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  // For another process of this environment, or nobody.
  if (!process || *process != ::getpid() || !count || *count < 0 || *count > kMostDescriptors)
    return inherited;
  for (int descriptor = kFirstDescriptor; descriptor < kFirstDescriptor + *count; ++descriptor) {
    if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) continue;  // there is none
    vmm::FileDescriptor owned(descriptor);
    const auto path = listening_path(descriptor);
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (!path || flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) {
      ++inherited.ignored;
      continue;
    }
    inherited.sockets.insert_or_assign(*path, std::move(owned));
  }
  return inherited;
}

void notify_ready() noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const std::size_t length = std::strlen(path);
  sockaddr_un address{};
  if (length >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  vmm::FileDescriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  constexpr std::string_view kReady = "READY=1";
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // as above; a manager that does not hear it says so itself
  ::sendto(socket.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace warren::daemon
