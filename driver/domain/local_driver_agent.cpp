// What is asked of guests' agents: flags checked, each as one agent job.
#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include <fmt/format.h>

#include "driver/domain/domain_agent.h"
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {

// The domain lives until its task ends: change() sees to that.

Task<std::string> command_task(Domain& domain, Caller caller, agent::RawRequest request, int timeout) {
  auto session = co_await domain.agent_session(std::move(caller), "agent command");
  co_return co_await session.raw(std::move(request), timeout);
}

Task<std::string> hostname_task(Domain& domain, Caller caller) {
  auto session = co_await domain.agent_session(std::move(caller), "get the guest's hostname");
  agent::Value reply = co_await session.ask(agent::Request("guest-get-host-name"));
  co_return reply.text("host-name");
}

Task<GuestTime> time_task(Domain& domain, Caller caller) {
  auto session = co_await domain.agent_session(std::move(caller), "get the guest's time");
  agent::Value reply = co_await session.ask(agent::Request("guest-get-time"));
  const std::int64_t nanoseconds = reply.as_number();
  if (nanoseconds < 0) throw internal_error("the guest agent tells a time before the epoch");
  co_return GuestTime{nanoseconds / 1'000'000'000, static_cast<std::uint32_t>(nanoseconds % 1'000'000'000)};
}

// A command whose reply says no more than that it is done.
Task<> plain_task(Domain& domain, Caller caller, std::string job, agent::Request request) {
  auto session = co_await domain.agent_session(std::move(caller), std::move(job));
  co_await session.ask(std::move(request));
}

Task<int> count_task(Domain& domain, Caller caller, std::string job, agent::Request request) {
  auto session = co_await domain.agent_session(std::move(caller), std::move(job));
  agent::Value reply = co_await session.ask(std::move(request));
  const std::int64_t count = reply.as_number();
  if (count < 0 || count > std::numeric_limits<int>::max())
    throw internal_error("the guest agent tells a number of file systems out of range");
  co_return static_cast<int>(count);
}

Task<TypedParameters> information_task(Domain& domain, Caller caller, unsigned int types) {
  auto session = co_await domain.agent_session(std::move(caller), "guest info");
  co_return co_await read_guest_information(session, types, domain.snapshot()->live);
}

Task<TypedParameters> vcpus_task(Domain& domain, Caller caller) {
  auto session = co_await domain.agent_session(std::move(caller), "get the guest's vcpus");
  auto vcpus = co_await read_vcpus(session);
  co_return describe_vcpus(vcpus);
}

Task<int> vcpu_count_task(Domain& domain, Caller caller, bool maximum) {
  auto session = co_await domain.agent_session(std::move(caller), "count the guest's vcpus");
  auto vcpus = co_await read_vcpus(session);
  if (maximum) co_return static_cast<int>(vcpus.size());
  co_return static_cast<int>(
      std::count_if(vcpus.begin(), vcpus.end(), [](const GuestVcpu& vcpu) { return vcpu.is_online; }));
}

Task<> select_vcpus_task(Domain& domain, Caller caller, std::string list, bool online) {
  auto session = co_await domain.agent_session(std::move(caller), "set the guest's vcpus");
  auto vcpus = co_await read_vcpus(session);
  select_vcpus(vcpus, list, online);
  co_await write_vcpus(session, std::move(vcpus));
}

Task<std::vector<std::string>> keys_task(Domain& domain, Caller caller, std::string user) {
  auto session = co_await domain.agent_session(std::move(caller), "get authorized ssh keys");
  agent::Request request("guest-ssh-get-authorized-keys");
  request.text("username", user);
  agent::Value reply = co_await session.ask(std::move(request));
  std::vector<std::string> keys;
  for (const agent::Value& key : reply.member("keys").elements(kMaximumSshKeys))
    keys.push_back(key.as_text());
  co_return keys;
}

Task<std::vector<GuestInterface>> interfaces_task(Domain& domain, Caller caller) {
  auto session = co_await domain.agent_session(std::move(caller), "get the guest's interfaces");
  agent::Value reply = co_await session.ask(agent::Request("guest-network-get-interfaces"));
  co_return interfaces_of(reply);
}

Task<std::string> leased_hostname_task(Domain& domain) {
  const auto interfaces = co_await domain.leased_interfaces();
  for (const LeasedInterface& interface : interfaces) {
    for (const DhcpLease& lease : interface.leases)
      if (lease.host_name && !lease.host_name->empty()) co_return *lease.host_name;
  }
  throw Error(VIR_ERR_NO_HOSTNAME,
              fmt::format("no hostname found for domain '{}': no DHCP lease names one; ask its agent",
                          domain.snapshot()->handle.name));
}

