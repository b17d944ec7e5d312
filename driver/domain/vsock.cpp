#include "driver/domain/vsock.h"

#include <cerrno>
#include <cstdio>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/domain/character_file.h"
#include "driver/domain/environment.h"
#include "driver/domain/resources.h"
#include "vmm-core/os/vhost_interface.h"

namespace warren::driver::domain {

namespace {
constexpr const char* kSocket = "vsock.sock";
constexpr const char* kSeqpacketSocket = "vsock.seqpacket";

void add(Resources& resources, const char* name, vmm::FileDescriptor descriptor) {
  resources.names.emplace_back(name);
  resources.descriptors.push_back(std::move(descriptor));
}

// Of the worker's own device, in a directory that is made when it is not there.
void listen_vsock(const std::filesystem::path& directory, Resources& resources) {
  try {
    std::filesystem::create_directories(directory.parent_path());
    // Who may come in can be changed by who made it before; by itself it is the daemon's alone.
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      throw system_error(errno, fmt::format("make the directory '{}'", directory.string()));
  } catch (const std::filesystem::filesystem_error& error) {
    throw system_error(error.code().value(), fmt::format("make the directory '{}'", directory.string()));
  }
  add(resources, kVsockDescriptor, listen_character_socket((directory / kSocket).string()));
  add(resources, kVsockSeqpacketDescriptor,
      listen_character_socket((directory / kSeqpacketSocket).string(), SOCK_SEQPACKET));
}

// None when the worker is to serve the device.
vmm::FileDescriptor open_vhost(const std::filesystem::path& device, const config::Vsock& vsock) {
  if (vsock.driver == config::VsockDriver::worker) return {};
  vmm::FileDescriptor opened(::open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!opened && vsock.driver == config::VsockDriver::vhost) {
    throw system_error(errno, fmt::format("cannot open '{}', which <vsock>/<driver name='vhost'/> asks for",
                                          device.string()));
  }
  return opened;
}

// One that no domain of ours has and, of what other programs of the host have, none that the kernel knows.
std::uint32_t claim_cid(Environment& environment, const Uuid& domain, const config::Vsock& vsock,
                        const vmm::FileDescriptor& vhost) {
  const auto wanted = vsock.auto_cid == true ? std::nullopt : vsock.cid;
  std::uint32_t cid = environment.cids.claim(domain, wanted);
  if (!vhost) return cid;
  for (;;) {
    const int failed = environment.set_guest_cid(vhost, cid);
    if (failed == 0) return cid;
    if (failed != EADDRINUSE) throw system_error(failed, fmt::format("give vhost-vsock the CID {}", cid));
    if (wanted) throw operation_failed(fmt::format("the CID {} is that of another program's guest", cid));
    cid = environment.cids.claim(domain, std::nullopt, cid + 1);
  }
}
}  // namespace

int system_set_guest_cid(const vmm::FileDescriptor& vhost, std::uint32_t cid) {
  std::uint64_t number = cid;
  return ::ioctl(vhost.get(), VHOST_VSOCK_SET_GUEST_CID, &number) == 0 ? 0 : errno;
}

void open_vsock(Environment& environment, const Uuid& domain, config::Vsock& vsock, Resources& resources) {
  vmm::FileDescriptor vhost = open_vhost(environment.settings.vhost_vsock, vsock);
  try {
    vsock.cid = claim_cid(environment, domain, vsock, vhost);
    if (vhost) {
      vsock.driver = config::VsockDriver::vhost;
      add(resources, kVhostVsockDescriptor, std::move(vhost));
    } else {
      vsock.driver = config::VsockDriver::worker;
      listen_vsock(vsock_directory(environment.settings.runtime_directory, domain), resources);
    }
  } catch (...) {
    environment.cids.release(domain);
    throw;
  }
}

std::uint32_t CidTable::claim(const Uuid& domain, std::optional<std::uint32_t> wanted, std::uint32_t lowest) {
  const std::lock_guard lock(mutex_);
  for (const auto& [cid, owner] : owners_)
    if (owner == domain && (wanted ? *wanted == cid : cid >= lowest)) return cid;
  std::uint32_t chosen = wanted.value_or(lowest);
  if (!wanted) {
    // The lowest that is free, in the order of the table.
    for (auto entry = owners_.lower_bound(lowest); entry != owners_.end() && entry->first == chosen; ++entry)
      ++chosen;
    if (chosen > kLast) throw operation_failed("there is no CID left for another guest");
    std::erase_if(owners_, [&](const auto& entry) { return entry.second == domain; });
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

// The directory may have been given to a user whose programs the guest talks to. What the daemon connects to
// is a socket in it, not what a link there leads to (failure class T19).
vmm::FileDescriptor connect_vsock(const std::filesystem::path& directory, std::uint32_t port,
                                  int type) noexcept {
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
  vmm::FileDescriptor connected(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!connected) return {};
  // The sockets API takes every kind of address through the generic one.
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(connected.get(), generic, sizeof(address)) != 0) return {};
  return connected;
}

void remove_vsock(const std::filesystem::path& directory) noexcept {
  try {
    remove_character_socket((directory / kSocket).string());
    remove_character_socket((directory / kSeqpacketSocket).string());
  } catch (const std::exception&) {
    return;  // no memory for a name
  }
  // Not when somebody's sockets are in it.
  ::rmdir(directory.c_str());
}

}  // namespace warren::driver::domain
