// Definitions made of random bytes, each one that parse_domain() could have returned; for tests and fuzzing.
//
// Every member is reached. The same bytes make the same definition; when they run out, the rest is zero.
#pragma once

#include <cstdint>
#include <span>

#include "driver/config/domain_definition.h"

namespace warren::driver::config {

DomainDefinition generate_definition(std::span<const std::uint8_t> bytes);

}  // namespace warren::driver::config
