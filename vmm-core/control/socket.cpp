// Where a control socket lives in the file system, from both ends.
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm-core/control/client.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

// The address of `name` in an open directory by way of /proc, which keeps it short however long the path is
// (sun_path has 108 bytes, unix(7)).
sockaddr_un address_of(const FileDescriptor& directory, const std::string& name, const std::string& path) {
  const std::string text = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (text.size() >= sizeof(address.sun_path)) throw Error(std::errc::filename_too_long, path);
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

struct Place {
  FileDescriptor directory;
  std::string name;
};

Place place_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) throw Error(std::errc::invalid_argument, path);
  const std::string directory = slash == 0 ? "/" : path.substr(0, slash);
  FileDescriptor opened(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened) throw_errno(directory);
  return {std::move(opened), path.substr(slash + 1)};
}

FileDescriptor unix_socket(const std::string& path, int type) {
  FileDescriptor made(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) throw_errno(path);
  return made;
}

}  // namespace

FileDescriptor listen_at(const std::string& path, int type) {
  const Place place = place_of(path);
  const sockaddr_un address = address_of(place.directory, place.name, path);
  FileDescriptor listener = unix_socket(path, type);
  if (::unlinkat(place.directory.get(), place.name.c_str(), 0) != 0 && errno != ENOENT) throw_errno(path);
  // The mode of a socket file comes from its descriptor's, so it is never open to others, not even for a
  // moment.
  if (::fchmod(listener.get(), 0600) != 0) throw_errno(path);
  // The sockets API takes every kind of address through the generic one.
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw_errno(path);
  if (::listen(listener.get(), 16) != 0) throw_errno(path);
  return listener;
}

FileDescriptor connect_to(const std::string& path) {
  const Place place = place_of(path);
  const sockaddr_un address = address_of(place.directory, place.name, path);
  FileDescriptor connected = unix_socket(path, SOCK_STREAM);
  // The sockets API takes every kind of address through the generic one.
  if (::connect(connected.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw_errno(path);
  return connected;
}

}  // namespace warren::vmm::control