Task<std::vector<GuestInterface>> leased_addresses_task(Domain& domain) {
  std::vector<GuestInterface> result;
  const auto interfaces = co_await domain.leased_interfaces();
  for (const LeasedInterface& interface : interfaces) {
    if (interface.leases.empty()) continue;
    GuestInterface& found = result.emplace_back(GuestInterface{interface.target, interface.mac, {}});
    for (const DhcpLease& lease : interface.leases)
      found.addresses.push_back({lease.type, lease.address, lease.prefix});
  }
  co_return result;
}

Task<std::vector<GuestInterface>> arp_task(Domain& domain) {
  const auto live = domain.snapshot() ? domain.snapshot()->live : nullptr;
  if (!live) throw operation_invalid("domain is not running");
  // procfs: never waits for anything.
  std::ifstream table("/proc/net/arp");
  std::stringstream text;
  text << table.rdbuf();
  co_return arp_addresses(*live, text.str());
}

Task<std::vector<GuestFilesystem>> filesystems_task(Domain& domain, Caller caller) {
  auto session = co_await domain.agent_session(std::move(caller), "get the guest's file systems");
  agent::Value reply = co_await session.ask(agent::Request("guest-get-fsinfo"));
  const auto live = domain.snapshot()->live;
  if (!live) throw operation_invalid("domain is not running");
  co_return filesystems_of(reply, *live);
}

void check_timeout(int timeout) {
  if (timeout < VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK) {
    throw invalid_argument(fmt::format("guest agent timeout '{}' is less than the minimum '{}'", timeout,
                                       int{VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK}));
  }
}

}  // namespace

Task<> set_guest_vcpu_count(Domain& domain, Caller caller, unsigned int count) {
  auto session = co_await domain.agent_session(std::move(caller), "set the guest's vcpus");
  auto vcpus = co_await read_vcpus(session);
  choose_vcpus(vcpus, count);
  co_await write_vcpus(session, std::move(vcpus));
}

void LocalDriver::agent_command(const Caller& caller, const Uuid& uuid, std::string command, int timeout,
                                unsigned int flags, Completion<std::string> completion) {
  change<std::string>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainQemuAgentCommand");
    check_timeout(timeout);
    return command_task(domain, caller, agent::parse_request(command), timeout);
  });
}

void LocalDriver::set_agent_response_timeout(const Caller& caller, const Uuid& uuid, int timeout,
                                             unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainAgentSetResponseTimeout");
    check_timeout(timeout);
    return domain.set_agent_timeout(caller, timeout);
  });
}

void LocalDriver::guest_hostname(const Caller& caller, const Uuid& uuid, unsigned int flags,
                                 Completion<std::string> completion) {
  change<std::string>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_GET_HOSTNAME_LEASE | VIR_DOMAIN_GET_HOSTNAME_AGENT, "virDomainGetHostname");
    if (flags == (VIR_DOMAIN_GET_HOSTNAME_LEASE | VIR_DOMAIN_GET_HOSTNAME_AGENT))
      throw invalid_argument("flags VIR_DOMAIN_GET_HOSTNAME_LEASE and _AGENT exclude each other");
    if ((flags & VIR_DOMAIN_GET_HOSTNAME_LEASE) != 0) {
      if (!domain.snapshot() || !domain.snapshot()->is_active())
        throw operation_invalid("domain is not running");
      return leased_hostname_task(domain);
    }
    return hostname_task(domain, caller);
  });
}

void LocalDriver::guest_time(const Caller& caller, const Uuid& uuid, unsigned int flags,
                             Completion<GuestTime> completion) {
  change<GuestTime>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainGetTime");
    return time_task(domain, caller);
  });
}

void LocalDriver::set_guest_time(const Caller& caller, const Uuid& uuid, GuestTime time, unsigned int flags,
                                 Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_TIME_SYNC, "virDomainSetTime");
    agent::Request request("guest-set-time");
    // Without a time the agent takes that of the clock chip.
    if ((flags & VIR_DOMAIN_TIME_SYNC) == 0) {
      std::int64_t nanoseconds = 0;
      if (time.seconds < 0 ||
          __builtin_mul_overflow(time.seconds, std::int64_t{1'000'000'000}, &nanoseconds) ||
          __builtin_add_overflow(nanoseconds, std::int64_t{time.nanoseconds}, &nanoseconds))
        throw invalid_argument(fmt::format("Time '{}' is too big for guest agent", time.seconds));
      request.number("time", nanoseconds);
    }
    return plain_task(domain, caller, "set the guest's time", std::move(request));
  });
}

void LocalDriver::guest_info(const Caller& caller, const Uuid& uuid, unsigned int types, unsigned int flags,
                             Completion<TypedParameters> completion) {
  change<TypedParameters>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainGetGuestInfo");
    return information_task(domain, caller, types);
  });
}

void LocalDriver::guest_vcpus(const Caller& caller, const Uuid& uuid, unsigned int flags,
                              Completion<TypedParameters> completion) {
  change<TypedParameters>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainGetGuestVcpus");
    return vcpus_task(domain, caller);
  });
}

