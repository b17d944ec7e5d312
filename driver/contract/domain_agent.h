// What the agent inside a guest (qemu-guest-agent behind the channel org.qemu.guest_agent.0) is asked for.
//
// Names, flags, parameters and errors are those of virDomainQemuAgentCommand, virDomainGetGuestInfo, … Each
// call is an agent job of its domain: one at a time, beside the domain's other changes, never before a
// getter. Without a channel all complete with VIR_ERR_ARGUMENT_UNSUPPORTED, with a guest that does not answer
// with VIR_ERR_AGENT_UNRESPONSIVE. What comes back is the guest's word: bounded in size and well formed, not
// true. Loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct GuestTime {  // since the epoch, UTC
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct GuestFilesystem {  // virDomainFSInfo
  std::string mountpoint;
  std::string name;
  std::string type;
  std::vector<std::string> disks;  // targets of the domain's disks it lies on
};

struct GuestAddress {  // virDomainIPAddress
  int type = 0;        // virIPAddrType
  std::string address;
  std::uint32_t prefix = 0;
};

struct GuestInterface {  // virDomainInterface
  std::string name;
  std::optional<std::string> hardware_address;
  std::vector<GuestAddress> addresses;
};

class DomainAgent {
 public:
  // `timeout` is in seconds, or a virDomainQemuAgentCommandTimeoutValues.
  virtual void agent_command(const Caller& caller, const Uuid& domain, std::string command, int timeout,
                             unsigned int flags, Completion<std::string> completion) = 0;
  // Of all other calls here: in seconds, or a virDomainAgentResponseTimeoutValues.
  virtual void set_agent_response_timeout(const Caller& caller, const Uuid& domain, int timeout,
                                          unsigned int flags, Completion<void> completion) = 0;

  virtual void guest_hostname(const Caller& caller, const Uuid& domain, unsigned int flags,
                              Completion<std::string> completion) = 0;
  virtual void guest_time(const Caller& caller, const Uuid& domain, unsigned int flags,
                          Completion<GuestTime> completion) = 0;
  virtual void set_guest_time(const Caller& caller, const Uuid& domain, GuestTime time, unsigned int flags,
                              Completion<void> completion) = 0;
  // `types` is a virDomainGuestInfoTypes mask, 0 for all that the agent knows.
  virtual void guest_info(const Caller& caller, const Uuid& domain, unsigned int types, unsigned int flags,
                          Completion<TypedParameters> completion) = 0;

  virtual void guest_vcpus(const Caller& caller, const Uuid& domain, unsigned int flags,
                           Completion<TypedParameters> completion) = 0;
  // `cpus` is a list such as "0-2,5"; `state` is 1 for online, 0 for offline.
  virtual void set_guest_vcpus(const Caller& caller, const Uuid& domain, std::string cpus, int state,
                               unsigned int flags, Completion<void> completion) = 0;
  // How many vCPUs the guest has online, or has at all with VIR_DOMAIN_VCPU_MAXIMUM.
  virtual void guest_vcpu_count(const Caller& caller, const Uuid& domain, unsigned int flags,
                                Completion<int> completion) = 0;

  virtual void set_user_password(const Caller& caller, const Uuid& domain, std::string user,
                                 std::string password, unsigned int flags, Completion<void> completion) = 0;
  virtual void authorized_ssh_keys(const Caller& caller, const Uuid& domain, std::string user,
                                   unsigned int flags, Completion<std::vector<std::string>> completion) = 0;
  virtual void set_authorized_ssh_keys(const Caller& caller, const Uuid& domain, std::string user,
                                       std::vector<std::string> keys, unsigned int flags,
                                       Completion<void> completion) = 0;

  // `source` is a virDomainInterfaceAddressesSource; the host's ARP table needs no agent.
  virtual void interface_addresses(const Caller& caller, const Uuid& domain, unsigned int source,
                                   unsigned int flags,
                                   Completion<std::vector<GuestInterface>> completion) = 0;

  virtual void filesystems(const Caller& caller, const Uuid& domain, unsigned int flags,
                           Completion<std::vector<GuestFilesystem>> completion) = 0;
  // Both complete with the number of file systems. An empty list means all.
  virtual void freeze_filesystems(const Caller& caller, const Uuid& domain,
                                  std::vector<std::string> mountpoints, unsigned int flags,
                                  Completion<int> completion) = 0;
  virtual void thaw_filesystems(const Caller& caller, const Uuid& domain,
                                std::vector<std::string> mountpoints, unsigned int flags,
                                Completion<int> completion) = 0;
  // `minimum` is in bytes: shorter free ranges are left.
  virtual void trim_filesystems(const Caller& caller, const Uuid& domain,
                                const std::optional<std::string>& mountpoint, std::uint64_t minimum,
                                unsigned int flags, Completion<void> completion) = 0;

 protected:
  ~DomainAgent() = default;
};

}  // namespace warren::driver
