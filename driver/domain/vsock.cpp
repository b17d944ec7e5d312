#include "driver/domain/vsock.h"

#include <cerrno>
#include <cstdio>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"

namespace warren::driver::domain {

namespace {
constexpr std::uint32_t kFirstCid = 3;
constexpr std::uint32_t kLastCid = 0xffff'fffe;
constexpr const char* kSocket = "vsock.sock";
}  // namespace

std::uint32_t CidTable::claim(const Uuid& domain, std::optional<std::uint32_t> wanted) {
  const std::lock_guard lock(mutex_);
  for (const auto& [cid, owner] : owners_)
    if (owner == domain && wanted.value_or(cid) == cid) return cid;
  std::uint32_t chosen = wanted.value_or(kFirstCid);
  if (!wanted) {
    // The lowest that is free, in the order of the table.
    for (const auto& [cid, owner] : owners_) {
      if (cid > chosen) break;
      chosen = cid + 1;
    }
    if (chosen > kLastCid) throw operation_failed("there is no CID left for another guest");
  }
  const auto [entry, is_free] = owners_.emplace(chosen, domain);
  if (!is_free) {
    throw operation_failed(
        fmt::format("the CID {} is that of the running domain {}", chosen, entry->second.to_string()));
  }
  return chosen;
}

void CidTable::release(const Uuid& domain) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(owners_, [&](const auto& entry) { return entry.second == domain; });
}

std::filesystem::path vsock_directory(const std::filesystem::path& runtime_directory, const Uuid& domain) {
  return runtime_directory / "vsock" / domain.to_string();
}

vmm::FileDescriptor listen_vsock(const std::filesystem::path& directory) {
  try {
    std::filesystem::create_directories(directory.parent_path());
    // Who may come in can be changed by who made it before; by itself it is the daemon's alone.
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      throw system_error(errno, fmt::format("make the directory '{}'", directory.string()));
  } catch (const std::filesystem::filesystem_error& error) {
    throw system_error(error.code().value(), fmt::format("make the directory '{}'", directory.string()));
  }
  return listen_character_socket((directory / kSocket).string());
}

// The directory may have been given to a user whose programs the guest talks to. What the daemon connects to
// is a socket in it, not what a link there leads to (failure class T19).
vmm::FileDescriptor connect_vsock(const std::filesystem::path& directory, std::uint32_t port) noexcept {
  const vmm::FileDescriptor opened(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened) return {};
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%s_%u", kSocket, port);
  const vmm::FileDescriptor file(::openat(opened.get(), name.data(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISSOCK(found.st_mode)) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file.get());
  vmm::FileDescriptor connected(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!connected) return {};
  // The sockets API takes every kind of address through the generic one.
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(connected.get(), generic, sizeof(address)) != 0) return {};
  return connected;
}

void remove_vsock(const std::filesystem::path& directory) noexcept {
  try {
    remove_character_socket((directory / kSocket).string());
  } catch (const std::exception&) {
    return;  // no memory for a name
  }
  // Not when somebody's sockets are in it.
  ::rmdir(directory.c_str());
}

}  // namespace warren::driver::domain
