// Where the guest agent of a domain is to be found. Any thread.
#pragma once

#include <optional>
#include <string>

#include "driver/config/domain_definition.h"

namespace warren::driver::domain {

// The socket of the channel org.qemu.guest_agent.0 of a running domain; none when it has no such channel.
std::optional<std::string> agent_socket_of(const config::DomainDefinition& live);

}  // namespace warren::driver::domain
