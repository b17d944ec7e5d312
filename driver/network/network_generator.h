// Network definitions made of random bytes, each one that parse_network() could have returned; for tests and
// fuzzing.
//
// Every member is reached. The same bytes make the same definition; when they run out, the rest is zero.
#pragma once

#include <cstdint>
#include <span>

#include "driver/network/network_definition.h"

namespace warren::driver::network {

NetworkDefinition generate_network(std::span<const std::uint8_t> bytes);

}  // namespace warren::driver::network
