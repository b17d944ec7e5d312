// Socket devices of running domains: which CID is whose, and the unix sockets of the host that stand for
// them.
//
// A domain's directory is RUNTIME/vsock/UUID, mode 0700. vsock.sock in it is the guest's: a program connects
// and writes "CONNECT <port>\n". A program that is to be reached by the guest at a port of CID 2 listens at
// vsock.sock_<port>. The directory may be there before the domain runs, and stays while something else is in
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include "driver/config/identity.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

// The CIDs in use among this driver's domains. Any thread.
class CidTable {
 public:
  // For a domain's one device: `wanted`, or one that is free. A domain that has one keeps it when it asks for
  // any, or the same. Throws Error (OPERATION_FAILED) naming the domain that has it.
  std::uint32_t claim(const Uuid& domain, std::optional<std::uint32_t> wanted);
  void release(const Uuid& domain) noexcept;

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, Uuid> owners_;  // by CID
};

std::filesystem::path vsock_directory(const std::filesystem::path& runtime_directory, const Uuid& domain);

// The guest's listening socket, in a directory that is made when it is not there. Blocks for as long as a
// local file system does. Throws Error.
vmm::FileDescriptor listen_vsock(const std::filesystem::path& directory);
// To who listens at `port`; none when nobody does, or is busy. Does not wait, and follows no symbolic link.
vmm::FileDescriptor connect_vsock(const std::filesystem::path& directory, std::uint32_t port) noexcept;
// What listen_vsock() made.
void remove_vsock(const std::filesystem::path& directory) noexcept;

}  // namespace warren::driver::domain