void LocalDriver::set_guest_vcpus(const Caller& caller, const Uuid& uuid, std::string cpus, int state,
                                  unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainSetGuestVcpus");
    if (state != 0 && state != 1) throw invalid_argument("unsupported state value");
    return select_vcpus_task(domain, caller, cpus, state == 1);
  });
}

void LocalDriver::guest_vcpu_count(const Caller& caller, const Uuid& uuid, unsigned int flags,
                                   Completion<int> completion) {
  change<int>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_VCPU_GUEST,
                "virDomainGetVcpusFlags");
    return vcpu_count_task(domain, caller, (flags & VIR_DOMAIN_VCPU_MAXIMUM) != 0);
  });
}

void LocalDriver::set_user_password(const Caller& caller, const Uuid& uuid, std::string user,
                                    std::string password, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_PASSWORD_ENCRYPTED, "virDomainSetUserPassword");
    agent::Request request("guest-set-user-password");
    request.flag("crypted", (flags & VIR_DOMAIN_PASSWORD_ENCRYPTED) != 0)
        .text("username", user)
        .text("password", agent::base64(password));
    return plain_task(domain, caller, "set a user's password", std::move(request));
  });
}

void LocalDriver::authorized_ssh_keys(const Caller& caller, const Uuid& uuid, std::string user,
                                      unsigned int flags, Completion<std::vector<std::string>> completion) {
  change<std::vector<std::string>>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainAuthorizedSSHKeysGet");
    return keys_task(domain, caller, user);
  });
}

void LocalDriver::set_authorized_ssh_keys(const Caller& caller, const Uuid& uuid, std::string user,
                                          std::vector<std::string> keys, unsigned int flags,
                                          Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND | VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE,
                "virDomainAuthorizedSSHKeysSet");
    const bool appends = (flags & VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND) != 0;
    const bool removes = (flags & VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE) != 0;
    if (appends && removes) throw invalid_argument("keys cannot be appended and removed at once");
    if (keys.empty() && (appends || removes)) throw invalid_argument("there are no keys to append or remove");
    agent::Request request(removes ? "guest-ssh-remove-authorized-keys" : "guest-ssh-add-authorized-keys");
    request.text("username", user).texts("keys", keys);
    if (!removes) request.flag("reset", !appends);
    return plain_task(domain, caller, "set authorized ssh keys", std::move(request));
  });
}

void LocalDriver::interface_addresses(const Caller& caller, const Uuid& uuid, unsigned int source,
                                      unsigned int flags,
                                      Completion<std::vector<GuestInterface>> completion) {
  change<std::vector<GuestInterface>>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainInterfaceAddresses");
    if (!domain.snapshot() || !domain.snapshot()->is_active())
      throw operation_invalid("domain is not running");
    switch (source) {
      case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE:
        return leased_addresses_task(domain);
      case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT:
        return interfaces_task(domain, caller);
      case VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP:
        return arp_task(domain);
      default:
        throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, fmt::format("Unknown IP address data source {}", source));
    }
  });
}

void LocalDriver::filesystems(const Caller& caller, const Uuid& uuid, unsigned int flags,
                              Completion<std::vector<GuestFilesystem>> completion) {
  change<std::vector<GuestFilesystem>>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainGetFSInfo");
    return filesystems_task(domain, caller);
  });
}

void LocalDriver::freeze_filesystems(const Caller& caller, const Uuid& uuid,
                                     std::vector<std::string> mountpoints, unsigned int flags,
                                     Completion<int> completion) {
  change<int>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainFSFreeze");
    agent::Request request(mountpoints.empty() ? "guest-fsfreeze-freeze" : "guest-fsfreeze-freeze-list");
    if (!mountpoints.empty()) request.texts("mountpoints", mountpoints);
    return count_task(domain, caller, "freeze file systems", std::move(request));
  });
}

void LocalDriver::thaw_filesystems(const Caller& caller, const Uuid& uuid,
                                   std::vector<std::string> mountpoints, unsigned int flags,
                                   Completion<int> completion) {
  change<int>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainFSThaw");
    // The agent thaws all there are.
    if (!mountpoints.empty())
      throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, "specifying mountpoints is not supported");
    return count_task(domain, caller, "thaw file systems", agent::Request("guest-fsfreeze-thaw"));
  });
}

void LocalDriver::trim_filesystems(const Caller& caller, const Uuid& uuid,
                                   const std::optional<std::string>& mountpoint, std::uint64_t minimum,
                                   unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainFSTrim");
    if (mountpoint)
      throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, "Specifying mount point is not supported for now");
    if (minimum > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      throw invalid_argument(fmt::format("the minimum of {} bytes is too big for the guest agent", minimum));
    agent::Request request("guest-fstrim");
    request.number("minimum", static_cast<std::int64_t>(minimum));
    return plain_task(domain, caller, "trim file systems", std::move(request));
  });
}

}  // namespace warren::driver::domain
