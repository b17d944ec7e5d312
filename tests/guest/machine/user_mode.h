// Ring 3, for work that would take too long where ring 0 is interpreted.
#pragma once

#include <cstdint>

namespace guest {

using UserFunction = std::uint64_t (*)(std::uint64_t argument);

// Runs function(argument) in ring 3 on its own stack with interrupts on, and returns its result. Boot
// processor only; the function may touch any memory but must not use privileged instructions.
std::uint64_t run_in_user_mode(UserFunction function, std::uint64_t argument);

}  // namespace guest
