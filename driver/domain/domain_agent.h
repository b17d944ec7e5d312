// Talking to a domain's guest agent within one agent job, and what its commands mean. Implementation header
// (Asio).
//
// Errors are libvirt's: VIR_ERR_AGENT_UNRESPONSIVE for a guest that does not answer, VIR_ERR_INTERNAL_ERROR
// with the agent's words for a command that failed in the guest. Loop's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/config/domain_definition.h"
#include "driver/contract/domain_agent.h"
#include "driver/domain/guest_agent.h"

namespace warren::driver::domain {

// Limits of libvirt's protocol for what the guest lists.
inline constexpr std::size_t kMaximumGuestInterfaces = 2048;
inline constexpr std::size_t kMaximumGuestAddresses = 2048;
inline constexpr std::size_t kMaximumGuestFilesystems = 256;
inline constexpr std::size_t kMaximumGuestParameters = 2048;
inline constexpr std::size_t kMaximumGuestVcpus = 16384;
inline constexpr std::size_t kMaximumSshKeys = 2048;

// The agent, for as long as the job lasts.
class AgentSession {
 public:
  AgentSession(std::shared_ptr<GuestAgent> agent, JobSlot::Hold hold, int timeout)
      : agent_(std::move(agent)), hold_(std::move(hold)), timeout_(timeout) {}

  // What "return" holds.
  Task<agent::Value> ask(agent::Request request);
  // The same; nothing when the agent has no such command or was told not to know it.
  Task<std::optional<agent::Value>> ask_if_known(agent::Request request);
  // A command that ends the agent: no reply, but its end, is as good.
  Task<> end_with(agent::Request request, int timeout);
  // `timeout` is a virDomainQemuAgentCommandTimeoutValues or in seconds.
  Task<std::string> raw(agent::RawRequest request, int timeout);

 private:
  Task<agent::Reply> run(std::string line, std::string command, int timeout);

  std::shared_ptr<GuestAgent> agent_;
  JobSlot::Hold hold_;
  int timeout_;
};

// ---- domain_agent_vcpus.cpp
struct GuestVcpu {
  std::uint32_t id = 0;
  bool is_online = false;
  bool can_offline = false;
  bool is_modified = false;
};
Task<std::vector<GuestVcpu>> read_vcpus(AgentSession& session);
// Sets those that are modified.
Task<> write_vcpus(AgentSession& session, std::vector<GuestVcpu> vcpus);
// Marks what has to change for `count` to be online. Throws.
void choose_vcpus(std::vector<GuestVcpu>& vcpus, unsigned int count);
// Marks the listed ones as online or not. Throws naming the first that cannot be.
void select_vcpus(std::vector<GuestVcpu>& vcpus, const std::string& list, bool online);
TypedParameters describe_vcpus(const std::vector<GuestVcpu>& vcpus);

// Brings `count` vCPUs online in the guest, in a job of its own: local_driver_agent.cpp.
class Domain;
Task<> set_guest_vcpu_count(Domain& domain, Caller caller, unsigned int count);

// ---- domain_agent_information.cpp
std::vector<GuestInterface> interfaces_of(const agent::Value& reply);
// In the order of their mounting.
std::vector<GuestFilesystem> filesystems_of(const agent::Value& reply,
                                            const config::DomainDefinition& definition);
// `types` is a virDomainGuestInfoTypes mask; 0: all that the agent knows.
Task<TypedParameters> read_guest_information(AgentSession& session, unsigned int types,
                                             std::shared_ptr<const config::DomainDefinition> definition);
// From the text of /proc/net/arp.
std::vector<GuestInterface> arp_addresses(const config::DomainDefinition& definition, std::string_view table);

}  // namespace warren::driver::domain
