// Socket devices of running domains: which CID is whose, who serves them, and the unix sockets of the host
// that stand for the guests whose worker does.
//
// A domain's directory is RUNTIME/vsock/UUID, mode 0700. vsock.sock in it is the guest's: a program connects
// and writes "CONNECT <port>\n"; vsock.seqpacket is the same for SOCK_SEQPACKET. A program that is to be
// reached by the guest at a port of CID 2 listens at vsock.sock_<port>, and its socket is of the type that
// the guest's is. The directory may be there before the domain runs, and stays while something else is in it.
//
// Where the host has vhost-vsock its kernel serves the device, unless the definition wants otherwise, and
// there are no unix sockets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include <sys/socket.h>

#include "driver/config/identity.h"
#include "driver/config/small_devices.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct Environment;
struct Resources;

// The CIDs in use among this driver's domains. Any thread.
class CidTable {
 public:
  static constexpr std::uint32_t kFirst = 3, kLast = 0xffff'fffe;

  // For a domain's one device: `wanted`, or the lowest from `lowest` on that is free. A domain that has one
  // keeps it when it asks for the same, or for any and it is not below `lowest`; otherwise it has another
  // then. Throws Error (OPERATION_FAILED) naming the domain that has it.
  std::uint32_t claim(const Uuid& domain, std::optional<std::uint32_t> wanted, std::uint32_t lowest = kFirst);
  void release(const Uuid& domain) noexcept;

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, Uuid> owners_;  // by CID
};

// Gives the guest behind an open vhost-vsock its CID: 0, or an errno, EADDRINUSE when some program of the
// host has a guest of that CID.
using SetGuestCid = std::function<int(const vmm::FileDescriptor& vhost, std::uint32_t cid)>;
int system_set_guest_cid(const vmm::FileDescriptor& vhost, std::uint32_t cid);

// Chooses the CID and who serves the device, writes both into `vsock`, and adds what its worker is to have.
// Blocks for as long as a local file system does. Throws Error; the domain has no CID then.
void open_vsock(Environment& environment, const Uuid& domain, config::Vsock& vsock, Resources& resources);

std::filesystem::path vsock_directory(const std::filesystem::path& runtime_directory, const Uuid& domain);

// To who listens at `port` with a socket of that type (SOCK_STREAM, SOCK_SEQPACKET); none when nobody does,
// or is busy. Does not wait, and follows no symbolic link.
vmm::FileDescriptor connect_vsock(const std::filesystem::path& directory, std::uint32_t port,
                                  int type = SOCK_STREAM) noexcept;
// The guest's listening sockets.
void remove_vsock(const std::filesystem::path& directory) noexcept;

}  // namespace warren::driver::domain
