// Where the guest agent of a domain is to be found. Any thread.
#pragma once

#include <optional>
#include <string>

#include "driver/config/domain_definition.h"

namespace warren::driver::domain {

// The channel org.qemu.guest_agent.0; null when there is none.
const config::Channel* agent_channel_of(const config::DomainDefinition& definition);
// The socket of that channel of a running domain; none when it has no such channel, or one that is not a
// socket of this daemon's.
std::optional<std::string> agent_socket_of(const config::DomainDefinition& live);

}  // namespace warren::driver::domain
