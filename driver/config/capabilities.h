// The capabilities documents: what this host is and what Warren can run on it, true to the parser.
#pragma once

#include <string>
#include <string_view>

#include "driver/config/host_facts.h"

namespace warren::driver::config {

// <capabilities>, of virConnectGetCapabilities.
std::string format_capabilities(const HostFacts& facts);

// Throws driver::Error (INVALID_ARG) for an emulator, architecture, machine or virtualization type there is
// none of; an empty argument is the default.
void check_capabilities_query(const HostFacts& facts, std::string_view emulator,
                              std::string_view architecture, std::string_view machine,
                              std::string_view virtualization);

// <domainCapabilities>, of virConnectGetDomainCapabilities. The query is checked.
std::string format_domain_capabilities(const HostFacts& facts, std::string_view emulator,
                                       std::string_view architecture, std::string_view machine,
                                       std::string_view virtualization);

}  // namespace warren::driver::config
